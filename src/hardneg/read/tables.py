"""Arrow tables built row by row, a chunk at a time, with whatever further columns the rows bring."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.texts import take

CHUNK_ROWS = 32_768


class TableBuilder:
    """Rows of a fixed schema and further columns of any kind.

    A further column keeps its type where Arrow has one for all its values; nested values and mixed types
    are kept as JSON text. `mended` counts texts in which half a surrogate pair became U+FFFD.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns: list[list[Any]] = [[] for _ in schema]
        self._further: dict[str, list[Any]] = {}
        self._chunks: list[dict[str, pa.Array]] = []
        self._waiting = 0
        self.rows = 0
        self.mended = 0

    def add(self, values: Sequence[Any], further: Mapping[str, Any] | None = None) -> None:
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        if further:
            for name, value in further.items():
                column = self._further.setdefault(name, [])
                column.extend([None] * (self._waiting - len(column)))
                column.append(value)
        self._waiting += 1
        self.rows += 1
        if self._waiting == CHUNK_ROWS:
            self._flush()

    def finish(self) -> pa.Table:
        self._flush()
        fixed = {
            field.name: pa.chunked_array([chunk[field.name] for chunk in self._chunks], field.type)
            for field in self._schema
        }
        names = sorted({name for chunk in self._chunks for name in chunk} - set(fixed))
        further = {name: self._unified(name) for name in names}
        return pa.table({**fixed, **further})

    def _flush(self) -> None:
        if not self._waiting:
            return
        chunk = {
            field.name: self._array(values, field.type)
            for field, values in zip(self._schema, self._columns, strict=True)
        }
        for name, values in self._further.items():
            values.extend([None] * (self._waiting - len(values)))
            chunk[name] = self._any_array(values)
        self._chunks.append(chunk)
        self._columns = [[] for _ in self._schema]
        self._further, self._waiting = {}, 0

    def _array(self, values: list[Any], kind: pa.DataType | None) -> pa.Array:
        try:
            return pa.array(values, kind)
        except UnicodeEncodeError:
            return pa.array([self._mend(value) for value in values], kind)

    def _mend(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        mended = value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        if mended != value:
            # One mark for each half pair, where the decoder writes one for each of its three bytes.
            mended = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in value)
            self.mended += 1
        return mended

    def _any_array(self, values: list[Any]) -> pa.Array:
        if any(isinstance(value, dict | list | tuple) for value in values):
            return pa.array([json_text(value) for value in values], pa.string())
        try:
            return self._array(values, None)
        except (pa.ArrowException, OverflowError, TypeError):
            return pa.array([json_text(value) for value in values], pa.string())

    def _unified(self, name: str) -> pa.ChunkedArray:
        chunks = [
            chunk[name] if name in chunk else pa.nulls(len(chunk[self._schema.names[0]]))
            for chunk in self._chunks
        ]
        return unified(chunks)


def json_text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=str, sort_keys=True)


def unified(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Chunks of several types as one column: of a type that holds them all, else as JSON text."""
    kinds = [pa.schema([("x", chunk.type)]) for chunk in chunks]
    try:
        kind = pa.unify_schemas(kinds, promote_options="permissive").field("x").type
        kind = pa.string() if pa.types.is_null(kind) else kind
        return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)
    except pa.ArrowException:
        texts = [pa.array([json_text(value) for value in chunk.to_pylist()], pa.string()) for chunk in chunks]
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
