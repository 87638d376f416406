"""One row an id: repeats are merged, and a repeat with another text is a bad row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.parsed import FILE, LINE
from hardneg.read.tables import json_text, reordered
from hardneg.records import Int64

_GROUPS_AT_ONCE = 4096


@dataclass(frozen=True)
class Merged:
    """The table sorted by id, how many rows were merged into others, and how many ids had further columns
    that differed."""

    table: pa.Table
    repeats: int
    differing: int


def merge_same_id(table: pa.Table, id_column: str, bad: BadRows) -> Merged:
    """Sort by the bytes of the id; of rows with one id and one text keep one."""
    order = pc.sort_indices(table[id_column]).to_numpy().astype(np.int64)
    starts = _group_starts(table[id_column], order)
    ends = np.append(starts[1:], len(order))
    several = np.flatnonzero(ends - starts > 1)
    if not len(several):
        return Merged(reordered(table, order), 0, 0)
    kept = order[starts]
    repeats, differing, conflicts = 0, 0, []
    for group, rows in _groups(table, order, starts, ends, several):
        same, other = _by_text(rows)
        best = min(range(len(same)), key=lambda place: _preference(same[place][1]))
        kept[group] = same[best][0]
        repeats += len(same) - 1
        differing += len({_preference(row) for _, row in same}) > 1
        conflicts += [row for _, row in other]
    for row in sorted(conflicts, key=lambda row: (row[FILE], row[LINE])):
        reason = "this id stands there with another text too; give each its own"
        bad.refuse_numbered(RowError(reason, row_id=row[id_column]), row[FILE], row[LINE])
    return Merged(reordered(table, kept), repeats, differing)


def _group_starts(ids: pa.ChunkedArray, order: Int64) -> Int64:
    """Places in `order` where another id begins."""
    ordered = ids.take(pa.array(order))
    if len(ordered) == 0:
        return np.zeros(0, np.int64)
    new = pc.not_equal(ordered.slice(1), ordered.slice(0, len(ordered) - 1)).to_numpy()
    return np.flatnonzero(np.concatenate([[True], new])).astype(np.int64)


def _groups(
    table: pa.Table, order: Int64, starts: Int64, ends: Int64, several: Int64
) -> Iterator[tuple[int, list[tuple[int, dict[str, Any]]]]]:
    """(number of the group, its rows as (row number, values) in the order of reading)."""
    for at in range(0, len(several), _GROUPS_AT_ONCE):
        part = several[at : at + _GROUPS_AT_ONCE]
        rows = np.concatenate([order[starts[group] : ends[group]] for group in part])
        values = iter(zip(rows.tolist(), reordered(table, rows).to_pylist(), strict=True))
        for group in part:
            yield int(group), [next(values) for _ in range(ends[group] - starts[group])]


Numbered = list[tuple[int, dict[str, Any]]]


def _by_text(rows: Numbered) -> tuple[Numbered, Numbered]:
    """Rows of one text, the lowest, so that the order of rows decides nothing; and the others."""
    lowest = min(_whole(row) for _, row in rows)
    same = [pair for pair in rows if _whole(pair[1]) == lowest]
    return same, [pair for pair in rows if _whole(pair[1]) != lowest]


def _whole(row: dict[str, Any]) -> str:
    """Title and text as they are encoded, so that a positive given as one text is its titled document."""
    return f"{row.get('title') or ''} {row['text']}".strip()


def _preference(row: dict[str, Any]) -> tuple[bool, str]:
    """Orders rows of one text whatever their order in the source: titled ones first, then by content."""
    content = {name: value for name, value in row.items() if name not in (FILE, LINE)}
    return row.get("title") is None, json_text(content) or ""
