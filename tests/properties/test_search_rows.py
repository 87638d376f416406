"""Union, rows and back: nothing is lost, nothing stands twice, whatever the retrievers found."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.records import NO_DOC, Block, Ranking
from hardneg.search.candidates import block_from_rows, candidate_rows, positive_rows
from hardneg.search.union import union

IDS = pa.chunked_array([[f"id{i:02d}" for i in range(40)]])
FOUND = st.lists(st.integers(0, 39), unique=True, max_size=12)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, list[Ranking], np.ndarray]:
    query = np.array(sorted(draw(st.sets(st.integers(0, 39), max_size=5))), np.int32)
    count = draw(st.integers(1, 3))
    depth = 12
    positives = [sorted(draw(st.sets(st.integers(0, 39), max_size=3))) for _ in query]
    positive = np.full((len(query), max(map(len, positives), default=0)), NO_DOC, np.int32)
    for row, docs in enumerate(positives):
        positive[row, : len(docs)] = docs
    out = []
    for number in range(count):
        doc = np.full((len(query), depth), NO_DOC, np.int32)
        score = np.full((len(query), depth), np.nan, np.float32)
        for row in range(len(query)):
            docs = draw(FOUND)
            doc[row, : len(docs)] = docs
            score[row, : len(docs)] = -np.arange(len(docs)) / 8 - number
        positive_score = np.where(positive == NO_DOC, np.nan, positive + number).astype(np.float32)
        out.append(Ranking(f"retriever{number}", doc, score, positive_score))
    return query, out, positive


def cut(ranking: Ranking, depth: int) -> Ranking:
    return Ranking(
        ranking.retriever, ranking.doc[:, :depth], ranking.score[:, :depth], ranking.positive_score
    )


def arrays(block: Block) -> list[np.ndarray]:
    return [
        block.query,
        block.doc,
        block.positive,
        block.p_false_negative,
        *block.ranks.values(),
        *block.scores.values(),
        *block.positive_scores.values(),
    ]


@settings(max_examples=150)
@given(rankings(), st.integers(1, 12))
def test_rows_give_back_the_block_of_any_depth(
    found: tuple[np.ndarray, list[Ranking], np.ndarray], depth: int
) -> None:
    query, every, positive = found
    block = union(query, every, positive)
    rows = candidate_rows(block, IDS, IDS), positive_rows(block, IDS, IDS)
    rebuilt = block_from_rows(*rows, retrievers=block.retrievers, depth=depth)
    expected = union(query, [cut(ranking, depth) for ranking in every], positive)
    for left, right in zip(arrays(rebuilt), arrays(expected), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    assert list(rebuilt.ranks) == list(expected.ranks)


@settings(max_examples=150)
@given(rankings())
def test_a_union_holds_each_document_once_with_all_its_ranks(
    found: tuple[np.ndarray, list[Ranking], np.ndarray],
) -> None:
    query, every, positive = found
    block = union(query, every, positive)
    for row in range(len(query)):
        docs = [doc for doc in block.doc[row].tolist() if doc != NO_DOC]
        assert sorted(docs) == sorted({d for r in every for d in r.doc[row].tolist() if d != NO_DOC})
        assert block.doc[row, len(docs) :].tolist() == [NO_DOC] * (block.doc.shape[1] - len(docs))
        for ranking in every:
            rank = block.ranks[ranking.retriever][row]
            for place, doc in enumerate(docs):
                if rank[place]:
                    assert ranking.doc[row, rank[place] - 1] == doc
                    assert ranking.score[row, rank[place] - 1] == block.scores[ranking.retriever][row, place]
                else:
                    assert doc not in ranking.doc[row]


@settings(max_examples=100)
@given(rankings(), st.permutations(range(3)))
def test_the_order_of_retrievers_does_not_change_the_order_of_documents(
    found: tuple[np.ndarray, list[Ranking], np.ndarray], order: list[int]
) -> None:
    query, every, positive = found
    if len(every) < 2:
        return
    shuffled = [every[number] for number in order if number < len(every)]
    np.testing.assert_array_equal(union(query, every, positive).doc, union(query, shuffled, positive).doc)
