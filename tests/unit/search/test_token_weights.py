"""Learned sparse search: sums by hand, ties by row, nothing without a shared token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from hardneg.errors import ModelError
from hardneg.progress import Silent
from hardneg.records import NO_DOC, Ranking
from hardneg.search.token_weights import TokenWeightRetriever

Weights = Mapping[str, float]


def weigh(texts: Sequence[str]) -> list[Weights]:
    """`a3 b0.5` → a weighs 3, b weighs 0.5."""
    return [{word[0]: float(word[1:]) for word in text.split()} for text in texts]


def search(queries: list[str], documents: list[str], depth: int, positives: list[list[int]]) -> Ranking:
    retriever = TokenWeightRetriever("sparse", queries, documents, weigh_queries=weigh, weigh_documents=weigh)
    rows = np.arange(len(queries), dtype=np.int32)
    return retriever.search(rows, depth, np.array(positives, np.int32), Silent())


def test_the_score_is_the_sum_of_products_over_shared_tokens() -> None:
    documents = ["a2 b1", "b4", "c9", "a1 b1 c1"]
    found = search(["a3 b0.5", "d1"], documents, 4, [[2, 0], [1, NO_DOC]])
    first, second, fourth = 3 * 2 + 0.5 * 1, 0.5 * 4, 3 * 1 + 0.5 * 1
    assert found.doc.tolist() == [[0, 3, 1, NO_DOC], [NO_DOC] * 4]
    np.testing.assert_array_equal(found.score, [[first, fourth, second, np.nan], [np.nan] * 4])
    np.testing.assert_array_equal(found.positive_score, [[0, first], [0, np.nan]])


def test_ties_go_by_row_and_depth_cuts() -> None:
    found = search(["a1"], ["a1", "a2", "a1", "a2"], 3, [[]])
    assert found.doc.tolist() == [[1, 3, 0]]


def test_documents_are_weighed_once() -> None:
    weighed: list[int] = []

    def counted(texts: Sequence[str]) -> list[Weights]:
        weighed.append(len(texts))
        return weigh(texts)

    retriever = TokenWeightRetriever(
        "sparse", ["a1"] * 3, ["a1", "a2"], weigh_queries=weigh, weigh_documents=counted
    )
    for row in range(3):
        retriever.search(np.array([row], np.int32), 1, np.zeros((1, 0), np.int32), Silent())
    assert weighed == [2]


def test_what_is_no_weight_is_an_error() -> None:
    with pytest.raises(ModelError, match="a weight is NaN or infinite"):
        search(["a1"], ["anan"], 1, [[]])
    short = TokenWeightRetriever(
        "sparse", ["a1"], ["a1"], weigh_queries=weigh, weigh_documents=lambda texts: []
    )
    with pytest.raises(ModelError, match="0 sets of weights for 1 texts"):
        short.search(np.zeros(1, np.int32), 1, np.zeros((1, 0), np.int32), Silent())
