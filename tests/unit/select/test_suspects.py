"""The sample of suspects: its inclusion probabilities are true, and nothing but seed and ids decides it."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.select.draws import stream_keys
from hardneg.select.suspects import RANDOM, RISKIEST, draw_suspects

CHANCE = np.array([0.1, 0.9, 0.2, 0.9, 0.05, 0.3, 0.0, 0.7], np.float32)


def keys(count: int, seed: int = 0) -> np.ndarray:
    return stream_keys(seed, [(f"q{n}".encode(), b"d") for n in range(count)], "suspects")


def test_half_are_the_riskiest_and_certain() -> None:
    drawn = draw_suspects(CHANCE, keys(8), 5)
    riskiest = drawn.stratum == RISKIEST
    assert sorted(drawn.place[riskiest]) == [1, 3]
    assert drawn.inclusion_probability[riskiest].tolist() == [1.0, 1.0]
    assert drawn.stratum_size[riskiest].tolist() == [2, 2]
    assert drawn.inclusion_probability[~riskiest].tolist() == [3 / 6] * 3
    assert drawn.stratum_size[~riskiest].tolist() == [6] * 3
    assert len(set(drawn.place.tolist())) == 5


def test_every_other_member_is_drawn_as_often_as_its_probability_says() -> None:
    seeds = 2000
    often = np.zeros(8)
    for seed in range(seeds):
        drawn = draw_suspects(CHANCE, keys(8, seed), 5)
        often[drawn.place] += 1
    assert (often[[1, 3]] == seeds).all()
    rest = often[[0, 2, 4, 5, 6, 7]] / seeds
    assert np.abs(rest - 3 / 6).max() < 4 * np.sqrt(0.25 / seeds)


def test_weighting_by_inclusion_gives_the_total_without_bias() -> None:
    relevant = np.array([0, 1, 1, 0, 0, 1, 0, 1])
    totals = []
    for seed in range(2000):
        drawn = draw_suspects(CHANCE, keys(8, seed), 5)
        totals.append((relevant[drawn.place] / drawn.inclusion_probability).sum())
    assert np.mean(totals) == pytest.approx(4, abs=4 * np.std(totals) / np.sqrt(2000))


def test_the_order_gives_no_stratum_away() -> None:
    first = [draw_suspects(CHANCE, keys(8, seed), 4).stratum[0] for seed in range(1000)]
    assert abs(np.mean(np.array(first) == RISKIEST) - 0.5) < 0.07


def test_all_are_taken_where_there_are_no_more() -> None:
    drawn = draw_suspects(CHANCE, keys(8), 100)
    assert sorted(drawn.place) == list(range(8))
    assert (drawn.inclusion_probability == 1).all()


def test_unjudged_ones_are_never_among_the_riskiest() -> None:
    chance = np.array([np.nan, 0.1, np.nan, np.nan], np.float32)
    drawn = draw_suspects(chance, keys(4), 4)
    assert drawn.place[drawn.stratum == RISKIEST].tolist() == [1]
    nothing = draw_suspects(np.full(4, np.nan, np.float32), keys(4), 2)
    assert (nothing.stratum == RANDOM).all() and (nothing.inclusion_probability == 2 / 4).all()


def test_one_row_is_a_random_one() -> None:
    assert draw_suspects(CHANCE, keys(8), 1).stratum.tolist() == [RANDOM]
