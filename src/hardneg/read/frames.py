"""Tables in memory: Arrow, pandas, polars, `datasets.Dataset`, and lists of dicts."""

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
    if isinstance(value, pa.RecordBatch):
        return table_rows(pa.Table.from_batches([value]), name)
    if kind == "pandas.DataFrame":
        return _pandas_rows(value, name)
    if kind in ("polars.DataFrame", "polars.LazyFrame"):
        return table_rows((value.collect() if kind.endswith("LazyFrame") else value).to_arrow(), name)
    if kind == "datasets.Dataset":
        return _dataset_rows(value, name)
    if isinstance(value, list | tuple) or kind == "datasets.IterableDataset":
        return _mapping_rows(value, name)
    raise InputError(
        f"{kind} is no source; give a path, a Hub id, a datasets.Dataset, a pandas, polars or Arrow table, "
        "a list of dicts, or a dict of such tables named corpus, queries and qrels"
    )


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
