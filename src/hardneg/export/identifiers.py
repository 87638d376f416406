"""Ids that a line-based format cannot hold are refused, not mangled: ids are the user's own.

Where a trainer takes numbers alone, a decimal one stays itself, and any other id is hashed.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError
from hardneg.texts import text_number

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)


def refuse_ids(ids: pa.DictionaryArray, pattern: str, column: str, why: str) -> None:
    """Raises InputError naming the first id that the pattern is found in."""
    used = ids.dictionary.take(ids.indices.unique())
    bad = used.filter(pc.match_substring_regex(used, pattern))
    if len(bad):
        raise InputError(why, column=column, row_id=bad[0].as_py())


def as_numbers(ids: pa.DictionaryArray) -> pa.Array:
    """uint64, the same for the same id in every process."""
    return pa.array(map(_number, ids.dictionary.to_pylist()), pa.uint64()).take(ids.indices)


def _number(identifier: str) -> int:
    number = int(identifier) if _DECIMAL.fullmatch(identifier) else 1 << 64
    return number if number < 1 << 64 else text_number(identifier)
