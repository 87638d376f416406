"""The labels of a collection as row numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError
from hardneg.records import Bool, Collection, Int32, Pairs


def positives(collection: Collection, min_relevance: float | None = None) -> Pairs:
    """The positives of each query: relevance from `min_relevance` on; above 0 where that is None."""
    relevance = collection.qrels["relevance"].to_numpy()
    return _pairs(collection, collection.qrels.filter(pa.array(is_positive(relevance, min_relevance))))


def partly_relevant(collection: Collection, min_relevance: float | None = None) -> Pairs:
    """The documents that are judged relevant (above 0), but less than a positive of the query is."""
    relevance = collection.qrels["relevance"].to_numpy()
    some = (relevance > 0) & ~is_positive(relevance, min_relevance)
    return _pairs(collection, collection.qrels.filter(pa.array(some)))


def given_pairs(collection: Collection) -> Pairs:
    """The negatives that the source brought along."""
    return _pairs(collection, collection.given)


def is_positive(relevance: np.ndarray, min_relevance: float | None) -> Bool:
    """bool (judgments,): which are positives."""
    positive: Bool = relevance > 0 if min_relevance is None else relevance >= min_relevance
    return positive


def rows_of(ids: pa.ChunkedArray, table_ids: pa.ChunkedArray) -> Int32:
    """int32 (len(ids),): the row of each id in a table of unique ids, -1 where it is not there."""
    if not len(ids):  # before the table's ids, which may be millions, are hashed
        return np.zeros(0, np.int32)
    found = pc.index_in(ids, value_set=table_ids)
    rows: Int32 = pc.fill_null(found, -1).to_numpy().astype(np.int32)
    return rows


def _pairs(collection: Collection, table: pa.Table) -> Pairs:
    query = rows_of(table["query_id"], collection.queries["query_id"])
    doc = rows_of(table["doc_id"], collection.corpus["doc_id"])
    if (query < 0).any() or (doc < 0).any():
        name, bad = ("query_id", query) if (query < 0).any() else ("doc_id", doc)
        unknown = table[name][int(np.argmax(bad < 0))].as_py()
        raise InputError("a label names an id that the collection does not hold", column=name, row_id=unknown)
    return Pairs.from_rows(query, doc, collection.queries.num_rows)
