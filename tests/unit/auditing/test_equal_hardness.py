"""Curves read off at one hardness, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.auditing import at_equal_hardness


def read(hardness: list[float], value: list[float], wanted: float) -> tuple[float, float]:
    found, level = at_equal_hardness(np.array([hardness]), np.array([value]), np.array([wanted]))
    return float(found[0]), float(level[0])


def test_between_two_levels_it_is_a_straight_line() -> None:
    # from 0.8 to 0.6 hardness falls; 0.65 is three quarters of the way: 0.4 - 0.75 × (0.4 - 0.2)
    assert read([0.9, 0.8, 0.6], [0.5, 0.4, 0.2], 0.65) == pytest.approx((0.25, 1.75))


def test_a_level_itself_is_read_exactly() -> None:
    for place, (hardness, value) in enumerate(zip([0.9, 0.8, 0.6], [0.5, 0.4, 0.3], strict=True)):
        assert read([0.9, 0.8, 0.6], [0.5, 0.4, 0.3], hardness) == (value, place)


def test_out_of_reach_is_nothing() -> None:
    assert np.isnan(read([0.9, 0.8], [0.5, 0.4], 0.95)).all()
    assert np.isnan(read([0.9, 0.8], [0.5, 0.4], 0.7)).all()
    assert np.isnan(read([0.9], [0.5], 0.9)).all()


def test_where_hardness_rises_again_the_first_crossing_counts() -> None:
    assert read([0.9, 0.5, 0.7], [0.4, 0.2, 0.0], 0.6) == pytest.approx((0.25, 0.75))


def test_a_level_that_chose_nothing_is_no_neighbour() -> None:
    assert read([0.9, np.nan, 0.7, 0.5], [0.4, np.nan, 0.2, 0.1], 0.6) == pytest.approx((0.15, 2.5))
    assert np.isnan(read([0.9, np.nan, 0.7], [0.4, np.nan, 0.2], 0.8)).all()


def test_levels_that_are_equally_hard() -> None:
    assert read([0.9, 0.8, 0.8], [0.5, 0.3, 0.2], 0.8) == (0.3, 1.0)


def test_each_resample_has_its_own_hardness() -> None:
    hardness, value = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.4, 0.0], [0.8, 0.0]])
    found, _ = at_equal_hardness(hardness, value, np.array([0.5, 0.25]))
    assert found == pytest.approx([0.2, 0.2])


def test_the_first_of_levels_that_are_all_as_hard_is_read() -> None:
    assert read([0.8, 0.8, 0.8], [0.5, 0.3, 0.2], 0.8) == (0.5, 0.0)
