"""What a conversion wrote, what it did not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hardneg.plan.training_file import fault_lines
from hardneg.quantities import counted
from hardneg.terminal import printable


@dataclass(frozen=True)
class Accounts:
    """Where what was read went: of each kind, `read` is the sum of the others.

    emptied   rows that were left without positives or negatives when faulty ones were dropped
    short     rows with too few negatives, left out by shortfall `drop`
    left_out  of rows that are not in the file, or that it has no place for
    """

    groups_read: int
    groups: int
    groups_faulty: int
    groups_without_negatives: int
    groups_emptied: int
    groups_short: int
    positives_read: int
    positives: int
    positives_faulty: int
    positives_left_out: int
    negatives_read: int
    negatives: int
    negatives_faulty: int
    negatives_cut: int
    negatives_left_out: int


@dataclass(frozen=True)
class ConvertReport:
    """source, path  files, folders or addresses
    rows     of the new file; a group may be several, or several rows of the old file one group
    faults   code → how many there were, all dropped
    first    code → the first of them
    notes    what the reader took off or passed over → how often
    remarks  parts of the old file that are not in the new one
    """

    source: Path | str
    format: str
    to: str
    path: Path | str
    rows: int
    accounts: Accounts
    faults: Mapping[str, int]
    first: Mapping[str, list[dict[str, Any]]]
    notes: Mapping[str, int]
    remarks: tuple[str, ...]
    empty_texts: int
    neutralised: int
    respaced: int

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        flat = {**asdict(self), "source": str(self.source), "path": str(self.path)}
        flat.update(flat.pop("accounts"))
        return {**flat, "remarks": list(self.remarks)}

    def __str__(self) -> str:
        a = self.accounts
        read = f"{printable(str(self.source))} ({self.format}): {counted(a.groups_read, 'group')}"
        parts = [counted(a.groups, "group"), counted(a.negatives, "negative")]
        if a.positives:
            parts.insert(1, counted(a.positives, "positive"))
        written = ", ".join(parts)
        rows = counted(self.rows, "row")
        lines = [read, f"{self.to}: {rows} from {written} in {printable(str(self.path))}"]
        emptied = "last positive or negative as faulty and"
        begin = "like a formula and got a ' before it (JSONL keeps it as it is)"
        respaced = "had line ends, tabs or further spaces, which are single spaces in it"
        told = (
            (
                a.groups_without_negatives,
                "group has no negatives and is not in it",
                "groups have no negatives and are not in it",
            ),
            (
                a.groups_emptied,
                f"group lost its {emptied} is not in it",
                f"groups lost their {emptied} are not in it",
            ),
            (
                a.groups_short,
                "group has too few negatives and was dropped",
                "groups have too few negatives and were dropped",
            ),
            (
                a.negatives_cut,
                "negative is past --num-negatives and was cut",
                "negatives are past --num-negatives and were cut",
            ),
            (self.neutralised, f"text begins {begin}", f"texts begin {begin}"),
            (self.respaced, f"text {respaced}", f"texts {respaced}"),
        )
        lines += [f"  {counted(number, one, many)}" for number, one, many in told if number]
        lines += [f"  note: {count:,} {what}" for what, count in self.notes.items() if count]
        lines += [f"  {remark}" for remark in self.remarks]
        return "\n".join([*lines, *fault_lines(self.faults, self.first, " dropped")])
