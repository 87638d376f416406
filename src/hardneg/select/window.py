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
    """The depth that a window needs; 0 where it has no end, or there is none."""
    return (window[1] or 0) if window is not None else 0
