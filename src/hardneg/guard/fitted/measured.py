"""How many of the chosen are positives, by people's judgments of a stratified sample of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Stratum:
    """size      members
    judged    members that were judged, drawn at random from all
    relevant  of those, how many are positives
    """

    size: int
    judged: int
    relevant: int


@dataclass(frozen=True)
class Rate:
    """share, low, high  of the members of all strata: unbiased, and an interval that holds the truth at least
    LEVEL of the times
    """

    share: float
    low: float
    high: float


def measured_rate(strata: Sequence[Stratum], level: float = LEVEL) -> Rate | None:
    """The stratified estimate, each judged member standing for size / judged (Horvitz & Thompson 1952).

    The interval adds up exact ones of the strata that are not wholly judged, each at an equal part of what
    may go wrong (Bonferroni); a stratum that is wholly judged is known. None where a stratum has no judged
    member.
    """
    strata = [stratum for stratum in strata if stratum.size]
    if not strata or any(not stratum.judged for stratum in strata):
        return None
    total = sum(stratum.size for stratum in strata)
    sampled = sum(stratum.judged < stratum.size for stratum in strata)
    tail = (1 - level) / 2 / max(sampled, 1)
    bounds = [positives_between(stratum, tail) for stratum in strata]
    return Rate(
        share=sum(stratum.size * stratum.relevant / stratum.judged for stratum in strata) / total,
        low=sum(low for low, _ in bounds) / total,
        high=sum(high for _, high in bounds) / total,
    )


def positives_between(stratum: Stratum, tail: float) -> tuple[int, int]:
    """The fewest and the most positives among the members that are not refuted: with fewer (more) of them,
    as many (few) relevant ones as were seen would be drawn with a probability of `tail` at most. Exact, by
    the hypergeometric distribution (the finite population's Clopper-Pearson interval)."""
    size, judged, seen = stratum.size, stratum.judged, stratum.relevant
    fewest, most = seen, size - judged + seen
    low = _first(fewest, most, lambda held: seen == 0 or 1 - _at_most(seen - 1, judged, held, size) > tail)
    high = _first(fewest, most, lambda held: held == most or _at_most(seen, judged, held + 1, size) <= tail)
    return low, high


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first whole number from `low` to `high` from which on it holds; `high` where it never does."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _at_most(seen: int, judged: int, held: int, size: int) -> float:
    """Probability of at most `seen` of the `held` positives among `judged` members of `size`."""
    chances = (
        math.exp(_log_choices(held, x) + _log_choices(size - held, judged - x) - _log_choices(size, judged))
        for x in range(max(0, judged - size + held), min(seen, held) + 1)
    )
    return min(math.fsum(chances), 1.0)


def _log_choices(number: int, taken: int) -> float:
    return math.lgamma(number + 1) - math.lgamma(taken + 1) - math.lgamma(number - taken + 1)
