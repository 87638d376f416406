"""A selection's four tables under the run directory: all of them, or none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from hardneg.files import TEMPORARY, write_parquet
from hardneg.plan.decision_file import DecisionFile
from hardneg.run_directory import RunDirectory
from hardneg.select import Selection, negative_table, outcome_table, positive_table


class SelectionWriter:
    """Takes block after block. Decisions, as many as candidates, go to disk on the way; the rest is small.

    `close` lets the files go, whether the selection is whole or not.
    """

    def __init__(
        self, folder: Path, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray, messages: dict[int, str]
    ) -> None:
        self._folder, self._query_ids, self._doc_ids, self._messages = folder, query_ids, doc_ids, messages
        self._decisions = DecisionFile(folder / "decisions.parquet", query_ids, doc_ids)
        self._tables: dict[str, list[pa.Table]] = {"negatives": [], "positives": [], "outcomes": []}

    def add(self, selection: Selection) -> None:
        query_ids, doc_ids = self._query_ids, self._doc_ids
        self._decisions.add(selection)
        self._tables["negatives"].append(negative_table(selection, query_ids, doc_ids))
        self._tables["positives"].append(positive_table(selection, query_ids, doc_ids))
        self._tables["outcomes"].append(self._outcomes(selection))

    def close(self) -> None:
        self._decisions.close()

    def _outcomes(self, selection: Selection) -> pa.Table:
        """With the plan's own words for queries that a list leaves out."""
        table = outcome_table(selection, self._query_ids)
        rows = selection.query.tolist()
        if not self._messages.keys() & set(rows):
            return table
        said = table["message"].to_pylist()
        words = [self._messages.get(row, message) for row, message in zip(rows, said, strict=True)]
        place = table.column_names.index("message")
        return table.set_column(place, "message", pa.array(words, pa.string()))

    def finish(self) -> dict[str, pa.Table]:
        """Write what was gathered; return the tables."""
        self._decisions.finish()
        whole = {name: _whole(parts) for name, parts in self._tables.items()}
        for name, table in whole.items():
            write_parquet(table, self._folder / f"{name}.parquet", filtered_by=["query_id"])
        return whole


def _whole(parts: list[pa.Table]) -> pa.Table:
    """One table whose bytes do not show where the parts met: dictionaries in the order of first use."""
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    columns = [
        by_first_use(column.combine_chunks()) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)


def by_first_use(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same values over a dictionary of those that occur, in the order in which they occur first."""
    used = column.indices.drop_null().to_numpy()
    first = np.full(len(column.dictionary), len(used), np.int64)
    first[used[::-1]] = np.arange(len(used))[::-1]  # of several, the last to write is the first to occur
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(used))]
    place = np.empty(len(first), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    missing = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    number = column.indices.fill_null(0).to_numpy()
    indices = pa.array(place[number] if len(first) else np.zeros(len(number), np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(indices, column.dictionary.take(pa.array(order)))


@contextmanager
def replacing_selection(run: RunDirectory, name: str) -> Iterator[Path]:
    """A folder under a temporary name that takes the selection's place when the block ends well."""
    target = run.selection(name)
    temporary = target.with_name(f"{TEMPORARY}{name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
