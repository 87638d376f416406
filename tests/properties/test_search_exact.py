"""Exact search equals a brute force in float64, for any blocks, threads and however many ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.progress import Silent
from hardneg.search.canonical import canonical_scores, score_documents
from hardneg.search.exact import DenseRetriever
from hardneg.search.faiss_finder import FaissFinder, FaissGpuFinder
from hardneg.search.finders import Finder
from hardneg.search.torch_finder import TorchFinder


class Stored:
    """Vectors in memory, kept as they would be stored and read as float32."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.array[rows].astype(np.float32)

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.array[start:stop].astype(np.float32)


def halving_sums(query: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Float64 products filled up to a power of two, halves added until one is left, rounded once."""
    products = query.astype(np.float64) * documents.astype(np.float64)
    full = 1 << (products.shape[1] - 1).bit_length()
    terms = np.hstack([products, np.zeros((len(products), full - products.shape[1]))])
    while terms.shape[1] > 1:
        low, high = np.hsplit(terms, 2)
        terms = low + high
    return terms[:, 0].astype(np.float32)


def brute_force(queries: np.ndarray, documents: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array([halving_sums(query, documents) for query in queries])
    order = np.array([sorted(range(len(documents)), key=lambda row: (-s[row], row))[:depth] for s in scores])
    return order, np.take_along_axis(scores, order, axis=1)


def search(
    queries: np.ndarray, documents: np.ndarray, depth: int, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    retriever = DenseRetriever("dense", Stored(queries), Stored(documents), **options)
    rows = np.arange(len(queries), dtype=np.int32)
    ranking = retriever.search(rows, depth, np.zeros((len(queries), 0), np.int32), Silent())
    return ranking.doc, ranking.score


@st.composite
def collections(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Few distinct vectors drawn many times (twins), some moved by a last bit (near ties)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dimension = draw(st.integers(1, 24))
    distinct = draw(st.integers(1, 12))
    count = draw(st.integers(1, 150))
    scale = draw(st.sampled_from([1.0, 1e-3, 1e3]))
    base = rng.standard_normal((distinct, dimension)) * scale
    if draw(st.booleans()):
        base = np.round(base * 2)
    documents = base[rng.integers(0, distinct, count)].astype(np.float32)
    nudged = rng.random(documents.shape) < draw(st.sampled_from([0.0, 0.05]))
    documents[nudged] = np.nextafter(documents[nudged], np.float32(np.inf))
    if draw(st.booleans()):
        documents = documents.astype(np.float16)
    queries = rng.standard_normal((draw(st.integers(1, 4)), dimension)).astype(np.float32)
    return queries, documents, draw(st.integers(1, 60))


@settings(max_examples=150)
@given(collections(), st.integers(1, 40), st.integers(1, 5))
def test_equals_brute_force_whatever_the_blocks(
    collection: tuple[np.ndarray, np.ndarray, int], rows_a_block: int, query_block: int
) -> None:
    queries, documents, depth = collection
    doc, score = search(
        queries,
        documents,
        depth,
        block_bytes=4 * documents.shape[1] * rows_a_block,
        query_block=query_block,
    )
    wanted_doc, wanted_score = brute_force(queries, documents.astype(np.float32), depth)
    width = min(depth, len(documents))
    np.testing.assert_array_equal(doc[:, :width], wanted_doc)
    np.testing.assert_array_equal(score[:, :width], wanted_score)
    assert (doc[:, width:] == -1).all()
    assert np.isnan(score[:, width:]).all()


class HalfIndex:
    """What FAISS makes of a flat index on GPUs: float16, sums in float32."""

    def add(self, vectors: np.ndarray) -> None:
        self.vectors = vectors.astype(np.float16).astype(np.float32)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        score = queries @ self.vectors.T
        row = np.argsort(-score, axis=1)[:, :k]
        return np.take_along_axis(score, row, axis=1), row


def gpus_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of a FAISS that is built for GPUs."""

    def on_all_gpus(index: Any, options: Any) -> HalfIndex:
        assert options.shard and options.useFloat16 and index.metric_type == faiss.METRIC_INNER_PRODUCT
        return HalfIndex()

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", on_all_gpus, raising=False)
    monkeypatch.setattr(faiss, "GpuMultipleClonerOptions", type("Options", (), {}), raising=False)


def fetching(finders: Sequence[Finder], overfetch: int) -> Sequence[Finder]:
    """So few beyond the depth that boundaries stay open."""
    for finder in finders:
        finder.overfetch = overfetch
    return finders


@settings(max_examples=100)
@given(
    collections(),
    st.integers(1, 40),
    st.sampled_from(["half", "float32", "half, float32", "faiss", "faiss-gpu"]),
    st.sampled_from([0, 1, 8, 256]),
    st.sampled_from([1.0, 2.0**-120, 2.0**60]),
)
def test_equals_brute_force_whoever_finds(
    collection: tuple[np.ndarray, np.ndarray, int],
    rows_a_block: int,
    names: str,
    overfetch: int,
    scale: float,
) -> None:
    queries, documents, depth = collection
    queries = queries * np.float32(scale)
    with pytest.MonkeyPatch.context() as monkeypatch:
        gpus_by_numpy(monkeypatch)
        finders: list[Finder] = [FaissFinder()]
        if names == "faiss-gpu":
            finders = [FaissGpuFinder(), FaissFinder()]
        elif names != "faiss":
            finders = [TorchFinder("cpu", name) for name in names.split(", ")]  # type: ignore[arg-type]
        doc, score = search(
            queries,
            documents,
            depth,
            block_bytes=4 * documents.shape[1] * rows_a_block,
            finders=fetching(finders, overfetch),
        )
    wanted_doc, wanted_score = brute_force(queries, documents.astype(np.float32), depth)
    width = min(depth, len(documents))
    np.testing.assert_array_equal(doc[:, :width], wanted_doc)
    np.testing.assert_array_equal(score[:, :width], wanted_score)


@pytest.mark.parametrize("dimension", [1, 3, 64, 384, 1000])
@pytest.mark.parametrize("precision", ["half", "float32"])
def test_scores_of_a_finder_err_by_no_more_than_it_says(precision: Any, dimension: int) -> None:
    """In half precision by more than float32 ever would, or this would show nothing."""
    rng = np.random.default_rng(dimension)
    lengths = 10.0 ** rng.integers(-6, 6, (60, 1))
    queries = (rng.standard_normal((60, dimension)) * lengths).astype(np.float32)
    documents = (rng.standard_normal((60, dimension)) * rng.random((60, 1)) * 1e3).astype(np.float32)
    finder = TorchFinder("cpu", precision)
    running = finder.begin(queries, 60)
    running.add(5, documents)
    row, score = running.best()
    exact = queries.astype(np.float64) @ documents.astype(np.float64).T
    off = np.abs(score - np.take_along_axis(exact, row - 5, axis=1))
    longest = np.linalg.norm(queries, axis=1, keepdims=True) * np.linalg.norm(documents, axis=1).max()
    assert (off <= finder.relative_error(dimension) * longest).all()
    assert ((off / longest).max() > 1e-5) == (precision == "half")


def test_tiles_of_scores_and_blocks_of_documents_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    queries, documents = rng.standard_normal((50, 16)), rng.standard_normal((400, 16))

    def best(rows_a_block: int, precision: Any = "float32") -> list[list[int]]:
        running = TorchFinder("cpu", precision).begin(queries.astype(np.float32), 30)
        for start in range(0, 400, rows_a_block):
            running.add(start, documents[start : start + rows_a_block].astype(np.float32))
        return np.sort(running.best()[0], axis=1).tolist()  # type: ignore[no-any-return]

    whole = best(400)
    assert best(37) == whole
    monkeypatch.setattr("hardneg.search.torch_finder._TILE_ELEMENTS", 1200)
    assert best(400) == whole and best(37) == whole


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([17, 64, 100]))
def test_threads_blocks_and_row_order_do_not_change_a_byte(seed: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    documents = rng.standard_normal((700, dimension)).astype(np.float32)
    documents[350:] = documents[:350]  # every document has a twin
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries = documents[:40] + rng.standard_normal((40, dimension)).astype(np.float32) * 0.1
    found = []
    before = faiss.omp_get_max_threads()
    try:
        for threads, rows, query_block in ((1, 700, 40), (2, 91, 40), (2, 350, 7), (1, 13, 3)):
            faiss.omp_set_num_threads(threads)
            doc, score = search(
                queries, documents, 30, block_bytes=4 * dimension * rows, query_block=query_block
            )
            found.append(doc.tobytes() + score.tobytes())
        order = rng.permutation(40)
        doc, score = search(queries[order], documents, 30)
        back = np.argsort(order)
        found.append(doc[back].tobytes() + score[back].tobytes())
    finally:
        faiss.omp_set_num_threads(before)
    assert len(set(found)) == 1


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 9), st.integers(1, 9))
def test_canonical_scores_do_not_depend_on_the_batch(seed: int, dimension: int, queries: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((queries, dimension)).astype(np.float32)
    documents = rng.standard_normal((20, dimension)).astype(np.float32)
    doc = rng.integers(0, 20, (queries, k)).astype(np.int32)
    together = score_documents(left, Stored(documents), doc)
    for q in range(queries):
        for place in range(k):
            alone = canonical_scores(left[q : q + 1], documents[doc[q, place]][None, None])
            assert alone[0, 0] == together[q, place]


@pytest.mark.parametrize("dimension", [1, 2, 3, 5, 31, 32, 33, 64, 384, 768, 1000])
def test_canonical_scores_sum_every_dimension_in_the_halving_order(dimension: int) -> None:
    left, right = np.random.default_rng(dimension).standard_normal((2, dimension)).astype(np.float32)
    found = canonical_scores(left[None], right[None, None])[0, 0]
    assert found == halving_sums(left, right[None])[0]
    exact = math.fsum(float(a) * float(b) for a, b in zip(left, right, strict=True))
    assert abs(float(found) - exact) <= 2.0**-24 * abs(exact) + 1e-13


def test_whole_numbers_are_scored_without_any_error() -> None:
    rng = np.random.default_rng(0)
    queries, documents = rng.integers(-30, 31, (2, 50, 100)).astype(np.float32)
    found = canonical_scores(queries, documents[None].repeat(50, axis=0))
    np.testing.assert_array_equal(found, queries.astype(np.int64) @ documents.astype(np.int64).T)
