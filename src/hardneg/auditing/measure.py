"""Sums a query, and what resampled queries make of them (bootstrap, Efron 1979; queries are the units)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.records import Bool, Float32, Float64, Int64

RESAMPLES = 1000
TAIL = 0.025
AT_ONCE = 50
"""Resamples drawn together."""


class Sums:
    """Adds up whole numbers and exact scores: a row of each quantity a point, a column a query."""

    def __init__(self, points: int, queries: int) -> None:
        self._shape = (points, queries)
        self.of: dict[str, Float64] = {}

    def add(self, point: int, place: Int64, **values: Any) -> None:
        """place  int64 (rows,): the column of each of the values."""
        for name, value in values.items():
            total = self.of.setdefault(name, np.zeros(self._shape))
            total[point] += np.bincount(place, np.broadcast_to(value, place.shape), self._shape[1])


def exact(values: Float32 | Float64) -> Float64:
    """The values on a grid of 2⁻³⁰ of their size, on which sums of a million are exact in any order."""
    size = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    scale = 2.0 ** (30 - np.ceil(np.log2(size))) if size > 0 else 1.0
    return np.rint(values.astype(np.float64) * scale) / scale


@dataclass(frozen=True)
class Totals:
    """float64 (1 + resamples, points) of each quantity: of the queries as they are, then of each resample."""

    of: Mapping[str, Float64]

    def ratio(self, part: str, whole: str) -> Float64:
        """NaN where there is nothing."""
        return divided(self.of[part], self.of[whole])


def divided(part: Float64, whole: Float64) -> Float64:
    """part / whole, NaN where the latter is 0."""
    nothing = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    found: Float64 = np.divide(part, whole, out=nothing, where=whole > 0)
    return found


def resampled(sums: Mapping[str, Float64], seed: int, resamples: int = RESAMPLES) -> Totals:
    """sums  quantity → float64 (points, queries). All of one resample are of the same queries, so that
    differences between points are known better than each is."""
    every = np.concatenate(list(sums.values()))
    queries = every.shape[1]
    drawn = [np.ones((1, queries)), *_draws(queries, seed, resamples)]
    totals = np.concatenate([part @ every.T for part in drawn])
    return Totals(dict(zip(sums, np.split(totals, len(sums), axis=1), strict=True)))


def _draws(queries: int, seed: int, resamples: int) -> Iterator[Float64]:
    """How often each query is in each resample, float64 (AT_ONCE, queries)."""
    draws = np.random.Generator(np.random.Philox(key=seed))
    for start in range(0, resamples, AT_ONCE):
        rows = min(AT_ONCE, resamples - start)
        picked = draws.integers(0, queries, (rows, queries)) + np.arange(rows)[:, None] * queries
        yield np.bincount(picked.ravel(), minlength=rows * queries).reshape(rows, queries).astype(np.float64)


def interval(values: Float64, name: str = "share") -> dict[str, float | None]:
    """float64 (1 + resamples,) → the value itself and the 95 % interval, None where it has none.

    An interval needs nine resamples in ten that have a value.
    """
    kept = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(kept, [TAIL, 1 - TAIL]) if _enough(np.isfinite(values[1:])) else (np.nan, np.nan)
    return {name: number(values[0]), "low": number(low), "high": number(high)}


def _enough(there: Bool) -> bool:
    return bool(len(there) and there.mean() >= 0.9)


def number(value: float) -> float | None:
    """For JSON: six digits, None for what is none."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def intervals(values: Float64, name: str = "share") -> Sequence[dict[str, float | None]]:
    """The same for each column."""
    return [interval(column, name) for column in values.T]
