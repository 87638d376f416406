"""Columns of an export, made from entries without a loop over them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.records import Float32, Int64


def lists(values: pa.Array, start: Int64) -> pa.ListArray:
    """Row r holds `values[start[r]:start[r + 1]]`."""
    return pa.ListArray.from_arrays(pa.array(start, pa.int32()), values)


def offsets(lengths: Int64) -> Int64:
    """int64 (rows + 1,): where rows of these lengths start."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def objects(**fields: pa.Array) -> pa.StructArray:
    """A row an object of these fields, in their order."""
    return pa.StructArray.from_arrays(list(fields.values()), list(fields))


def constant(text: str, rows: int) -> pa.DictionaryArray:
    """The same text in every row."""
    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, np.int32)), pa.array([text], pa.large_string())
    )


def scores(values: Float32) -> pa.Array:
    """float32 with null for NaN."""
    return pa.array(values, pa.float32(), from_pandas=True)


def score_rows(values: Float32) -> pa.ListArray:
    """float32 (rows, width) as a list a row."""
    rows, width = values.shape
    return lists(scores(values.ravel()), np.arange(rows + 1) * width)


def decoded(table: pa.Table) -> pa.Table:
    """Without dictionaries, which neither Parquet's lists nor `datasets` take."""
    columns = [_decoded_array(column.combine_chunks()) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _decoded_array(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary.take(column.indices)
    if pa.types.is_struct(column.type):
        members = [_decoded_array(member) for member in column.flatten()]
        return pa.StructArray.from_arrays(members, [field.name for field in column.type])
    if pa.types.is_list(column.type):
        return pa.ListArray.from_arrays(column.offsets, _decoded_array(column.values))
    return column
