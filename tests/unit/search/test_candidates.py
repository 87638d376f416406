"""Blocks become rows, and rows become the same blocks again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg.errors import StoreError, UsageError
from hardneg.files import read_parquet, write_parquet
from hardneg.records import CANDIDATES, NO_DOC, POSITIVES, Block, Ranking
from hardneg.search.candidates import block_from_rows, candidate_rows, positive_rows
from hardneg.search.union import union

QUERY_IDS = pa.chunked_array([[f"q{i}" for i in range(50)]])
DOC_IDS = pa.chunked_array([[f"d{i:03d}" for i in range(100)], [f"d{i:03d}" for i in range(100, 300)]])


def same(first: Block, second: Block) -> None:
    for name in ("query", "doc", "positive", "p_false_negative"):
        left, right = getattr(first, name), getattr(second, name)
        np.testing.assert_array_equal(left, right, name)
        assert left.dtype == right.dtype, name
    for name in ("ranks", "scores", "positive_scores"):
        left, right = getattr(first, name), getattr(second, name)
        assert list(left) == list(right)
        for key in left:
            np.testing.assert_array_equal(left[key], right[key], f"{name} {key}")
            assert left[key].dtype == right[key].dtype


def random_ranking(
    name: str, queries: int, depth: int, positives: np.ndarray, seed: int, full: bool
) -> Ranking:
    rng = np.random.default_rng(seed)
    doc = np.array([rng.permutation(300)[:depth] for _ in range(queries)], np.int32).reshape(queries, depth)
    score = -np.sort(-rng.random((queries, depth)).astype(np.float32), axis=1)
    if not full:
        empty = np.arange(depth)[None, :] >= rng.integers(0, depth + 1, queries)[:, None]
        doc[empty], score[empty] = NO_DOC, np.nan
    positive_score = rng.random(positives.shape).astype(np.float32)
    positive_score[(positives == NO_DOC) | (rng.random(positives.shape) < 0.2)] = np.nan
    return Ranking(name, doc, score, positive_score)


def random_block(
    names: str, query: np.ndarray, *, full: bool = False, scorer: bool = False, depth: int = 20
) -> Block:
    rng = np.random.default_rng(3)
    positive = np.sort(rng.integers(0, 300, (len(query), 3)), axis=1).astype(np.int32)
    positive[rng.random(len(query)) < 0.5, 1:] = NO_DOC
    rankings = [random_ranking(n, len(query), depth, positive, i, full) for i, n in enumerate(names)]
    block = union(query, rankings, positive)
    if not scorer:
        return block
    score = rng.random(block.doc.shape).astype(np.float32)
    score[~block.present] = np.nan
    wanted = rng.random(positive.shape).astype(np.float32)
    wanted[positive == NO_DOC] = np.nan
    return replace(
        block,
        scores={**block.scores, "judge": score},
        positive_scores={**block.positive_scores, "judge": wanted},
    )


def rows_of(block: Block) -> tuple[pa.Table, pa.Table]:
    return candidate_rows(block, QUERY_IDS, DOC_IDS), positive_rows(block, QUERY_IDS, DOC_IDS)


def test_rows_by_hand() -> None:
    positive = np.array([[2, NO_DOC], [0, 7]], np.int32)
    dense = Ranking(
        "dense",
        np.array([[5, 2], [4, NO_DOC]], np.int32),
        np.array([[0.9, 0.8], [0.7, np.nan]], np.float32),
        np.array([[0.8, np.nan], [0.1, 0.2]], np.float32),
    )
    run = Ranking(
        "run",
        np.array([[2], [NO_DOC]], np.int32),
        np.array([[30], [np.nan]], np.float32),
        np.array([[30, np.nan], [np.nan, np.nan]], np.float32),
    )
    candidates, positives = rows_of(union(np.array([7, 8], np.int32), [dense, run], positive))
    assert candidates.schema.equals(CANDIDATES)
    assert candidates.select(
        ["query_id", "doc_id", "retriever", "rank", "query_row", "doc_row"]
    ).to_pylist() == [
        {"query_id": "q7", "doc_id": "d005", "retriever": "dense", "rank": 1, "query_row": 7, "doc_row": 5},
        {"query_id": "q7", "doc_id": "d002", "retriever": "dense", "rank": 2, "query_row": 7, "doc_row": 2},
        {"query_id": "q7", "doc_id": "d002", "retriever": "run", "rank": 1, "query_row": 7, "doc_row": 2},
        {"query_id": "q8", "doc_id": "d004", "retriever": "dense", "rank": 1, "query_row": 8, "doc_row": 4},
    ]
    np.testing.assert_array_equal(candidates["score"].to_numpy(), np.float32([0.9, 0.8, 30, 0.7]))
    assert positives.column_names == [*POSITIVES.names, "dense", "run"]
    assert positives["doc_id"].to_pylist() == ["d002", "d000", "d007"]
    assert positives["run"].to_pylist() == [30, None, None]


@pytest.mark.parametrize("names", ["a", "ab", "cba"])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("scorer", [True, False])
@pytest.mark.parametrize("query", [np.arange(3, 33), np.array([1, 5, 6, 49]), np.zeros(0, int)])
def test_rows_give_the_same_block_back(
    names: str, full: bool, scorer: bool, query: np.ndarray, tmp_path: Path
) -> None:
    block = random_block(names, query.astype(np.int32), full=full, scorer=scorer)
    if not len(query):
        block = replace(block, positive=block.positive[:, :0], positive_scores=_emptied(block))
    for table, name in zip(rows_of(block), ("candidates", "positives"), strict=True):
        write_parquet(table, tmp_path / f"{name}.parquet", row_group_size=100)
    read = []
    for name in ("candidates", "positives"):
        path = tmp_path / f"{name}.parquet"
        numbers = [c for c in pq.read_schema(path).names if c not in ("query_id", "doc_id")]
        read.append(read_parquet(path, numbers))
    same(block_from_rows(*read, retrievers=list(names), depth=20), block)


def _emptied(block: Block) -> dict[str, np.ndarray]:
    return {name: score[:, :0] for name, score in block.positive_scores.items()}


@pytest.mark.parametrize("names", ["a", "ab"])
def test_a_smaller_depth_gives_the_block_of_that_depth(names: str) -> None:
    query = np.arange(10, dtype=np.int32)
    positive = np.zeros((10, 1), np.int32)
    deep = [random_ranking(n, 10, 30, positive, i, full=False) for i, n in enumerate(names)]
    shallow = [replace(r, doc=r.doc[:, :12], score=r.score[:, :12]) for r in deep]
    rows = rows_of(union(query, deep, positive))
    same(block_from_rows(*rows, retrievers=list(names), depth=12), union(query, shallow, positive))


def test_queries_without_any_candidate_or_positive_stay_in_the_block() -> None:
    empty = np.full((3, 4), NO_DOC, np.int32)
    nothing = np.full((3, 4), np.nan, np.float32)
    ranking = Ranking("a", empty, nothing, np.zeros((3, 0), np.float32))
    block = union(np.array([2, 3, 9], np.int32), [ranking], np.zeros((3, 0), np.int32))
    same(block_from_rows(*rows_of(block), retrievers=["a"], depth=4), block)


def test_a_retriever_that_found_nothing_keeps_its_place() -> None:
    positive = np.zeros((2, 1), np.int32)
    some = random_ranking("some", 2, 5, positive, 0, full=True)
    none = Ranking(
        "none", np.full((2, 5), NO_DOC, np.int32), np.full((2, 5), np.nan, np.float32), some.positive_score
    )
    block = union(np.array([0, 1], np.int32), [none, some], positive)
    rebuilt = block_from_rows(*rows_of(block), retrievers=["none", "some"], depth=5)
    same(rebuilt, block)
    assert not rebuilt.ranks["none"].any()


def test_only_the_ids_that_occur_are_stored() -> None:
    block = random_block("a", np.arange(4, dtype=np.int32), depth=5)
    candidates, _ = rows_of(block)
    dictionary = candidates["doc_id"].chunk(0).dictionary
    assert sorted(dictionary.to_pylist()) == sorted(
        {DOC_IDS[int(d)].as_py() for d in block.doc[block.present]}
    )


def test_rows_of_an_unknown_retriever_or_query_are_refused() -> None:
    candidates, positives = rows_of(random_block("ab", np.arange(4, dtype=np.int32)))
    with pytest.raises(StoreError, match="retriever 'b'"):
        block_from_rows(candidates, positives, retrievers=["a"], depth=20)
    other = positives.set_column(2, "query_row", pa.array([40] * len(positives), pa.int32()))
    with pytest.raises(StoreError, match="other queries"):
        block_from_rows(candidates, other, retrievers=["a", "b"], depth=20)


def test_a_name_that_is_a_column_is_refused() -> None:
    positive = np.zeros((2, 1), np.int32)
    block = union(
        np.array([0, 1], np.int32), [random_ranking("doc_row", 2, 5, positive, 0, full=True)], positive
    )
    with pytest.raises(UsageError, match="'doc_row'"):
        positive_rows(block, QUERY_IDS, DOC_IDS)
