"""Rules beside each other where they give equally hard negatives: a strict rule is always cleaner."""

from __future__ import annotations

import numpy as np

from hardneg.records import Float64


def at_equal_hardness(hardness: Float64, value: Float64, wanted: Float64) -> tuple[Float64, Float64]:
    """A rule's value, and the level, where its negatives are as hard as is wanted; NaN where they never are.

    hardness, value  float64 (resamples, levels), from the loosest level to the strictest
    wanted           float64 (resamples,)

    Between two levels both change in a straight line. Where a strict rule leaves only queries whose
    candidates score high, hardness rises again; the first crossing counts. The level is a place among the
    levels, 2.5 being half-way between the third and the fourth.
    """
    before, after = hardness[:, :-1] - wanted[:, None], hardness[:, 1:] - wanted[:, None]
    with np.errstate(invalid="ignore"):
        crossing = before * after <= 0
    row = np.arange(len(hardness))
    if not crossing.shape[1]:
        return np.full(len(row), np.nan), np.full(len(row), np.nan)
    first = crossing.argmax(axis=1)
    there = crossing[row, first]
    step = before[row, first] - after[row, first]
    part = np.divide(before[row, first], step, out=np.zeros(len(row)), where=there & (step != 0))
    low, high = value[row, first], value[row, first + 1]
    found = np.where(part == 0, low, np.where(part == 1, high, low + part * (high - low)))
    return np.where(there, found, np.nan), np.where(there, first + part, np.nan)
