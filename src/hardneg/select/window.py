"""Windows on raw ranks: `10:210` keeps ranks 11 to 210, positives counted."""

from __future__ import annotations

from hardneg.records import Bool, Int32

Window = tuple[int, int | None]


def in_window(rank: Int32, window: Window) -> Bool:
    """Where a raw rank (1-based, 0 where there is none) lies inside: bool of the same shape."""
    start, stop = window
    inside: Bool = rank > max(start, 0)
    if stop is not None:
        inside &= rank <= stop
    return inside


def deepest_rank(window: Window | None) -> int:
    """The depth at which a window holds all it can: its end, or its first rank where it has none; 0 without
    a window."""
    return (window[1] or window[0] + 1) if window is not None else 0
