"""Reciprocal-rank fusion by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Ranking
from hardneg.search.union import union


def ranking(
    name: str, docs: list[list[int]], depth: int, positive: list[list[float]] | None = None
) -> Ranking:
    doc = np.full((len(docs), depth), NO_DOC, np.int32)
    score = np.full((len(docs), depth), np.nan, np.float32)
    for row, found in enumerate(docs):
        doc[row, : len(found)] = found
        score[row, : len(found)] = 100 - np.arange(len(found))
    wanted = np.array(positive if positive is not None else [[]] * len(docs), np.float32)
    return Ranking(name, doc, score, wanted)


def none(queries: int) -> np.ndarray:
    return np.zeros((queries, 0), np.int32)


def test_one_retriever_keeps_its_order() -> None:
    block = union(np.array([4, 9], np.int32), [ranking("a", [[5, 2, 7], [3]], 5)], none(2))
    assert block.doc.tolist() == [[5, 2, 7], [3, NO_DOC, NO_DOC]]
    assert block.ranks["a"].tolist() == [[1, 2, 3], [1, 0, 0]]
    np.testing.assert_array_equal(block.scores["a"], [[100, 99, 98], [100, np.nan, np.nan]])
    assert block.query.tolist() == [4, 9]
    assert np.isnan(block.p_false_negative).all()


def test_two_retrievers_are_fused() -> None:
    first, second = ranking("a", [[5, 2, 7]], 3), ranking("b", [[7, 8]], 4)
    block = union(np.array([0], np.int32), [first, second], none(1))
    # 7: 1/63 + 1/61; 5: 1/61; then 2 and 8 both 1/62, by row
    assert block.doc.tolist() == [[7, 5, 2, 8]]
    assert block.ranks["a"].tolist() == [[3, 1, 2, 0]]
    assert block.ranks["b"].tolist() == [[1, 0, 0, 2]]
    np.testing.assert_array_equal(block.scores["a"], [[98, 100, 99, np.nan]])
    np.testing.assert_array_equal(block.scores["b"], [[100, np.nan, np.nan, 99]])
    assert block.retrievers == ("a", "b")


def test_no_document_stands_twice() -> None:
    block = union(np.array([0], np.int32), [ranking(n, [[1, 2, 3]], 3) for n in "abc"], none(1))
    assert block.doc.tolist() == [[1, 2, 3]]


def test_equal_ranks_in_another_order_of_retrievers_tie_by_row() -> None:
    """Ranks 1, 2, 4 from three retrievers for one document and 4, 1, 2 and so on for the others."""
    lists = [[9, 8, 50, 7], [8, 7, 51, 9], [7, 9, 52, 8]]
    block = union(
        np.array([0], np.int32), [ranking(str(i), [docs], 4) for i, docs in enumerate(lists)], none(1)
    )
    assert block.doc[0, :3].tolist() == [7, 8, 9]


def test_matches_a_plain_fusion_on_random_rankings() -> None:
    rng = np.random.default_rng(0)
    lists = [[rng.permutation(40)[: rng.integers(0, 15)].tolist() for _ in range(30)] for _ in range(3)]
    block = union(
        np.arange(30, dtype=np.int32),
        [ranking(n, docs, 15) for n, docs in zip("xyz", lists, strict=True)],
        none(30),
    )
    for query in range(30):
        value: dict[int, list[float]] = {}
        for docs in lists:
            for place, doc in enumerate(docs[query]):
                value.setdefault(doc, []).append(1 / (60 + place + 1))
        expected = sorted(value, key=lambda doc: (-sum(sorted(value[doc])), doc))
        assert [doc for doc in block.doc[query].tolist() if doc != NO_DOC] == expected
        for name, docs in zip("xyz", lists, strict=True):
            for doc, rank in zip(block.doc[query], block.ranks[name][query], strict=True):
                assert rank == (docs[query].index(doc) + 1 if doc in docs[query] else 0)


def test_positive_scores_are_kept_for_each_retriever() -> None:
    wanted = np.array([[3]], np.int32)
    block = union(
        np.array([0], np.int32), [ranking("a", [[1]], 1, [[0.5]]), ranking("b", [[]], 1, [[np.nan]])], wanted
    )
    assert block.positive.tolist() == [[3]]
    assert block.positive_scores["a"].tolist() == [[0.5]]
    assert np.isnan(block.positive_scores["b"]).all()


def test_nothing_found_is_a_block_without_width() -> None:
    for rankings in ([ranking("a", [[], []], 3)], [ranking("a", [[], []], 3), ranking("b", [[], []], 2)]):
        assert union(np.array([0, 1], np.int32), rankings, none(2)).doc.shape == (2, 0)


def test_no_queries() -> None:
    assert union(np.zeros(0, np.int32), [ranking("a", [], 3), ranking("b", [], 2)], none(0)).doc.shape[0] == 0


def test_two_retrievers_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="each differently"):
        union(np.array([0], np.int32), [ranking("a", [[1]], 1), ranking("a", [[1]], 1)], none(1))
