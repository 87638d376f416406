"""The measured rate: worked out by hand, exact bounds against enumeration, coverage by simulation."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from hardneg.guard.fitted.measured import Stratum, measured_rate, positives_between


def test_the_share_by_hand() -> None:
    rate = measured_rate([Stratum(10, 10, 6), Stratum(90, 30, 3)])
    assert rate is not None
    assert rate.share == pytest.approx((6 + 90 * 3 / 30) / 100)
    assert (6 + 3) / 100 <= rate.low < rate.share < rate.high


def test_what_is_wholly_judged_is_known() -> None:
    rate = measured_rate([Stratum(10, 10, 6), Stratum(30, 30, 3), Stratum(0, 0, 0)])
    assert rate is not None
    assert rate.low == rate.share == rate.high == pytest.approx(9 / 40)


def test_no_rate_where_a_stratum_is_not_judged() -> None:
    assert measured_rate([Stratum(10, 10, 6), Stratum(90, 0, 0)]) is None
    assert measured_rate([]) is None


def drawn(x: int, judged: int, held: int, size: int) -> float:
    return comb(held, x) * comb(size - held, judged - x) / comb(size, judged)


@pytest.mark.parametrize(
    ("size", "judged", "seen"), [(20, 7, 2), (20, 7, 0), (20, 7, 7), (9, 8, 3), (5, 5, 2)]
)
def test_bounds_are_those_that_no_test_refutes(size: int, judged: int, seen: int) -> None:
    tail = 0.05
    held = [
        h
        for h in range(seen, size - judged + seen + 1)
        if sum(drawn(x, judged, h, size) for x in range(seen, judged + 1)) > tail
        and sum(drawn(x, judged, h, size) for x in range(seen + 1)) > tail
    ]
    assert positives_between(Stratum(size, judged, seen), tail) == (min(held), max(held))


def test_large_strata_are_no_trouble() -> None:
    low, high = positives_between(Stratum(10_000_000, 100, 3), 0.025)
    assert 0.006 < low / 10_000_000 < 0.0065 and 0.085 < high / 10_000_000 < 0.0855  # Clopper-Pearson's


@pytest.mark.parametrize("positives", [0, 3, 40, 200])
def test_the_interval_holds_the_truth(positives: int) -> None:
    draws = np.random.default_rng(0)
    size, judged, held = 400, 60, []
    for seen in draws.hypergeometric(positives, size - positives, judged, 300).tolist():
        rate = measured_rate([Stratum(20, 20, 11), Stratum(size, judged, seen)])
        assert rate is not None
        held.append(rate.low <= (11 + positives) / 420 <= rate.high)
    assert np.mean(held) >= 0.93


def test_two_sampled_strata_are_held_together() -> None:
    draws, held = np.random.default_rng(1), []
    for _ in range(300):
        one, two = draws.hypergeometric(30, 20, 15), draws.hypergeometric(20, 380, 50)
        rate = measured_rate([Stratum(50, 15, int(one)), Stratum(400, 50, int(two))])
        assert rate is not None
        held.append(rate.low <= 50 / 450 <= rate.high)
    assert np.mean(held) >= 0.95


def test_the_bounds_of_sampled_strata_share_what_may_go_wrong() -> None:
    """Two of three strata are samples: 5 % between two sides of either, so each side has 1.25 %."""
    whole, one, two = Stratum(10, 10, 6), Stratum(50, 15, 4), Stratum(90, 30, 3)
    rate = measured_rate([whole, one, two])
    assert rate is not None
    bounds = np.array([positives_between(stratum, 0.05 / 4) for stratum in (one, two)])
    assert [rate.low, rate.high] == pytest.approx((6 + bounds.sum(axis=0)) / 150)
