"""The training file with its negatives: the input's rows in the input's order, every other key as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.api import Mined
from hardneg.compat.training_rows import IDS_OF_NEGATIVES, TrainingRow, warn
from hardneg.errors import InputError
from hardneg.quantities import counted
from hardneg.records import Int32, Int64
from hardneg.texts import mended, text_id

_ROWS_AT_ONCE = 1024
_OF_OLD_NEGATIVES = ("neg_scores", *IDS_OF_NEGATIVES)
"""Aligned with the negatives that were there, and wrong beside others."""
_SHOWN = 5


class WithNegatives:
    """Rows with mined negatives; what was not written is counted as they pass.

    A row without any is left out, for FlagEmbedding's trainers divide by their number. Rows of the same
    query have the same negatives.
    """

    def __init__(self, rows: Iterable[TrainingRow], mined: Mined) -> None:
        self._rows = iter(rows)
        collection = mined.collection
        self._texts = collection.corpus["text"]
        self._queries = collection.queries["query_id"].combine_chunks()
        self._start, self._doc = _by_query(mined.negatives, self._queries, collection.corpus["doc_id"])
        self.left_out: list[int] = []
        self.without_scores = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while part := list(islice(self._rows, _ROWS_AT_ONCE)):
            yield from self._written(part)
        if self.left_out:
            more = ", ..." if len(self.left_out) > _SHOWN else ""
            lines = ", ".join(map(str, self.left_out[:_SHOWN])) + more
            one, many = (
                "row has no negative and is left out: line",
                "rows have no negative and are left out: lines",
            )
            warn(f"{counted(len(self.left_out), one, many)} {lines}")
        if self.without_scores:
            rows = counted(self.without_scores, "row")
            warn(f"{rows} had scores or ids of other negatives, which are left out")

    def _written(self, part: list[TrainingRow]) -> Iterator[dict[str, Any]]:
        ids = pa.array([text_id(mended(row.query), "q-") for row in part], pa.string())
        query = pc.fill_null(pc.index_in(ids, value_set=self._queries), -1).to_numpy().astype(np.int64)
        if (query < 0).any():
            raise InputError(
                "was changed while it was mined; run again", line=part[int(np.argmin(query))].line
            )
        count = self._start[query + 1] - self._start[query]
        first = np.cumsum(count) - count
        place = np.repeat(self._start[query] - first, count) + np.arange(int(count.sum()))
        texts = self._texts.take(pa.array(self._doc[place])).to_pylist()
        for number, row in enumerate(part):
            negatives = texts[first[number] : first[number] + count[number]]
            if not negatives:
                self.left_out.append(row.line)
                continue
            stale = [key for key in _OF_OLD_NEGATIVES if key in row.row]
            self.without_scores += bool(stale)
            kept = {key: value for key, value in row.row.items() if key not in stale}
            yield {**kept, "pos": list(row.positives), "neg": negatives}


def _by_query(negatives: pa.Table, queries: pa.Array, documents: pa.ChunkedArray) -> tuple[Int64, Int32]:
    """The corpus rows of query q's negatives: `doc[start[q]:start[q + 1]]`, in the order of their choice."""
    query = pc.index_in(negatives["query_id"], value_set=queries).to_numpy().astype(np.int64)
    doc = pc.index_in(negatives["doc_id"], value_set=documents.combine_chunks()).to_numpy().astype(np.int32)
    order = np.argsort(query, kind="stable")
    start = np.searchsorted(query[order], np.arange(len(queries) + 1)).astype(np.int64)
    return start, doc[order]


def told_as(summary: Mapping[str, Any], output: Path, rows: int, written: WithNegatives) -> dict[str, Any]:
    """The run's summary, and what was written."""
    return {
        **summary,
        "output": str(output),
        "rows": rows,
        "rows_without_negatives": len(written.left_out),
    }
