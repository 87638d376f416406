"""One value of a row: ids are text end to end, texts are text, scores are finite numbers."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from hardneg.read.bad_rows import RowError
from hardneg.texts import has_half_pair, is_blank

_LARGEST = 3.4e38  # of a float32
_EXACT = 2**53  # whole numbers above it are not all floats
_LARGEST_ID = 10**100


def as_id(value: Any, column: str) -> str:
    """An id as text; whole numbers are written in decimal (1.0 too: pandas makes it of 1 beside a gap)."""
    if type(value) is str:
        if not value:
            raise RowError("the id is empty", column)
        if not value.isascii() and has_half_pair(value):
            raise RowError("the id holds half a surrogate pair, which no UTF-8 file can", column)
        if "\0" in value:
            raise RowError("the id holds a NUL character", column)
        return value
    if type(value) is int and abs(value) < _LARGEST_ID:
        return str(value)
    if type(value) is float and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    if type(value) is Decimal and value.is_finite() and abs(value) < _LARGEST_ID and value % 1 == 0:
        return str(int(value))
    if value is None:
        raise RowError("the id is missing", column)
    raise RowError(f"the id must be text or a whole number, not {describe(value)}", column)


def as_text(value: Any, column: str, what: str) -> str:
    """A text with something in it."""
    if type(value) is not str:
        if value is None:
            raise RowError(f"the {what} is missing", column)
        raise RowError(f"the {what} must be text, not {describe(value)}", column)
    if is_blank(value):
        raise RowError(f"the {what} is empty", column)
    return value


def as_number(value: Any, column: str, what: str) -> float:
    """A finite number, also written as text."""
    number = math.nan
    if isinstance(value, int | float | str | Decimal):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not abs(number) <= _LARGEST:
        raise RowError(f"the {what} must be a finite number, not {describe(value)}", column)
    return number


def describe(value: Any) -> str:
    """A value for a message: what people call it, and the value where it is short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    for kinds, name in _KINDS:
        if isinstance(value, kinds):
            return name
    kind = "text" if isinstance(value, str) else "number" if isinstance(value, int | float) else "value"
    try:
        shown = repr(value) if isinstance(value, str) else str(value)
    except ValueError:  # a number of more digits than Python writes
        return f"a long {kind}"
    return f"the {kind} {shown}" if len(shown) <= 40 else f"a long {kind}"


_KINDS = ((dict, "an object"), (list | tuple, "a list"), (bytes, "bytes"))
