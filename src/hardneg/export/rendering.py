"""Rows as the lines of a file, made by Arrow as whole columns.

A text that stands in many rows is a value of a dictionary, and is escaped once for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.records import Int64

TEXTS_A_SLICE = 16384
"""About so many values are lines at a time, so that a cross product of long texts stays in bounds."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_ESCAPING_ENCODER = json.JSONEncoder(allow_nan=False)
# JSON lets these stand as they are, but `str.splitlines` ends a line at them.
_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}


def json_lines(table: pa.Table) -> Iterator[pa.Buffer]:
    """An object a line, keys in the order of the columns; UTF-8, never NaN or infinity."""
    for columns in _sliced(table, quote_json):
        yield _lines([*_members(table.column_names, columns), "}\n"])


def _members(names: Sequence[str], columns: Sequence[pa.Array]) -> list[pa.Array | str]:
    """The parts of an object a row, without its last bracket."""
    keys = [_ENCODER.encode(name) + ": " for name in names]
    heads = [("{" if place == 0 else ", ") + key for place, key in enumerate(keys)]
    return [part for head, column in zip(heads, columns, strict=True) for part in (head, _json(column))]


def csv_lines(table: pa.Table) -> Iterator[pa.Buffer]:
    """A row a line, every text in quotes; RFC 4180 but for the line end, which is a line feed."""
    yield from separated_lines(table, ",", _quote_csv)


def separated_lines(
    table: pa.Table, separator: str, quote: Callable[[pa.Array], pa.Array] = lambda texts: texts
) -> Iterator[pa.Buffer]:
    """A row a line, values as they are unless `quote` says otherwise."""
    for columns in _sliced(table, quote):
        parts = [part for column in columns for part in (_plain(column), separator)]
        yield _lines([*parts[:-1], "\n"])


def header(table: pa.Table, separator: str) -> bytes:
    return (separator.join(table.column_names) + "\n").encode()


def quote_json(texts: pa.Array) -> pa.Array:
    """large_string → large_string, each value as a JSON string, null as null."""
    try:
        quoted = pa.array(map(_ENCODER.encode, texts.to_pylist()), pa.large_string())
    except UnicodeDecodeError:  # a lone surrogate, which only an escape can hold
        raw = texts.cast(pa.large_binary()).to_pylist()
        decoded = [None if value is None else value.decode("utf-8", "surrogatepass") for value in raw]
        return pa.array(map(_ESCAPING_ENCODER.encode, decoded), pa.large_string())
    for end, escaped in _LINE_ENDS.items():
        quoted = pc.replace_substring(quoted, end, escaped)
    return quoted


def _quote_csv(texts: pa.Array) -> pa.Array:
    doubled = pc.replace_substring(texts, '"', '""')
    return _joined('"', doubled, '"')


def decimals(values: pa.Array) -> pa.Array:
    """Numbers as the shortest decimals that give them back: float32 0.85, not 0.8500000238418579."""
    texts = values.cast(pa.large_string())
    if not pa.types.is_floating(values.type):
        return texts
    # So that a column of whole scores is still read as one of floats.
    whole = pc.match_substring_regex(texts, r"^-?\d+$")
    return pc.if_else(whole, _joined(texts, ".0"), texts)


def _sliced(table: pa.Table, quote: Callable[[pa.Array], pa.Array]) -> Iterator[list[pa.Array]]:
    """The columns with their texts quoted, some rows at a time."""
    once = _once_a_dictionary(quote)
    columns = [_quoted(column.combine_chunks(), once) for column in table.columns]
    values = sum(map(_num_values, columns))
    step = max(1, TEXTS_A_SLICE * table.num_rows // max(1, values))
    for begin in range(0, table.num_rows, step):
        yield [column.slice(begin, step) for column in columns]


def _num_values(column: pa.Array) -> int:
    if pa.types.is_list(column.type):
        return _num_values(column.values)
    return sum(map(_num_values, column.flatten())) if pa.types.is_struct(column.type) else len(column)


def _once_a_dictionary(quote: Callable[[pa.Array], pa.Array]) -> Callable[[pa.Array], pa.Array]:
    """`quote`, but columns that share their texts (by where these lie in memory) have them quoted once."""
    known: dict[
        tuple[int, int, int], tuple[pa.Array, pa.Array]
    ] = {}  # holds the texts, lest their place be reused

    def quote_once(texts: pa.Array) -> pa.Array:
        data = texts.buffers()[2]
        place = (0 if data is None else data.address, texts.offset, len(texts))
        if place not in known:
            known[place] = (texts, quote(texts))
        return known[place][1]

    return quote_once


def _quoted(column: pa.Array, quote: Callable[[pa.Array], pa.Array]) -> pa.Array:
    if pa.types.is_list(column.type):
        return pa.ListArray.from_arrays(column.offsets, _quoted(column.values, quote))
    if pa.types.is_struct(column.type):
        members = [_quoted(member, quote) for member in column.flatten()]
        return pa.StructArray.from_arrays(members, [field.name for field in column.type])
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, quote(column.dictionary))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return quote(column.cast(pa.large_string()))
    return column


def _json(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        return _json_lists(column)
    if pa.types.is_struct(column.type):
        return _joined(*_members([field.name for field in column.type], column.flatten()), "}")
    return _plain(column)


def _json_lists(column: pa.ListArray) -> pa.LargeStringArray:
    """Every value with its bracket or comma, one after another: a list's text is a stretch of that."""
    start = column.offsets.to_numpy() - column.offsets[0].as_py()
    filled = start[:-1] < start[1:]
    before, after = np.zeros(start[-1], np.int8), np.zeros(start[-1], np.int8)
    before[start[:-1][filled]] = 1
    after[start[1:][filled] - 1] = 1
    opening = pa.array(["", "["], pa.large_string()).take(pa.array(before))
    closing = pa.array([", ", "]"], pa.large_string()).take(pa.array(after))
    data, ends = _text(_joined(opening, _json(column.flatten()), closing))
    lists = pa.LargeStringArray.from_buffers(len(column), pa.py_buffer(ends[start].copy()), data)
    return pc.if_else(pa.array(filled), lists, pa.scalar("[]", pa.large_string()))


def _plain(column: pa.Array) -> pa.Array:
    """large_string: texts as they are, numbers as decimals, `null` where there is nothing."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary.take(column.indices)
    elif not pa.types.is_large_string(column.type):
        column = decimals(column)
    return pc.fill_null(column.cast(pa.large_string()), "null")


def _lines(parts: list[pa.Array | str]) -> pa.Buffer:
    """The rows' parts joined, and the rows after one another, as one piece of the file."""
    data, ends = _text(_joined(*parts))
    return data.slice(int(ends[0]), int(ends[-1] - ends[0]))


def _text(texts: pa.LargeStringArray) -> tuple[pa.Buffer, Int64]:
    """All texts after one another; int64 (texts + 1,): where each begins, and the last one ends."""
    _, ends, data = texts.buffers()
    begin = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return data if data is not None else pa.py_buffer(b""), begin


def _joined(*parts: pa.Array | str) -> pa.LargeStringArray:
    """Each row's parts after one another; a str stands in every row."""
    arrays = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*arrays, pa.scalar("", pa.large_string()))
