"""What is measured: each rule of the field at several levels, every one for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SHIFTS = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
WINDOWS = ("0:5", "0:10", "0:20", "0:50", "5:55", "10:60", "20:70", "30:80", "50:100", "70:120", "100:150")
"""Of ranks that negatives are drawn from at random."""
MARGINS = (-1.0, -0.5, -0.3, -0.2, -0.1, -0.05, 0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
CHANCES = (0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4)
MISS_RATES = (0.5, 0.3, 0.2, 0.1, 0.05)

RULES = ("shift", "window", "margin", "relative margin", "guard")
"""Those with a curve, from the loosest level to the strictest."""
MISS_RATE, OWN = "miss rate", "own"


@dataclass(frozen=True)
class Point:
    """A rule at one level, as settings of the select and the guard stage; none of either: the top ones."""

    rule: str
    select: Mapping[str, Any] = field(default_factory=dict)
    guard: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flags(self) -> str:
        """As on the command line."""
        given = {**self.select, **self.guard}
        return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in given.items())


def points(depth: int, unit: float, guarded: bool) -> list[Point]:
    """All of them, rule by rule.

    depth    of the run: no window reaches beyond it
    unit     size of a positive's score, in which absolute margins are laid out
    guarded  whether there is a guard to sweep
    """
    found = [Point("shift", {"window": f"{skip}:"}) for skip in SHIFTS if skip < depth]
    found += [
        Point("window", {"window": window, "sampler": "random"})
        for window in WINDOWS
        if int(window.partition(":")[2]) <= depth
    ]
    found += [Point("margin"), *(Point("margin", {"margin": _short(unit * part)}) for part in MARGINS)]
    found += [Point("relative margin")]
    found += [Point("relative margin", {"relative_margin": part}) for part in MARGINS]
    if guarded:
        found += [Point("guard"), *(Point("guard", {}, {"max_p": chance}) for chance in CHANCES)]
        found += [Point(MISS_RATE, {}, {"max_miss_rate": rate}) for rate in MISS_RATES]
    return found


def _short(value: float) -> float:
    """Two digits: a level that somebody might type."""
    return float(f"{value:.2g}")
