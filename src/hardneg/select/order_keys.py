"""Values to order by and places in one number each, so that ties go by place whatever sorts them.

A key is the bit pattern of a float64, made to order like the number, with its last 20 bits given to the
place. float32 values and draws of 32 bits fill no more than the other 44, so nothing of them is lost; other
values are compared to about ten digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Bool, Int32, Int64

_PLACE_BITS = 20
_PLACE = np.int64((1 << _PLACE_BITS) - 1)
_LAST = np.iinfo(np.int64).max


def smallest(value: NDArray[np.floating[Any]], eligible: Bool, limit: int) -> Int32:
    """Places of each row's eligible values, lowest value first, ties by place: int32 (rows, limit).

    value     (rows, width), not NaN where eligible; -0.0 equals 0.0
    returns   NO_DOC where there are no more; limit is cut to the width

    Raises UsageError for rows wider than a million places.
    """
    rows, width = value.shape
    limit = min(limit, width)
    if width > int(_PLACE):
        raise UsageError(f"{width:,} candidates a query are more than {int(_PLACE):,}; lower the depth")
    if not rows or not limit:
        return np.full((rows, limit), NO_DOC, np.int32)
    keys = _keys(value)
    np.copyto(keys, _LAST, where=~eligible)
    if limit < width:
        keys = np.partition(keys, limit - 1, axis=1)[:, :limit]
    keys.sort(axis=1)
    places = (keys & _PLACE).astype(np.int32)
    places[keys == _LAST] = NO_DOC
    return places


def _keys(value: NDArray[np.floating[Any]]) -> Int64:
    wide = np.add(value, 0.0, dtype=np.float64)  # the sum turns -0.0 into 0.0
    keys: Int64 = wide.view(np.int64)
    if (keys < 0).any():  # of negative numbers the larger pattern is the lower number
        keys ^= (keys >> 63) & np.int64(0x7FFFFFFFFFFFFFFF)
    keys &= ~_PLACE
    keys |= np.arange(value.shape[1], dtype=np.int64)[None, :]
    return keys


def first(eligible: Bool, limit: int) -> Int32:
    """The first eligible places of each row in order: int32 (rows, limit), NO_DOC where none is left."""
    rows, width = eligible.shape
    limit = min(limit, width)
    found = np.full((rows, limit), NO_DOC, np.int32)
    if not rows or not limit:
        return found
    number = np.cumsum(eligible, axis=1, dtype=np.int32)
    row, place = np.nonzero(eligible & (number <= limit))
    found[row, number[row, place] - 1] = place
    return found
