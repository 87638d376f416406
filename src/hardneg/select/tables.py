"""Selections as tables, a block at a time: row numbers become the user's ids.

Ids are dictionary arrays, and each block's dictionary holds only the ids that the block needs: a dictionary
of the whole corpus would be written again with every row group of a Parquet file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hardneg.records import DECISIONS, ID, NEGATIVES, NO_DOC, SELECTED_POSITIVES, Float32, Int32
from hardneg.select.reasons import DECISIONS as DECISION_NAMES
from hardneg.select.reasons import Codes
from hardneg.select.selection import OUTCOMES, POSITIVE_SOURCES, SOURCES, Selection
from hardneg.texts import take


def decision_table(
    selection: Selection, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray | pa.StringArray
) -> pa.Table:
    """DECISIONS: every candidate and given negative with its reason, by query, then in the block's order.

    `query_ids` and `doc_ids` are the ids of all queries and of the corpus, by row. Where those of the corpus
    are one array of strings, that is the dictionary, the same in every block's table.
    """
    present = selection.doc != NO_DOC
    there = slice(None) if present.all() else present.ravel()
    reason = selection.reason.ravel()[there]
    doc = selection.doc.ravel()[there]
    decision = np.array(
        [DECISION_NAMES.index(selection.codes.decision(n)) for n in range(len(selection.codes.names))],
        np.int32,
    )
    row = np.repeat(np.arange(len(present), dtype=np.int32), np.count_nonzero(present, axis=1))
    return _table(
        DECISIONS,
        query_id=pa.DictionaryArray.from_arrays(pa.array(row), _strings(query_ids, selection.query)),
        doc_id=ids(doc_ids, doc)
        if isinstance(doc_ids, pa.ChunkedArray)
        else pa.DictionaryArray.from_arrays(pa.array(doc), doc_ids),
        p_false_negative=floats(selection.p_false_negative.ravel()[there]),
        decision=_named(decision[reason], DECISION_NAMES),
        reason=_named(reason.astype(np.int32), selection.codes.names),
    )


def positive_table(selection: Selection, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> pa.Table:
    """SELECTED_POSITIVES: those that negatives were chosen for, judged ones too, and promoted candidates."""
    positives = selection.positives
    return _table(
        SELECTED_POSITIVES,
        query_id=ids(query_ids, positives.query),
        doc_id=ids(doc_ids, positives.doc),
        source=_named(positives.source.astype(np.int32), POSITIVE_SOURCES),
        score=floats(positives.score),
        p_false_negative=floats(positives.chance),
    )


def negative_table(selection: Selection, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> pa.Table:
    """NEGATIVES, by query, positive (under `each`), and order of choice."""
    chosen = selection.negatives
    return _table(
        NEGATIVES,
        query_id=ids(query_ids, chosen.query),
        doc_id=ids(doc_ids, chosen.doc),
        positive_id=ids(doc_ids, chosen.positive),
        rank=pa.array(chosen.rank, mask=chosen.rank == 0),
        score=floats(chosen.score),
        retriever=_named(chosen.retriever.astype(np.int32), selection.retrievers),
        positive_score=floats(chosen.positive_score),
        margin=floats(chosen.margin),
        p_false_negative=floats(chosen.p_false_negative),
        source=_named(chosen.source.astype(np.int32), SOURCES),
    )


def outcome_schema(codes: Codes) -> pa.Schema:
    """`query_id`, `outcome`, `message`, and an int32 count for each reason."""
    counts = [(name, pa.int32()) for name in codes.names if name]
    return pa.schema([("query_id", ID), ("outcome", ID), ("message", pa.string()), *counts])


def outcome_table(selection: Selection, query_ids: pa.ChunkedArray) -> pa.Table:
    """One row a query; the counts add up to its rows in the decisions."""
    counts = {name: selection.counts[:, place] for place, name in enumerate(selection.codes.names) if name}
    return _table(
        outcome_schema(selection.codes),
        query_id=ids(query_ids, selection.query),
        outcome=_named(selection.outcome.astype(np.int32), OUTCOMES),
        message=pa.array(selection.message, pa.string()),
        **counts,
    )


def _table(schema: pa.Schema, **columns: Any) -> pa.Table:
    return pa.table([columns[name] for name in schema.names], schema=schema)


def ids(of: pa.ChunkedArray, rows: Int32) -> pa.DictionaryArray:
    """The ids of these rows, null for NO_DOC; the dictionary holds those that occur, in ascending rows."""
    occurs = np.zeros(len(of), np.bool_)
    missing = rows == NO_DOC
    occurs[rows[~missing] if missing.any() else rows] = True
    used = np.flatnonzero(occurs).astype(np.int32)
    place = np.empty(len(of) + 1, np.int32)  # the last is what NO_DOC looks up
    place[used] = np.arange(len(used), dtype=np.int32)
    place[-1] = 0
    index = pa.array(place[rows], mask=missing) if missing.any() else pa.array(place[rows])
    return pa.DictionaryArray.from_arrays(index, _strings(of, used))


def floats(values: Float32) -> pa.Array:
    """NaN as null."""
    missing = np.isnan(values)
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)


def _strings(of: pa.ChunkedArray, rows: Int32) -> pa.Array:
    return take(of, rows).cast(pa.string())


def _named(index: NDArray[np.int32], names: Sequence[str]) -> pa.DictionaryArray:
    """Negative indices as null."""
    missing = index < 0
    return pa.DictionaryArray.from_arrays(
        pa.array(index, mask=missing) if missing.any() else pa.array(index), pa.array(names, pa.string())
    )
