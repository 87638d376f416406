"""What `hardneg doctor` found, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardneg.quantities import counted
from hardneg.report.tables import as_text, cell, new_table
from hardneg.terminal import printable


def render_checkup(found: Mapping[str, Any], repaired: bool) -> str:
    """A line a finding, a table of them all, and what is left to do."""
    findings, path = found["findings"], found["path"]
    seen = f"{counted(found['files'], 'file')}, {found['bytes'] / 1e6:,.1f} MB read"
    if not findings:
        return printable(f"{path}: healthy ({seen})")
    lines = [printable(f"{one['where']}: {one['said']}; {one['done'] or one['remedy']}") for one in findings]
    table = new_table("what", "where", "state")
    for one in findings:
        table.add_row(cell(one["what"]), cell(_within(one["where"], path)), cell(_state(one)))
    left = sum(one["done"] is None for one in findings)
    mendable = sum(one["can_be_repaired"] and one["done"] is None for one in findings)
    faults, mended = counted(len(findings), "fault"), len(findings) - left
    last = f"{path}: {faults}, {mended:,} repaired, {left:,} left ({seen})"
    if mendable and not repaired:
        last += f"; --repair mends {mendable:,} of them"
    return "\n".join([*lines, "", as_text(table), "", printable(last)])


def _state(one: Mapping[str, Any]) -> str:
    if one["done"] is not None:
        return "repaired"
    return "can be repaired" if one["can_be_repaired"] else "left to you"


def _within(where: str, path: str) -> str:
    """The place below what was checked."""
    return Path(where).relative_to(path).as_posix() if Path(where).is_relative_to(path) else where
