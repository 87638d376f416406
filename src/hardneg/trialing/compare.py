"""Which arms can be told apart: paired differences, a bootstrap over queries and seeds, all pairs at once.

A difference of two arms is a number for each seed and query. Queries and seeds are drawn with replacement,
the same for all arms (Efron 1979). The bound that a difference must pass is that of the largest of all those
compared, each in its own standard errors (max-t, Westfall and Young 1993), so that with all arms equal one is
wrongly called better in one trial of twenty, however many arms there are. Arms are compared all with all (the
best is known only afterwards), and each with one that was named before, which asks for less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hardneg.records import Float64, Int64

RESAMPLES = 2000
LEVEL = 0.95
AT_ONCE = 100
FEWEST_QUERIES = 20
"""Queries below which nothing is called better."""


@dataclass(frozen=True)
class Comparison:
    """The arms of a trial by one measure.

    mean    float64 (arms,)
    drawn   float64 (resamples, arms): what resampling adds to the means
    error   float64 (arms, arms): standard error of the difference of two arms' means
    luck    float64 (arms, arms): the part of it that more queries would not lessen
    queries how many were asked
    """

    mean: Float64
    drawn: Float64
    error: Float64
    luck: Float64
    queries: int

    def interval(self, arm: int) -> tuple[float, float]:
        """95 %, of the arm's mean by itself."""
        low, high = np.quantile(self.drawn[:, arm], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(self.mean[arm] + low), float(self.mean[arm] + high)

    def among(self, arms: Sequence[int]) -> Contrast:
        """All of these with all."""
        one, other = np.triu_indices(len(arms), 1)
        places = np.array(arms, np.int64)
        return self._contrast(places[one], places[other])

    def against(self, control: int) -> Contrast:
        """Each arm with this one."""
        others = np.delete(np.arange(len(self.mean)), control)
        return self._contrast(others, np.full(len(others), control))

    def _contrast(self, one: Int64, other: Int64) -> Contrast:
        difference, error = np.abs(self.drawn[:, one] - self.drawn[:, other]), self.error[one, other]
        ratio = np.divide(difference, error, out=np.zeros_like(difference), where=error > 0)
        bound = float(np.quantile(ratio.max(axis=1), LEVEL)) if len(one) else 0.0
        return Contrast(self, bound)


@dataclass(frozen=True)
class Contrast:
    """What may be said of the pairs of one comparison; `bound` is how many standard errors a difference must
    have."""

    of: Comparison
    bound: float

    def difference(self, one: int, other: int) -> dict[str, float]:
        """The first less the other, with its simultaneous 95 % interval."""
        value = float(self.of.mean[one] - self.of.mean[other])
        width = float(self.bound * self.of.error[one, other])
        return {"difference": value, "low": value - width, "high": value + width}

    def better(self, one: int, other: int) -> bool:
        """Whether the first is better than the other, beyond chance."""
        return self.of.queries >= FEWEST_QUERIES and self.difference(one, other)["low"] > 0

    def group(self, arms: Sequence[int]) -> list[int]:
        """The best of these arms, and those that cannot be told apart from it, the best first."""
        order = sorted(arms, key=lambda arm: (-self.of.mean[arm], arm))
        return [arm for arm in order if not self.better(order[0], arm)]

    def told_apart(self, arms: Sequence[int]) -> list[tuple[int, int]]:
        """Every pair of which the first is better beyond chance."""
        return [(one, other) for one in arms for other in arms if one != other and self.better(one, other)]

    def queries_needed(self, one: int, other: int) -> int | None:
        """How many queries would tell these two apart were the difference what it seems.

        None where no number would: there is no difference, or the luck of so few trainings hides it.
        Estimated from too few queries to tell anything it would be no better than a guess: None too.
        """
        of = self.of
        value, luck = abs(float(of.mean[one] - of.mean[other])), float(of.luck[one, other])
        of_queries = max(float(of.error[one, other]) ** 2 - luck**2, 0.0)
        room = (value / self.bound) ** 2 - luck**2 if self.bound > 0 else 0.0
        if of.queries < FEWEST_QUERIES or room <= 0:
            return None
        return max(int(np.ceil(of.queries * of_queries / room)), FEWEST_QUERIES)


def compare(values: Float64, seed: int) -> Comparison:
    """values  float64 (arms, seeds, queries): one measure."""
    mean = values.mean(axis=(1, 2))
    of_query, of_seed = _resampled(
        values.mean(axis=1) - mean[:, None], values.mean(axis=2) - mean[:, None], seed
    )
    drawn = of_query + of_seed
    return Comparison(mean, drawn, _errors(drawn), _luck(values, _errors(of_seed)), values.shape[2])


def _luck(values: Float64, of_seed: Float64) -> Float64:
    """The seeds' errors, less what in them is chance of single queries in single trainings.

    That is the interaction of a two-way table without repetition: its variance over the queries is what the
    seeds' means differ by even where no training is luckier than another.
    """
    seeds, queries = values.shape[1:]
    if seeds < 2 or queries < 2:
        return of_seed
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=2, keepdims=True)
    rest += values.mean(axis=(1, 2), keepdims=True)
    each = np.stack([((rest - one) ** 2).sum(axis=(1, 2)) for one in rest]) / (seeds - 1) / (queries - 1)
    chance = _widening(seeds) ** 2 * (seeds - 1) / seeds * each / seeds / queries
    luck: Float64 = np.sqrt(np.maximum(of_seed**2 - chance, 0))
    return luck


def _errors(drawn: Float64) -> Float64:
    """float64 (arms, arms): standard deviation of each difference."""
    return np.stack([np.std(drawn - drawn[:, [arm]], axis=0) for arm in range(drawn.shape[1])])


def _resampled(of_query: Float64, of_seed: Float64, seed: int) -> tuple[Float64, Float64]:
    """What resampling queries, and seeds, adds to each arm's mean: both float64 (resamples, arms).

    The spread of few seeds is that of their deviations from their own mean, which is too small by
    (seeds - 1) / seeds, and itself so little known that Student's t takes the place of the normal: they are
    scaled up by both. Of one seed nothing is known: the luck of training is not in the intervals then.
    """
    queries, seeds = of_query.shape[1], of_seed.shape[1]
    draws = np.random.Generator(np.random.Philox(key=seed))
    wider = _widening(seeds)
    query, own = [], []
    for _ in range(0, RESAMPLES, AT_ONCE):
        query.append((_counts(draws, queries) / queries) @ of_query.T)
        own.append(wider * ((_counts(draws, seeds) / seeds) @ of_seed.T))
    return np.concatenate(query), np.concatenate(own)


def _widening(seeds: int) -> float:
    from scipy.special import ndtri, stdtrit

    if seeds < 2:
        return 0.0
    tail = (1 + LEVEL) / 2
    return float(np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, tail) / ndtri(tail))


def _counts(draws: np.random.Generator, of: int) -> Float64:
    """How often each is in each resample: float64 (AT_ONCE, of)."""
    return draws.multinomial(of, np.full(of, 1 / of), AT_ONCE).astype(np.float64)
