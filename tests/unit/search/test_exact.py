"""Exact search by hand: order, ties, positives, and vectors that cannot be searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hardneg.errors import ModelError, UsageError
from hardneg.progress import Silent
from hardneg.records import NO_DOC, Ranking
from hardneg.search.exact import DenseRetriever
from hardneg.search.faiss_library import faiss


class Stored:
    """Vectors in memory."""

    def __init__(self, rows: object) -> None:
        self.array = np.asarray(rows)
        self.shape = self.array.shape
        self.largest_block = 0

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.array[rows].astype(np.float32)

    def block(self, start: int, stop: int) -> np.ndarray:
        self.largest_block = max(self.largest_block, stop - start)
        return self.array[start:stop].astype(np.float32)


def search(
    queries: object, documents: object, depth: int, positives: object = None, **options: int
) -> Ranking:
    stored = documents if isinstance(documents, Stored) else Stored(documents)
    retriever = DenseRetriever("dense", Stored(queries), stored, **options)
    rows = np.arange(len(retriever._queries.array), dtype=np.int32)  # type: ignore[attr-defined]
    wanted = np.zeros((len(rows), 0), np.int32) if positives is None else np.asarray(positives, np.int32)
    return retriever.search(rows, depth, wanted, Silent())


def test_order_scores_and_ties_by_row() -> None:
    documents = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [2.0, -1.0], [1.0, 1.0]]
    ranking = search([[1.0, 0.5]], documents, 4)
    # 1·1 + 0.5·0 = 1;  0.5;  1;  2 − 0.5 = 1.5;  1 + 0.5 = 1.5
    assert ranking.doc.tolist() == [[3, 4, 0, 2]]
    assert ranking.score.tolist() == [[1.5, 1.5, 1.0, 1.0]]
    assert ranking.retriever == "dense"


def test_more_depth_than_documents_gives_all_there_are() -> None:
    ranking = search([[1.0]], [[1.0], [3.0]], 2_000_000_000)  # for which no machine has the room
    assert ranking.doc.tolist() == [[1, 0]]
    assert ranking.score.tolist() == [[3.0, 1.0]]
    assert (ranking.doc.dtype, ranking.score.dtype) == (np.int32, np.float32)


def test_a_depth_beyond_what_gpu_libraries_return_is_whole() -> None:
    """faiss-gpu stops at 2,048 and fills up with -1 and -inf."""
    documents = np.random.default_rng(0).standard_normal((4000, 4)).astype(np.float32)
    ranking = search([[1.0, 2.0, 3.0, 4.0]], documents, 3000, block_bytes=4 * 4 * 1500)
    exact = (documents.astype(np.float64) @ np.array([1.0, 2.0, 3.0, 4.0])).astype(np.float32)
    assert ranking.doc[0].tolist() == sorted(range(4000), key=lambda row: (-exact[row], row))[:3000]
    assert np.isfinite(ranking.score).all()


def test_positives_have_their_scores_whatever_their_rank() -> None:
    documents = [[float(i)] for i in range(100)]
    ranking = search([[1.0], [-1.0]], documents, 1, [[0, 99], [7, NO_DOC]])
    assert ranking.doc.tolist() == [[99], [0]]
    np.testing.assert_array_equal(ranking.positive_score, [[0.0, 99.0], [-7.0, np.nan]])


def test_a_boundary_within_hundreds_of_twins_is_cut_by_row() -> None:
    """More twins than are fetched in the first pass, the better documents behind them."""
    rng = np.random.default_rng(5)
    twin = rng.standard_normal(48).astype(np.float32)
    documents = np.repeat(twin[None], 1000, axis=0)
    documents[[990, 400]] *= 2
    documents[:100] = -twin
    for rows_a_block in (1000, 64, 7):
        ranking = search(twin[None], documents, 10, block_bytes=4 * 48 * rows_a_block)
        assert ranking.doc.tolist() == [[400, 990, 100, 101, 102, 103, 104, 105, 106, 107]]


def test_a_difference_too_small_for_float32_sums_decides_the_boundary() -> None:
    """300 documents within one rounding of each other: only the exact sums tell which are the best."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(384)
    documents = (base + 1e-7 * rng.standard_normal((300, 384))).astype(np.float32)
    query = rng.standard_normal((1, 384)).astype(np.float32)
    ranking = search(query, documents, 20)
    exact = (documents.astype(np.float64) @ query[0].astype(np.float64)).astype(np.float32)
    assert ranking.doc[0].tolist() == sorted(range(300), key=lambda row: (-exact[row], row))[:20]


def test_one_long_document_does_not_spoil_the_bound() -> None:
    """A document a million times longer than the others, on the far side: the rest stay exact."""
    rng = np.random.default_rng(1)
    documents = rng.standard_normal((500, 32)).astype(np.float32)
    query = rng.standard_normal((3, 32)).astype(np.float32)
    documents[7] = -1e6 * query.sum(axis=0)
    ranking = search(query, documents, 25, block_bytes=4 * 32 * 100)
    exact = (query.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    for row in range(3):
        assert ranking.doc[row].tolist() == sorted(range(500), key=lambda d: (-exact[row, d], d))[:25]


def test_what_others_set_of_faiss_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much it multiplies at once is the process's setting; ours holds for our calls alone."""
    library, seen = faiss(), []
    name = "distance_compute_blas_query_bs"
    others = getattr(library.cvar, name)

    def fails(*given: object) -> None:
        seen.append(getattr(library.cvar, name))
        raise MemoryError

    monkeypatch.setattr(library, "knn", fails)
    with pytest.raises(MemoryError):
        search([[1.0]], [[1.0], [2.0]], 1)
    assert seen != [others]
    assert getattr(library.cvar, name) == others


def test_only_blocks_of_documents_are_read() -> None:
    documents = Stored(np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float16))
    search([[1.0] * 8], documents, 10, block_bytes=4 * 8 * 50)
    assert documents.largest_block == 50


def test_vectors_of_a_memory_mapped_file_are_searched(tmp_path: Path) -> None:
    np.save(tmp_path / "documents.npy", np.eye(4, dtype=np.float32))
    mapped = np.load(tmp_path / "documents.npy", mmap_mode="r")
    assert search([[0.0, 1.0, 0.0, 0.5]], mapped, 2).doc.tolist() == [[1, 3]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_vectors_that_are_not_finite_or_overflow_are_refused(bad: float) -> None:
    documents = np.ones((5, 3), np.float32)
    documents[3, 1] = bad
    with pytest.raises(ModelError, match="document row 3"):
        search([[1.0, 1.0, 1.0]], documents, 2)
    with pytest.raises(ModelError, match="query row 0"):
        search([[1.0, bad, 1.0]], np.ones((5, 3), np.float32), 2)


def test_dimensions_must_agree() -> None:
    with pytest.raises(UsageError, match="2 dimensions and documents 3"):
        search([[1.0, 1.0]], [[1.0, 1.0, 1.0]], 1)


def test_no_queries_and_no_documents_give_nothing() -> None:
    assert search(np.zeros((0, 3), np.float32), np.ones((2, 3), np.float32), 2).doc.shape == (0, 2)
    empty = search([[1.0, 2.0, 3.0]], np.zeros((0, 3), np.float32), 2)
    assert empty.doc.shape == (1, 0)


def test_very_small_numbers_are_ordered_too() -> None:
    """Below float32's normal range, where libraries may take numbers as zero."""
    documents = np.array([[1e-30], [3e-30], [2e-30]] * 30, np.float32)
    ranking = search(np.array([[1e-12]], np.float32), documents, 31)
    exact = (documents[:, 0].astype(np.float64) * np.float64(np.float32(1e-12))).astype(np.float32)
    assert ranking.doc[0].tolist() == sorted(range(90), key=lambda row: (-exact[row], row))[:31]
