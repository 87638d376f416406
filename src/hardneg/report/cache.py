"""What the cache holds and what was taken out of it, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hardneg.quantities import counted, size_text
from hardneg.report.tables import DASH, as_text, cell, new_table
from hardneg.terminal import printable

ID_SHOWN = 12
"""Digits: enough to tell any two apart, and what `rm` takes."""


def render_listing(found: Mapping[str, Any]) -> str:
    """A table of the encoders, one of what else there is, and the total."""
    parts = []
    if found["encoders"]:
        parts.append(_encoders(found["encoders"]))
    if found["other"]:
        table = new_table("beside them", "size")
        for one in found["other"]:
            table.add_row(cell(one["name"]), cell(size_text(one["bytes"])))
        parts.append(as_text(table))
    left = sum(one["leftovers"] for one in found["encoders"])
    last = f"{found['path']}: {counted(len(found['encoders']), 'encoder')}, {size_text(found['bytes'])}"
    if left:
        last += f"; {counted(left, 'leftover')} that `hardneg cache prune` removes"
    return "\n\n".join([*parts, printable(last)])


def render_removal(found: Mapping[str, Any]) -> str:
    """A line for what stayed and should not have, a table of what went, and what that freed."""
    dry = found["dry_run"]
    lines = [printable(f"kept {_named(one)}: {one['why']}") for one in found["kept"]]
    if found["removed"]:
        lines.append(_encoders(found["removed"]))
    went, left = len(found["removed"]), len(found["leftovers"])
    said = "would go" if dry else "removed"
    counts = f"{counted(went, 'encoder')} and {counted(left, 'leftover')}"
    lines.append(f"{counts} {said}, {size_text(found['bytes'])}")
    return "\n".join(lines)


def _encoders(rows: Sequence[Mapping[str, Any]]) -> str:
    why = "why" in rows[0]
    names = ("id", "model", "runs by", "stored as", "numbers", "texts", "size", "last used")
    table = new_table(*names, *(("why",) if why else ()))
    for one in rows:
        runs = " ".join(filter(None, (one["backend"], one["precision"]))) or DASH
        values = [one["id"][:ID_SHOWN], one["model"] or DASH, runs, one["store_dtype"] or DASH]
        values += [DASH if one["dimension"] is None else f"{one['dimension']:,}", f"{one['texts']:,}"]
        values += [size_text(one["bytes"]), one["used"][:16].replace("T", " ")]
        table.add_row(*map(cell, [*values, *((one["why"],) if why else ())]))
    return as_text(table)


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['id'][:ID_SHOWN]} ({one['model'] or 'of no known model'}, {size_text(one['bytes'])})"
