"""What a query got: full, short, empty, dropped or invalid, and in words why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hardneg.quantities import counted
from hardneg.records import Bool, Int32, Int64
from hardneg.select.reasons import CHOSEN, LEFT, Codes
from hardneg.select.selection import DROPPED, EMPTY, FULL, INVALID, OUTCOMES, SHORT, UInt8


def anchor_states(got: Int32, wanted: int | None, invalid: Bool, excluded: Bool, drop: bool) -> UInt8:
    """One of OUTCOMES for each anchor. `wanted` None is `all`: one negative is full."""
    enough = got >= (1 if wanted is None else wanted)
    state = np.where(enough, FULL, np.where(got > 0, SHORT, EMPTY))
    if drop:
        state[~enough] = DROPPED
    state[invalid] = INVALID
    state[excluded] = DROPPED
    return state.astype(np.uint8)


def query_outcomes(state: UInt8, start: Int64) -> UInt8:
    """One of OUTCOMES for each query from those of its anchors: what they share; else short, if any has a
    negative; else the first of empty and dropped that any is."""
    lowest, highest = np.minimum.reduceat(state, start), np.maximum.reduceat(state, start)
    mixed = np.where(lowest <= SHORT, SHORT, lowest)
    return np.where(lowest == highest, lowest, mixed).astype(np.uint8)


def count_reasons(reason: UInt8, codes: Codes) -> Int32:
    """How many documents of each query have each reason: int32 (queries, reasons), the first column 0."""
    kinds = len(codes.names)
    keys = reason + np.arange(len(reason))[:, None] * kinds  # as wide as bincount takes them
    counts = np.bincount(keys.ravel(), minlength=len(reason) * kinds).reshape(len(reason), kinds)
    counts[:, 0] = 0
    return counts.astype(np.int32)


def removed_by(counts: Sequence[int], codes: Codes) -> str:
    """`all 200 candidates removed: relative_margin 180, positive_text 20`, the most frequent first."""
    total = sum(counts)
    removed = [
        (-number, place)
        for place, number in enumerate(counts)
        if number and codes.names[place] not in CHOSEN + LEFT
    ]
    if not total:
        return "no candidates were found"
    if not removed:
        return f"only {counted(total, 'candidate')}"
    number = -sum(count for count, _ in removed)
    how_many = f"all {total:,}" if number == total else f"{number:,} of {total:,}"
    parts = ", ".join(f"{codes.names[place]} {-count:,}" for count, place in sorted(removed))
    return f"{how_many} candidates removed: {parts}"


def describe(
    outcome: int,
    got: Sequence[int],
    states: Sequence[int],
    wanted: int | None,
    counts: Sequence[int],
    codes: Codes,
    backfilled: int,
) -> str:
    """Why a query is not full, in a line; of a full one how many are backfill. Invalid ones say why
    elsewhere.

    got, states  of the query's anchors
    """
    filled = f"{backfilled:,} backfilled" if backfilled else ""
    if outcome == FULL:
        return filled
    why = removed_by(counts, codes)
    if len(got) > 1:
        kinds = [f"{list(states).count(kind)} {OUTCOMES[kind]}" for kind in sorted(set(states))]
        head = f"{len(got)} positives: {', '.join(kinds)}"
    elif outcome == EMPTY:
        head = ""
    else:
        head = f"{got[0]:,} of {wanted:,} negatives" if wanted is not None else ""
    return "; ".join(part for part in (head, filled, why) if part)
