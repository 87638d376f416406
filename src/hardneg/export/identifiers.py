"""Ids that a line-based format cannot hold are refused, not mangled: ids are the user's own."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError


def refuse_ids(ids: pa.DictionaryArray, pattern: str, column: str, why: str) -> None:
    """Raises InputError naming the first id that the pattern is found in."""
    used = ids.dictionary.take(ids.indices.unique())
    bad = used.filter(pc.match_substring_regex(used, pattern))
    if len(bad):
        raise InputError(why, column=column, row_id=bad[0].as_py())
