"""Which arms can be told apart: paired differences, a bootstrap over queries and seeds, all pairs at once.

A difference of two arms is a number for each seed and query. Queries and seeds are drawn with replacement,
the same for all arms (Efron 1979). The bound that a difference must pass is that of the largest of all pairs'
differences, each in its own standard errors (max-t, Westfall and Young 1993), so that with all arms equal
one is wrongly called better in one trial of twenty, however many arms there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Bool, Float64

RESAMPLES = 2000
LEVEL = 0.95
AT_ONCE = 100
FEWEST_QUERIES = 20
"""Queries below which nothing is called better."""


@dataclass(frozen=True)
class Comparison:
    """Every pair of arms.

    mean        float64 (arms,)
    low, high   float64 (arms,): 95 % interval of each arm's mean
    error       float64 (arms, arms): standard error of the difference of two arms' means
    bound       how many standard errors a difference must have
    queries     how many were asked
    """

    mean: Float64
    low: Float64
    high: Float64
    error: Float64
    bound: float
    queries: int

    def better(self, one: int, other: int) -> bool:
        """Whether the first arm is better than the other, beyond chance."""
        if self.queries < FEWEST_QUERIES:
            return False
        return bool(self.mean[one] - self.mean[other] > self.bound * self.error[one, other])

    def group(self, arms: Bool) -> list[int]:
        """The best of these arms, and those that cannot be told apart from it, the best first."""
        places = np.flatnonzero(arms)
        order = places[np.argsort(-self.mean[places], kind="stable")]
        return [int(place) for place in order if not self.better(int(order[0]), int(place))]

    def difference(self, one: int, other: int) -> dict[str, float]:
        """The first less the other, with its simultaneous interval."""
        value, width = float(self.mean[one] - self.mean[other]), float(self.bound * self.error[one, other])
        return {"difference": value, "low": value - width, "high": value + width}

    def queries_needed(self, one: int, other: int) -> int | None:
        """How many queries would tell these two apart were the difference what it seems; None: no number."""
        value = abs(float(self.mean[one] - self.mean[other]))
        width = float(self.bound * self.error[one, other])
        return int(np.ceil(self.queries * (width / value) ** 2)) if value > 0 else None


def compare(values: Float64, seed: int) -> Comparison:
    """values  float64 (arms, seeds, queries): one measure."""
    arms, seeds, queries = values.shape
    mean = values.mean(axis=(1, 2))
    of_query = values.mean(axis=1) - mean[:, None]
    of_seed = values.mean(axis=2) - mean[:, None]
    drawn = _resampled(of_query, of_seed, seed)
    error = np.std(drawn[:, :, None] - drawn[:, None, :], axis=0)
    ratio = _in_errors(drawn[:, :, None] - drawn[:, None, :], error)
    largest = ratio.reshape(len(drawn), -1).max(axis=1)
    bound = float(np.quantile(largest, LEVEL)) if arms > 1 else 0.0
    low, high = mean + np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Comparison(mean, low, high, error, bound, queries)


def _resampled(of_query: Float64, of_seed: Float64, seed: int) -> Float64:
    """What resampling adds to each arm's mean: float64 (resamples, arms).

    The spread of few seeds is that of their deviations from their own mean, which is too small by
    (seeds - 1) / seeds; they are scaled up by its root.
    """
    (arms, queries), seeds = of_query.shape, of_seed.shape[1]
    draws = np.random.Generator(np.random.Philox(key=seed))
    wider = np.sqrt(seeds / (seeds - 1)) if seeds > 1 else 0.0
    parts = []
    for _ in range(0, RESAMPLES, AT_ONCE):
        query = _counts(draws, queries) / queries
        own = _counts(draws, seeds) / seeds
        parts.append(query @ of_query.T + wider * (own @ of_seed.T))
    return np.concatenate(parts)


def _counts(draws: np.random.Generator, of: int) -> Float64:
    """How often each is in each resample: float64 (AT_ONCE, of)."""
    return draws.multinomial(of, np.full(of, 1 / of), AT_ONCE).astype(np.float64)


def _in_errors(difference: Float64, error: Float64) -> Float64:
    nothing = np.zeros_like(difference)
    found: Float64 = np.divide(np.abs(difference), error, out=nothing, where=error > 0)
    return found
