"""Blocks as rows of the candidates and positives tables, and back.

A candidate found by several retrievers has a row for each of them. Beside the ids the rows hold the row
numbers of query and document, so that choosing again reads no strings; which queries a table is about, those
without any candidate included, is noted in its metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hardneg.errors import StoreError, UsageError
from hardneg.records import CANDIDATES, NO_DOC, POSITIVES, Block, Float32, Int32, Int64
from hardneg.search.union import at_rank, fuse

QUERIES_KEY = b"hardneg.queries"
"""Metadata of a candidates table: its query rows in order, as ranges `start:stop,start:stop`."""


def candidate_rows(block: Block, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> pa.Table:
    """CANDIDATES and a float32 column a scorer; by query, then retriever in order, then rank.

    `query_ids` and `doc_ids` are the ids of all queries and of the corpus. A score that is not there is
    null. Raises UsageError for a scorer that is called as a column of the table.
    """
    _refuse_names(block.scorers, CANDIDATES)
    row, column, retriever, rank = _found(block)
    query, doc = block.query[row], block.doc[row, column]
    score = np.empty(len(row), np.float32)
    for code, name in enumerate(block.retrievers):
        mine = retriever == code
        score[mine] = block.scores[name][row[mine], column[mine]]
    columns = {
        "query_id": ids_of(query, query_ids),
        "doc_id": ids_of(doc, doc_ids),
        "retriever": pa.DictionaryArray.from_arrays(
            pa.array(retriever), pa.array(block.retrievers, pa.string())
        ),
        "rank": rank,
        "score": _floats(score),
        "query_row": query,
        "doc_row": doc,
        **{name: _floats(block.scores[name][row, column]) for name in block.scorers},
    }
    return _table(columns, CANDIDATES).replace_schema_metadata({QUERIES_KEY: _as_ranges(block.query)})


def positive_rows(block: Block, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> pa.Table:
    """POSITIVES and a float32 column a retriever and scorer, null where it gave no score; by query.

    Raises UsageError for a retriever or scorer that is called as a column of the table.
    """
    _refuse_names(block.positive_scores, POSITIVES)
    row, column = np.nonzero(block.positive != NO_DOC)
    query, doc = block.query[row], block.positive[row, column]
    columns = {
        "query_id": ids_of(query, query_ids),
        "doc_id": ids_of(doc, doc_ids),
        "query_row": query,
        "doc_row": doc,
        **{name: _floats(score[row, column]) for name, score in block.positive_scores.items()},
    }
    return _table(columns, POSITIVES)


def block_from_rows(
    candidates: pa.Table, positives: pa.Table, *, retrievers: Sequence[str], depth: int
) -> Block:
    """The block that the rows were made from, cut to the first `depth` ranks of each retriever.

    Reads none of the id columns, which may be left out. `retrievers` gives their order. Raises StoreError
    for rows of a retriever that is not among them.
    """
    query = _queries(candidates, positives)
    rank, row, doc = (_numbers(candidates, name) for name in ("rank", "query_row", "doc_row"))
    code = _codes(candidates["retriever"], retrievers)
    scorers = [name for name in candidates.column_names if name not in CANDIDATES.names]
    values = {name: _numbers(candidates, name) for name in ("score", *scorers)}
    if len(rank) and rank.max() > depth:
        keep = rank <= depth
        rank, row, doc, code = rank[keep], row[keep], doc[keep], code[keep]
        values = {name: value[keep] for name, value in values.items()}
    place = _places(row, query)
    grids = []
    for number in range(len(retrievers)):
        mine = slice(None) if len(retrievers) == 1 else code == number
        own = {name: value[mine] for name, value in values.items()}
        grids.append(_by_rank(place[mine], rank[mine], {"doc": doc[mine], **own}, len(query)))
    return _block(query, dict(zip(retrievers, grids, strict=True)), scorers, positives)


def by_rank_of(candidates: pa.Table, retriever: str) -> tuple[Int32, Float32]:
    """What one retriever found, by rank: documents and scores, (queries, deepest rank) both."""
    query = _queries(candidates, candidates)
    mine = candidates.filter(pc.equal(candidates["retriever"].cast(pa.string()), retriever))
    place = _places(_numbers(mine, "query_row"), query)
    values = {"doc": _numbers(mine, "doc_row"), "score": _numbers(mine, "score")}
    grid = _by_rank(place, _numbers(mine, "rank"), values, len(query))
    return grid["doc"], grid["score"]


def ids_of(rows: Int32, ids: pa.ChunkedArray) -> pa.DictionaryArray:
    """The ids at these rows, over a dictionary of those that occur.

    Parquet stores a dictionary whole, so one of the whole corpus would be written with every part.
    """
    used = np.zeros(len(ids), bool)
    used[rows] = True
    distinct = np.flatnonzero(used)
    number = np.zeros(len(ids), np.int32)
    number[distinct] = np.arange(len(distinct), dtype=np.int32)
    words = (
        pa.chunked_array([ids.take(pa.array(distinct))]) if isinstance(ids, pa.Array) else ids.take(distinct)
    )
    return pa.DictionaryArray.from_arrays(pa.array(number[rows]), words.cast(pa.string()).combine_chunks())


def _found(block: Block) -> tuple[Int64, Int64, Int32, Int32]:
    """Row and column in the block, retriever number and rank of each candidate row, in the table's order."""
    parts = []
    for number, rank in enumerate(block.ranks.values()):
        row, column = np.nonzero(rank)
        parts.append((row, column, np.full(len(row), number, np.int32), rank[row, column]))
    row, column, retriever, ranks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    key = (row * len(parts) + retriever) * (int(ranks.max(initial=0)) + 1) + ranks
    if (key[1:] > key[:-1]).all():  # one retriever: its own order already
        return row, column, retriever, ranks
    order = np.argsort(key, kind="stable")
    return row[order], column[order], retriever[order], ranks[order]


def _block(
    query: Int32, grids: Mapping[str, Mapping[str, Any]], scorers: Sequence[str], positives: pa.Table
) -> Block:
    """Fuse what each retriever found, `grids`: retriever → doc, score and scorers by rank."""
    doc, ranks_in_order = fuse([grid["doc"] for grid in grids.values()])
    ranks = dict(zip(grids, ranks_in_order, strict=True))
    if len(grids) == 1:  # its own order: nothing has moved
        scores = {name: grid["score"] for name, grid in grids.items()}
        scores.update({scorer: grid[scorer] for grid in grids.values() for scorer in scorers})
        return Block(query, doc, ranks, scores, *_positives(query, positives), _nothing(doc))
    scores = {name: at_rank(grid["score"], ranks[name]) for name, grid in grids.items()}
    for scorer in scorers:
        scores[scorer] = np.full(doc.shape, np.nan, np.float32)
        for name, grid in grids.items():
            found = ranks[name] > 0
            scores[scorer][found] = at_rank(grid[scorer], ranks[name])[found]
    return Block(query, doc, ranks, scores, *_positives(query, positives), _nothing(doc))


def _nothing(doc: Int32) -> Float32:
    return np.full(doc.shape, np.nan, np.float32)


def _by_rank(place: Int64, rank: Int32, values: Mapping[str, Any], queries: int) -> dict[str, Any]:
    """Each array of values, one a row, as (queries, deepest rank); NO_DOC or NaN where there is none."""
    width = int(rank.max(initial=0))
    full = len(rank) == queries * width
    in_order = full and bool((rank.reshape(queries, width) == np.arange(1, width + 1)).all())
    if in_order and bool((place.reshape(queries, width) == np.arange(queries)[:, None]).all()):
        return {name: value.reshape(queries, width) for name, value in values.items()}
    target = place * width + rank - 1
    grid = {}
    for name, value in values.items():
        empty = NO_DOC if value.dtype == np.int32 else np.nan
        flat = np.full(queries * width, empty, value.dtype)
        flat[target] = value
        grid[name] = flat.reshape(queries, width)
    return grid


def _positives(query: Int32, positives: pa.Table) -> tuple[Int32, dict[str, Float32]]:
    row, doc = _numbers(positives, "query_row"), _numbers(positives, "doc_row")
    names = [name for name in positives.column_names if name not in POSITIVES.names]
    place = _places(row, query)
    order = np.argsort(place, kind="stable")
    place = place[order]
    rank = (np.arange(len(place)) - np.searchsorted(place, place) + 1).astype(np.int32)
    values = {name: _numbers(positives, name)[order] for name in names}
    grid = _by_rank(place, rank, {"doc": doc[order], **values}, len(query))
    positive: Int32 = grid.pop("doc")
    return positive, grid


def _queries(candidates: pa.Table, positives: pa.Table) -> Int32:
    """The rows of the queries that the tables are about, int32 (queries,)."""
    ranges = (candidates.schema.metadata or {}).get(QUERIES_KEY)
    if ranges is None:
        found = [_numbers(table, "query_row") for table in (candidates, positives)]
        return np.unique(np.concatenate(found)).astype(np.int32)
    bounds = [part.split(":") for part in ranges.decode().split(",") if part]
    parts = [np.arange(int(start), int(stop), dtype=np.int32) for start, stop in bounds]
    return np.concatenate([np.zeros(0, np.int32), *parts])


def _as_ranges(rows: Int32) -> bytes:
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    parts = np.split(rows, breaks) if len(rows) else []
    return ",".join(f"{part[0]}:{part[-1] + 1}" for part in parts).encode()


def _places(row: Int32, query: Int32) -> Int64:
    """Where in `query` each row number stands, int64; StoreError where one does not."""
    if not len(row):
        return np.zeros(0, np.int64)
    each = len(row) // max(len(query), 1)  # rows of a query, where all have as many and stand in order
    if each * len(query) == len(row) and (row.reshape(-1, each) == query[:, None]).all():
        return np.repeat(np.arange(len(query)), each)
    first = int(query.min(initial=row.min()))
    place_of = np.full(max(int(row.max()), int(query.max(initial=0))) - first + 1, -1, np.int64)
    place_of[query - first] = np.arange(len(query))
    place = place_of[row - first]
    if place.min() < 0:
        raise StoreError("candidates and positives name other queries than their part holds; search again")
    return place


def _codes(column: pa.ChunkedArray, retrievers: Sequence[str]) -> Int32:
    """The retriever of each row as its place in `retrievers`, int32."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no rows at all
        return np.zeros(0, np.int32)
    names = column.dictionary.to_pylist()
    code_of = np.array([retrievers.index(n) if n in retrievers else -1 for n in names], np.int32)
    if len(names) == 1 and not column.null_count and code_of[0] >= 0:
        one_for_all: Int32 = np.broadcast_to(code_of[0], len(column))
        return one_for_all
    code: Int32 = code_of[column.indices.to_numpy(zero_copy_only=False)]
    if len(code) and code.min() < 0:
        unknown = names[int(column.indices[int(np.argmin(code))].as_py())]
        raise StoreError(
            f"candidates of the retriever {unknown!r}, which this run does not have; search again"
        )
    return code


def _numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """A column of numbers; null becomes NaN."""
    column: NDArray[Any] = table[name].to_numpy()
    return column


def _floats(values: Float32) -> pa.Array:
    return pa.array(values, pa.float32(), from_pandas=True)  # NaN becomes null


def _table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    extra = [(name, pa.float32()) for name in columns if name not in schema.names]
    return pa.table(dict(columns), schema=pa.schema([*schema, *(pa.field(*field) for field in extra)]))


def _refuse_names(names: Sequence[str] | Mapping[str, Any], schema: pa.Schema) -> None:
    for name in names:
        if name in schema.names:
            raise UsageError(
                f"a retriever or scorer cannot be called {name!r}, a column's name; choose another"
            )
