"""How many of the chosen are positives that nobody labelled, by what the model says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Float64, Int64

RESAMPLES = 400
MOST_RESAMPLED = 1 << 15
"""Of more queries, so many groups are drawn from instead: a sum of groups varies as that of their queries."""
TAIL = 0.05


@dataclass(frozen=True)
class Contamination:
    """share      of the chosen, about
    low, high  a 90 % interval
    judged     how many chosen were judged
    """

    share: float
    low: float
    high: float
    judged: int


def contamination(chance: Float64, query: Int64, spread: float) -> Contamination | None:
    """chance, query  of each chosen candidate: its probability, and its query's row
    spread  factor within which the model's scale is known (model.Model)

    The interval is a bootstrap over queries, widened by the spread. None where nothing was judged.
    """
    if not len(chance):
        return None
    _, place = np.unique(query, return_inverse=True)
    place %= MOST_RESAMPLED
    count = np.bincount(place).astype(np.float64)
    # Among one query's chosen each is a positive or not: the draw of that is part of what is not known.
    total, variance = np.bincount(place, chance), np.bincount(place, chance * (1 - chance))
    draws = np.random.Generator(np.random.Philox(0))
    shares = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        picked = draws.integers(0, len(count), len(count))
        shares[number] = total[picked].sum() / count[picked].sum()
    shares += draws.standard_normal(RESAMPLES) * np.sqrt(variance.sum()) / count.sum()
    low, high = np.quantile(shares, [TAIL, 1 - TAIL])
    return Contamination(
        share=float(total.sum() / count.sum()),
        low=float(max(low, 0.0) / spread),
        high=float(min(high * spread, 1.0)),
        judged=len(chance),
    )
