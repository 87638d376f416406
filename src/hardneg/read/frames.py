"""Tables in memory and streams: pandas, `datasets`, lists of dicts, and whatever offers itself as Arrow.

Arrow's PyCapsule interface (`__arrow_c_stream__`) is what Arrow, polars, DuckDB and others have in
common. Of a stream no more than a batch is held at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.errors import InputError
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.rows import BATCH_ROWS, Row, Rows, batch_rows, table_rows, unique_columns


def kind_name(value: Any) -> str:
    """`pandas.DataFrame`, `list`: what an object is called in messages."""
    kind = type(value)
    top = kind.__module__.split(".")[0]
    return kind.__name__ if top == "builtins" else f"{top}.{kind.__name__}"


def frame_rows(value: Any, name: str | None = None) -> Rows:
    """The rows of a table in memory, numbered from 1. Raises InputError for anything else."""
    name = name or kind_name(value)
    kind = kind_name(value)
    if isinstance(value, pa.Table):
        return table_rows(value, name)
    if kind == "pandas.DataFrame":
        return _pandas_rows(value, name)
    if kind == "polars.LazyFrame":
        value = value.collect()
    if kind in ("datasets.Dataset", "datasets.IterableDataset"):
        # A stream whose columns nobody knows comes row by row: the next may have others.
        return _mapping_rows(value, name) if value.features is None else _dataset_rows(value, name)
    if isinstance(value, list | tuple):
        return _mapping_rows(value, name)
    if hasattr(value, "__arrow_c_stream__"):
        return _arrow_rows(value, name)
    if hasattr(value, "__arrow_c_array__"):
        return table_rows(_one_batch(value, name), name)
    raise InputError(
        f"{kind} is no source; give a path, a Hub id, a datasets.Dataset, a pandas, polars or Arrow table "
        "(or what else has __arrow_c_stream__), a list of dicts, or a dict of such tables named corpus, "
        "queries and qrels"
    )


def _arrow_rows(value: Any, name: str) -> Rows:
    """Rows of what offers itself as an Arrow stream; one that runs dry can be read once."""
    read_before = 0

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        nonlocal read_before
        first = 1
        try:
            reader = pa.RecordBatchReader.from_stream(value)
            unique_columns(reader.schema.names, name)
            for large in reader:
                for start in range(0, large.num_rows, BATCH_ROWS):
                    batch = large.slice(start, BATCH_ROWS)
                    yield from batch_rows(batch, first, name, bad)
                    first += batch.num_rows
        except pa.ArrowException as error:
            if not read_before:
                raise InputError(_no_table(error, "stream"), file=name) from error
        if first - 1 < read_before:
            raise InputError(
                "is a stream that can be read once; its ids contradict each other, so that it must be read "
                "again: give a table in its place",
                file=name,
            )
        read_before = first - 1

    return Rows(name, read)


def _one_batch(value: Any, name: str) -> pa.Table:
    """Raises InputError."""
    try:
        return pa.Table.from_batches([pa.record_batch(value)])
    except pa.ArrowException as error:
        raise InputError(_no_table(error, "array"), file=name) from error


def _no_table(error: pa.ArrowException, what: str) -> str:
    """Why it has no columns: a column alone offers itself as a table does, and differs only in its type."""
    if "non-struct type" in str(error):
        return "is one column, and no table; give a table (a Series becomes one by to_frame(NAME))"
    return f"cannot be read as an Arrow {what} ({_one_line(error)})"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _pandas_rows(frame: Any, name: str) -> Rows:
    """NaN and None are missing values. A column that Arrow has no type for is taken value by value."""
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    unique_columns(list(frame.columns), name)
    try:
        return table_rows(pa.Table.from_pandas(frame, preserve_index=False), name)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError):
        values = frame.astype(object)
        return _mapping_rows(values.where(values.notna(), None).to_dict("records"), name)


def _dataset_rows(dataset: Any, name: str) -> Rows:
    unique_columns(dataset.column_names, name)

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        first = 1
        for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
            for batch in table.to_batches():
                yield from batch_rows(batch, first, name, bad)
                first += batch.num_rows

    return Rows(name, read)


def _mapping_rows(values: Any, name: str) -> Rows:
    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        for number, row in enumerate(values, 1):
            if isinstance(row, Mapping):
                yield number, {str(key): _of_python(value) for key, value in row.items()}
            else:
                bad.refuse(RowError(f"is no mapping of columns to values ({kind_name(row)})"), name, number)

    return Rows(name, read, uniform=False)


def _of_python(value: Any) -> Any:
    """numpy's numbers, texts and arrays as Python's own; and text of a class of its own as plain text."""
    if isinstance(value, list | tuple):
        return [_of_python(one) for one in value] if any(map(_is_foreign, value)) else value
    if not _is_foreign(value):
        return value
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str.__str__(value)


def _is_foreign(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | str) and type(value) is not str
