"""Rows of any source: one shape for JSON lines, CSV, Parquet, data frames and data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hardneg.errors import InputError
from hardneg.read.bad_rows import BadRows, RowError

Row = dict[str, Any]
BATCH_ROWS = 4096


@dataclass(frozen=True)
class Rows:
    """Rows with their places.

    name     the file, or what stands for one in messages
    read     yields (line, row); lines and rows of tables count from 1; unreadable rows go to BadRows
    uniform  every row has the same columns, so one that is missing is missing throughout
    header   line of the column names, where there is one
    """

    name: str
    read: Callable[[BadRows], Iterator[tuple[int, Row]]]
    uniform: bool = True
    header: int | None = None


def unique_columns(names: Sequence[str], file: str, line: int | None = None) -> list[str]:
    """Raises InputError where two columns have one name."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(f"column {name!r} stands there twice; rename one", file=file, line=line)
    return list(names)


def batch_rows(batch: pa.RecordBatch, first: int, name: str, bad: BadRows) -> Iterator[tuple[int, Row]]:
    """The rows of a batch, the first of them numbered `first`; those that are not UTF-8 are refused."""
    try:
        columns = [_values(batch, place, name) for place in range(batch.num_columns)]
    except UnicodeDecodeError:
        yield from _one_by_one(batch, first, name, bad)
        return
    names = batch.schema.names
    for line, values in enumerate(zip(*columns, strict=True), first):
        yield line, dict(zip(names, values, strict=True))


def _values(batch: pa.RecordBatch, place: int, name: str) -> list[Any]:
    """A column's values. Times that Python has no object for are texts."""
    column = batch.column(place)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError) as error:
        if not pa.types.is_temporal(column.type):
            raise InputError(
                f"holds {column.type} of which some cannot be read; write texts",
                file=name,
                column=batch.schema.names[place],
            ) from error
        values = column.cast(pa.string()).to_pylist()
    return values


def _one_by_one(batch: pa.RecordBatch, first: int, name: str, bad: BadRows) -> Iterator[tuple[int, Row]]:
    for place in range(batch.num_rows):
        row = batch.slice(place, 1)
        try:
            values = [_values(row, column, name)[0] for column in range(batch.num_columns)]
        except UnicodeDecodeError as error:
            bad.refuse(RowError(f"is not UTF-8 ({error.reason})"), name, first + place)
            continue
        yield first + place, dict(zip(batch.schema.names, values, strict=True))


def table_rows(table: pa.Table, name: str) -> Rows:
    """The rows of an Arrow table."""
    unique_columns(table.column_names, name)

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        first = 1
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            yield from batch_rows(batch, first, name, bad)
            first += batch.num_rows

    return Rows(name, read)
