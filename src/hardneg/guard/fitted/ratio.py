"""How many positives without a label there are for each labelled one, by what labelled ones look like.

Where every candidate is a positive, labelled ones cannot be denser among them than one in 1 + ratio: so the
ratio shows in how the odds of a label level off (the likelihood of presence-only data, Lancaster & Imbens
1996; Ward et al. 2009). What looks just like a labelled positive counts as one, so the ratio is a little too
high where judges would have said no.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, sqrt

import numpy as np

from hardneg.guard.fitted.regression import Weights

STEP = log(2)
LOWEST, HIGHEST = -6, 6
"""Ratios from 1/64 to 64 are looked at."""
BEYOND = 40.0
"""Ratios less likely than the likeliest by this much, in logarithms, are not looked at."""
FINER = 32
"""Ratios between two that are looked at, by the parabola through three."""
EXPECTED = 0.7
"""Standard deviation of the logarithm of the ratio before anything is seen; its mean is 0, half the positives
labelled."""
REPEATED = 2.0
"""The rows of a query resemble each other: so many count as one that stands alone."""
UNMODELLED = 0.25
"""Deviation of the logarithm from what the model does not hold, as seen on judged collections."""

Fit = Callable[[float, Weights | None], tuple[Weights, float]]


def likeliest_ratio(fit: Fit) -> tuple[float, float]:
    """(ratio, spread): the ratio, and a factor that it is known to (90 %).

    fit  (ratio, weights to start from) → the likeliest weights and the logarithm of their posterior
    """
    heights: dict[int, float] = {}
    weights: Weights | None = None

    def height(place: int) -> float:
        nonlocal weights
        if place not in heights:
            weights, heights[place] = fit(exp(place * STEP), weights)
        return heights[place]

    for down in (True, False):
        place = 0
        while height(place) > max(heights.values()) - BEYOND and LOWEST < place < HIGHEST:
            place += -1 if down else 1
    mean, deviation = _posterior(heights)
    spread = exp(1.645 * sqrt(deviation**2 + UNMODELLED**2))
    return exp(mean), spread


def _posterior(heights: dict[int, float]) -> tuple[float, float]:
    """Mean and deviation of the logarithm of the ratio."""
    places = np.array(sorted(heights), np.float64)
    known = np.array([heights[round(place)] for place in places.tolist()])
    fine = np.linspace(places[0], places[-1], int(places[-1] - places[0]) * FINER + 1)
    middle = np.clip(np.rint(fine - places[0]).astype(np.int64), 1, len(places) - 2)
    away = fine - places[middle]
    below, here, above = known[middle - 1], known[middle], known[middle + 1]
    height = here + away * (above - below) / 2 + away**2 * (above + below - 2 * here) / 2
    chance = height / REPEATED - (fine * STEP) ** 2 / (2 * EXPECTED**2)
    weight = np.exp(chance - chance.max())
    weight /= weight.sum()
    mean = float(weight @ (fine * STEP))
    return mean, sqrt(float(weight @ (fine * STEP - mean) ** 2))
