"""One value of a training row: texts may be empty (the checks say so), but are texts."""

from __future__ import annotations

from typing import Any

from hardneg.read.bad_rows import RowError
from hardneg.read.values import as_id, describe
from hardneg.texts import has_half_pair


def text(value: Any, column: str) -> str:
    """Raises RowError for anything but a text that UTF-8 can hold."""
    if type(value) is not str:
        raise RowError(f"must be text, not {describe(value)}", column)
    if not value.isascii() and has_half_pair(value):
        raise RowError("holds half a surrogate pair, which no UTF-8 file can", column)
    return value


def texts(value: Any, column: str) -> list[str]:
    """A list of texts; one text is a list of one, and is never taken letter by letter."""
    if isinstance(value, list | tuple):
        return [text(one, column) for one in value]
    return [text(value, column)]


def optional_text(row: dict[str, Any], column: str) -> str | None:
    value = row.get(column)
    return None if value is None else text(value, column)


def optional_id(value: Any, column: str) -> str | None:
    """An id as text, None for null and for nothing (some trainers write an empty text for no id)."""
    return None if value is None or value == "" else as_id(value, column)


def optional_ids(row: dict[str, Any], column: str) -> list[str | None] | None:
    """The column's ids, None where the row has no such column or null in it."""
    value = row.get(column)
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value]
    return [optional_id(one, column) for one in values]


def number(value: Any, column: str) -> float | None:
    """A number or null; also written as text. NaN and infinity are kept, for the checks to tell."""
    if value is None or type(value) is float:
        return value
    if type(value) is int or (type(value) is str and value):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise RowError(f"must be a number, not {describe(value)}", column)


def optional_numbers(row: dict[str, Any], column: str) -> list[float | None] | None:
    """The column's numbers, None where the row has no such column or null in it."""
    value = row.get(column)
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value]
    return [number(one, column) for one in values]


def as_ids(value: Any, column: str) -> list[str]:
    """A list of ids, none of them missing. Raises RowError."""
    if not isinstance(value, list | tuple):
        raise RowError(f"must be a list of ids, not {describe(value)}", column)
    return [as_id(one, column) for one in value]
