"""Margins below a positive's score, and the reference that they are taken against.

Scores are float32 as stored; bounds are worked out and meant in float64. A candidate passes where
`float64(score) <= bound`: a score equal to the bound passes. `float32_at_most` turns the bound into the one
float32 that divides the float32 numbers the same way, so that comparing in float32 gives the same answer.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hardneg.records import NO_DOC, Float32, Int32

Float64 = NDArray[np.float64]


def reference_score(
    positive: Int32, score: Float32, how: Literal["min", "mean", "max"], missing: float | None
) -> Float64:
    """The score that stands for a row's positives: float64 (rows,), NaN where one is missing or there is
    none.

    positive  int32   (rows, positives), NO_DOC where there is nothing
    score     float32 (rows, positives), NaN (or infinite) where there is none
    missing   what takes the place of a score that is not there

    The mean is summed in the positives' order, so that the width of the array does not change its last bit.
    """
    there = positive != NO_DOC
    wide = score.astype(np.float64)
    if missing is not None:
        wide = np.where(np.isfinite(wide), wide, missing)
    wide[~np.isfinite(wide)] = np.nan
    count = there.sum(axis=1)
    if how == "mean":
        total = np.add.accumulate(np.where(there, wide, 0.0), axis=1)[:, -1:].sum(axis=1)
        found = total / np.maximum(count, 1)
    elif how == "min":
        found = np.where(there, wide, np.inf).min(axis=1, initial=np.inf)
    else:
        found = np.where(there, wide, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(count > 0, found, np.nan)


def margin_bound(reference: Float64, margin: float) -> Float64:
    """positive - margin."""
    return reference - margin


def relative_margin_bound(reference: Float64, relative_margin: float) -> Float64:
    """positive - |positive| * relative_margin: below the positive for negative scores too."""
    return reference - np.abs(reference) * relative_margin


def float32_at_most(bound: float | NDArray[Any]) -> Float32:
    """The highest float32 that is not above the bound; NaN stays NaN."""
    exact = np.asarray(bound, np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def float32_at_least(bound: float) -> np.float32:
    """The lowest float32 that is not below the bound."""
    return np.float32(-float32_at_most(-bound))
