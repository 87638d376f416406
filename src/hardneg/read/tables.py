"""Arrow tables built row by row, a chunk at a time, with whatever further columns the rows bring."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.errors import InputError
from hardneg.texts import mended, take

CHUNK_ROWS = 32_768
_LARGEST_CHUNK = 1 << 30  # bytes: half of what a chunk of strings may hold
_WAITING_ROWS = 4096
"""Rows held as Python objects. With many more of them the garbage collector takes half of the time."""


class TableBuilder:
    """Rows of a fixed schema and further columns of any kind.

    A further column keeps its type where Arrow has one for all its values; nested values and mixed types
    are kept as text, JSON where they are not text. `mended` counts texts in which half a surrogate pair
    became U+FFFD.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._waiting: list[Sequence[Any]] = []
        self._further: list[Mapping[str, Any] | None] = []
        self._chunks: list[dict[str, pa.Array]] = []
        self._flushed = 0
        self.mended = 0

    @property
    def rows(self) -> int:
        return self._flushed + len(self._waiting)

    def add(self, values: Sequence[Any], further: Mapping[str, Any] | None = None) -> None:
        """Add a row: a value for each column of the schema, and what else there is by name."""
        self._waiting.append(values)
        self._further.append(further)
        if len(self._waiting) == _WAITING_ROWS:
            self._flush()

    def finish(self) -> pa.Table:
        self._flush()
        fixed = {
            field.name: pa.chunked_array([chunk[field.name] for chunk in self._chunks], field.type)
            for field in self._schema
        }
        names = sorted({name for chunk in self._chunks for name in chunk} - set(fixed))
        further = {name: self._unified(name) for name in names}
        columns = {name: _in_large_chunks(column) for name, column in {**fixed, **further}.items()}
        return pa.table(columns)

    def _flush(self) -> None:
        if not self._waiting:
            return
        columns = zip(*self._waiting, strict=True)
        chunk = {
            field.name: self._array(values, field.type)
            for field, values in zip(self._schema, columns, strict=True)
        }
        for name in {name: None for row in self._further if row for name in row}:
            chunk[name] = self._any_array([row.get(name) if row else None for row in self._further])
        self._chunks.append(chunk)
        self._flushed += len(self._waiting)
        self._waiting, self._further = [], []

    def _array(self, values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
        try:
            return pa.array(values, kind)
        except UnicodeEncodeError:
            return pa.array([self._mend(value) for value in values], kind)

    def _mend(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        whole = mended(value)
        self.mended += whole != value
        return whole

    def _any_array(self, values: list[Any]) -> pa.Array:
        if not any(isinstance(value, dict | list | tuple) for value in values):
            try:
                return self._array(values, None)
            except (pa.ArrowException, OverflowError, TypeError):
                pass  # values of several types
        return self._array([_as_kept(value) for value in values], pa.string())

    def _unified(self, name: str) -> pa.ChunkedArray:
        chunks = [
            chunk[name] if name in chunk else pa.nulls(len(chunk[self._schema.names[0]]))
            for chunk in self._chunks
        ]
        return unified(chunks)


_ENCODER = json.JSONEncoder(default=str, sort_keys=True, allow_nan=False)


def json_text(value: Any) -> str | None:
    """JSON; NaN and infinity, which it has not, are null, and keys are text.

    Raises InputError where it has no end.
    """
    try:
        return None if value is None else _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError):
        pass
    try:
        return _ENCODER.encode(_as_json(value))
    except RecursionError as error:
        raise InputError("a value is nested too deep, or holds itself; leave its column out") from error


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_kept(value: Any) -> str | None:
    """A value of a column that no type holds: a text as it is, so that its neighbours change nothing."""
    return value if isinstance(value, str) else json_text(value)


def _in_large_chunks(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Chunks of CHUNK_ROWS, of which taking rows needs few steps; those of huge texts stay as they are."""
    some = CHUNK_ROWS // _WAITING_ROWS
    large: list[pa.Array] = []
    for at in range(0, column.num_chunks, some):
        part = column.chunks[at : at + some]
        fits = sum(chunk.nbytes for chunk in part) < _LARGEST_CHUNK
        large += [pa.concat_arrays(part)] if fits else part
    return pa.chunked_array(large, column.type)


def unified(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Chunks of several types as one column: of a type that holds them all, else as JSON text."""
    kinds = [pa.schema([("x", chunk.type)]) for chunk in chunks]
    try:
        kind = pa.unify_schemas(kinds, promote_options="permissive").field("x").type
        kind = pa.string() if pa.types.is_null(kind) else kind
        return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)
    except pa.ArrowException:
        texts = [pa.array([_as_kept(value) for value in chunk.to_pylist()], pa.string()) for chunk in chunks]
        return pa.chunked_array(texts, pa.string())


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables below each other; a column that one of them lacks is null there."""
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    columns = {}
    for name in names:
        chunks: list[pa.Array] = []
        for table in tables:
            has = name in table.column_names
            chunks += table[name].chunks if has else [pa.nulls(table.num_rows)]
        kinds = {str(chunk.type) for chunk in chunks}
        columns[name] = pa.chunked_array(chunks) if len(kinds) == 1 else unified(chunks)
    return pa.table(columns)


def reordered(table: pa.Table, order: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Table:
    """The rows `order` of a table, block by block: no moment holds more than the old and the new table."""
    if len(order) == table.num_rows and np.array_equal(order, np.arange(len(order))):
        return table
    columns = {}
    for name in table.column_names:
        column = table[name]
        parts = [take(column, order[at : at + CHUNK_ROWS]) for at in range(0, len(order), CHUNK_ROWS)]
        columns[name] = pa.chunked_array(parts, column.type)
    return pa.table(columns)
