"""A selection's four tables under the run directory: all of them, or none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from hardneg.files import TEMPORARY, remove, write_parquet
from hardneg.leftovers import removed_if_ended
from hardneg.plan.decision_file import DecisionFile
from hardneg.refusals import plainly
from hardneg.run_directory import RunDirectory
from hardneg.select import Selection, joined, negative_table, outcome_table, positive_table

ROWS_A_GROUP = 1 << 22
"""Of what is not of every candidate: enough that few groups repeat the ids."""


class SelectionWriter:
    """Takes block after block. Decisions, as many as candidates, go to disk on the way; the rest is small.

    `close` lets the files go, whether the selection is whole or not.
    """

    def __init__(
        self, folder: Path, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray, messages: dict[int, str]
    ) -> None:
        self._folder, self._query_ids, self._doc_ids, self._messages = folder, query_ids, doc_ids, messages
        self._decisions = DecisionFile(folder / "decisions.parquet", query_ids, doc_ids)
        self._parts: list[Selection] = []

    def add(self, selection: Selection) -> None:
        self._decisions.add(selection)
        self._parts.append(selection.without_decisions())

    def close(self) -> None:
        self._decisions.close()

    def finish(self) -> dict[str, pa.Table]:
        """Write what was gathered; return the tables."""
        self._decisions.finish()
        whole = joined(self._parts)
        self._parts = []
        tables = {
            "negatives": negative_table(whole, self._query_ids, self._doc_ids),
            "positives": positive_table(whole, self._query_ids, self._doc_ids),
            "outcomes": self._outcomes(whole),
        }
        for name, table in tables.items():
            tables[name] = in_order_of_use(table)
            path = self._folder / f"{name}.parquet"
            write_parquet(tables[name], path, ROWS_A_GROUP, filtered_by=["query_id"])
        return tables

    def _outcomes(self, selection: Selection) -> pa.Table:
        """With the plan's own words for queries that a list leaves out."""
        if not self._messages:
            return outcome_table(selection, self._query_ids)
        rows = selection.query.tolist()
        words = [self._messages.get(row, said) for row, said in zip(rows, selection.message, strict=True)]
        return outcome_table(replace(selection, message=tuple(words)), self._query_ids)


def in_order_of_use(table: pa.Table) -> pa.Table:
    """The table over dictionaries of those values that occur, in the order in which they occur first."""
    columns = [
        _by_first_use(column.combine_chunks()) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)


def _by_first_use(column: pa.DictionaryArray) -> pa.DictionaryArray:
    used = column.indices.drop_null().to_numpy()
    first = np.full(len(column.dictionary), len(used), np.int64)
    first[used[::-1]] = np.arange(len(used))[::-1]  # of several, the last to write is the first to occur
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(used))]
    place = np.zeros(max(len(first), 1), np.int32)  # one at least, for null to look up
    place[order] = np.arange(len(order), dtype=np.int32)
    number = column.indices.fill_null(0).to_numpy()
    missing = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    return pa.DictionaryArray.from_arrays(
        pa.array(place[number], mask=missing), column.dictionary.take(pa.array(order))
    )


@contextmanager
def replacing_selection(run: RunDirectory, name: str) -> Iterator[Path]:
    """A folder under a temporary name that takes the selection's place when the block ends well.

    The manifest then knows no selection of the name: its word of the old tables is not for the new ones.
    """
    target = run.selection(name)
    temporary = target.with_name(f"{TEMPORARY}{name}")
    with plainly(target), removed_if_ended(temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            run.forget_selection(name)
            remove(target)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
