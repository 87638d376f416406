"""Bounds in float64, compared in float32 to the same effect; references over several positives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.records import NO_DOC
from hardneg.select.margins import (
    float32_at_least,
    float32_at_most,
    margin_bound,
    reference_score,
    relative_margin_bound,
)
from hardneg.select.window import deepest_rank, in_window

NAN = float("nan")


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6, width=32))
def test_the_float32_bounds_divide_as_the_float64_ones(bound: float, score: float) -> None:
    stored = np.float32(score)
    assert (stored <= float32_at_most(bound)) == (float(stored) <= bound)
    assert (stored >= float32_at_least(bound)) == (float(stored) >= bound)
    for near in (np.float32(bound), np.nextafter(np.float32(bound), np.float32(np.inf))):
        assert (near <= float32_at_most(bound)) == (float(near) <= bound)


def test_margin_bounds() -> None:
    reference = np.array([0.8, -2.0, 0.0])
    assert margin_bound(reference, 0.1).tolist() == [0.8 - 0.1, -2.0 - 0.1, -0.1]
    # A share of a negative score lies below it too: -2 - 2 * 0.05
    assert relative_margin_bound(reference, 0.05).tolist() == [0.8 - 0.8 * 0.05, -2 - 2 * 0.05, 0.0]


@pytest.mark.parametrize(
    ("how", "expected"), [("min", 0.25), ("mean", (0.5 + 0.25 + 0.75) / 3), ("max", 0.75)]
)
def test_reference_over_the_positives_that_are_there(how: str, expected: float) -> None:
    positive = np.array([[4, NO_DOC, 5, 6]], np.int32)
    score = np.array([[0.5, 9.0, 0.25, 0.75]], np.float32)
    assert reference_score(positive, score, how, None).tolist() == [expected]  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["min", "mean", "max"])
def test_a_missing_score_makes_no_reference_unless_one_takes_its_place(how: str) -> None:
    positive = np.array([[4, 5], [4, NO_DOC], [NO_DOC, NO_DOC]], np.int32)
    score = np.array([[0.5, NAN], [-np.inf, NAN], [NAN, NAN]], np.float32)
    assert np.isnan(reference_score(positive, score, how, None)).all()  # type: ignore[arg-type]
    found = reference_score(positive, score, how, 0.25)  # type: ignore[arg-type]
    assert found[0] == {"min": 0.25, "mean": (0.5 + 0.25) / 2, "max": 0.5}[how]
    assert found[1] == 0.25
    assert np.isnan(found[2])


def test_the_mean_does_not_hang_on_the_width_of_the_block() -> None:
    score = np.random.default_rng(0).random((1, 11)).astype(np.float32)
    positive = np.arange(11, dtype=np.int32)[None, :]
    wide_score, wide = np.full((1, 40), NAN, np.float32), np.full((1, 40), NO_DOC, np.int32)
    wide_score[:, :11], wide[:, :11] = score, positive
    assert reference_score(positive, score, "mean", None) == reference_score(wide, wide_score, "mean", None)


def test_a_window_counts_raw_ranks_from_its_start() -> None:
    ranks = np.arange(0, 213, dtype=np.int32)  # 0 is "not found"
    assert ranks[in_window(ranks, (10, 210))].tolist() == list(range(11, 211))
    assert ranks[in_window(ranks, (0, None))].tolist() == list(range(1, 213))
    assert [deepest_rank(w) for w in (None, (5, None), (10, 210))] == [0, 6, 210]
