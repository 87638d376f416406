"""From sums to figures, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hardneg.auditing import OWN, Point, result

POINTS = [
    Point("shift", {"window": "0:"}),
    Point("shift", {"window": "5:"}),
    Point("margin"),
    Point("margin", {"margin": 0.1}),
    Point("relative margin"),
    Point("relative margin", {"relative_margin": 0.1}),
    Point("guard"),
    Point("guard", {}, {"max_p": 0.5}),
    Point("miss rate", {}, {"max_miss_rate": 0.1}),
    Point(OWN),
]
HIDDEN = [8, 4, 8, 4, 8, 6, 8, 0, 1, 2]
HARDNESS = [0.8, 0.6, 0.8, 0.4, 0.8, 0.4, 0.8, 0.6, 0.7, 0.9]


def figures(queries: int = 2) -> dict[str, Any]:
    """Every query alike: ten chosen of twelve asked for."""
    each = np.ones((len(POINTS), queries))
    column = lambda values: np.array(values)[:, None] * each  # noqa: E731
    sums = {
        "chosen": 10 * each,
        "hidden": column(HIDDEN),
        "asked": 12 * each,
        "scored": 10 * each,
        "score": 10 * column(HARDNESS),
        "ranked": 10 * each,
        "rank": 70 * each,
        "reach": 20 * each,
        "passed": column([20] * 8 + [3, 20]),
    }
    bars = np.ones((7, queries))
    return result(POINTS, sums, {"promoted": 4 * bars, "right": 3 * bars, "chance": 2 * bars}, seed=0)


def test_a_point_is_its_shares() -> None:
    point = figures()["points"][1]
    assert point["rule"] == "shift" and point["flags"] == "--window 5:"
    assert point["contamination"] == {"share": 0.4, "low": 0.4, "high": 0.4}
    assert point["hardness"]["mean_score"] == pytest.approx(0.6)
    assert (point["mean_rank"], point["negatives"], point["hidden"]) == (7.0, 20, 8)
    assert point["yield"] == pytest.approx(10 / 12, abs=1e-6)


def test_rules_are_compared_where_they_are_equally_hard() -> None:
    found = figures()["equal_hardness"]
    assert [part["reference"] for part in found] == ["skip 5", OWN]
    rules = {row["rule"]: row for row in found[0]["rules"]}
    # At 0.6 the margins are half-way between 0.8 and 0.4: (8 + 4) / 2 and (8 + 6) / 2 of ten.
    assert rules["margin"]["contamination"]["share"] == pytest.approx(0.6)
    assert rules["relative margin"]["contamination"]["share"] == pytest.approx(0.7)
    assert rules["shift"]["contamination"]["share"] == pytest.approx(0.4)
    assert rules["guard"]["contamination"]["share"] == 0.0 and rules["guard"]["nearest"] == "--max-p 0.5"
    assert rules["shift"]["ratio_to"]["relative margin"]["ratio"] == pytest.approx(0.4 / 0.7, abs=1e-6)
    assert rules["shift"]["ratio_to"]["margin"]["ratio"] == pytest.approx(0.4 / 0.6, abs=1e-6)
    # No rule gives negatives as hard as 0.9.
    assert all(row["contamination"]["share"] is None for row in found[1]["rules"])
    assert all(row["nearest"] is None and row["yield"] is None for row in found[1]["rules"])


def test_miss_rates_and_promotion() -> None:
    found = figures()
    assert found["miss_rates"] == [{"asked": 0.1, "passed": {"share": 0.15, "low": 0.15, "high": 0.15}}]
    assert found["promotion"][0]["right"]["share"] == 0.75
    assert (found["promotion"][0]["candidates"], found["promotion"][0]["said"]) == (8, 0.5)


def test_intervals_are_over_queries() -> None:
    each = np.ones((len(POINTS), 1))
    sums = {
        name: np.concatenate([each * one, each * two], axis=1)
        for name, one, two in (
            ("chosen", 10, 10), ("hidden", 0, 10), ("asked", 10, 10), ("scored", 10, 10), ("score", 5, 5),
            ("ranked", 10, 10), ("rank", 9, 9), ("reach", 1, 1), ("passed", 1, 1),
        )
    }  # fmt: skip
    found = result(POINTS, sums, {}, seed=0)
    # Of two queries a resample holds one twice in half the cases: 0, a half or 1.
    assert found["points"][0]["contamination"] == {"share": 0.5, "low": 0.0, "high": 1.0}
    assert found["promotion"] == []


def uneven(shift: float = 0.5) -> dict[str, Any]:
    """Of ten chosen eight have a score and five a rank; levels choose less and less."""
    points = [
        Point("shift", {"window": "0:"}),
        Point("shift", {"window": "10:"}),
        Point("margin"),
        Point("margin", {"margin": 0.1}),
        Point("relative margin"),
        Point("relative margin", {"relative_margin": 0.1}),
    ]
    chosen = np.array([10, 10, 10, 4, 10, 4])
    hardness = np.array([0.8, shift, 0.8, 0.4, 0.8, 0.4])
    sums = {
        "chosen": chosen, "asked": 20, "hidden": chosen / 2, "scored": 0.8 * chosen,
        "score": 0.8 * chosen * hardness, "ranked": chosen / 2, "rank": 7 * chosen / 2, "reach": 1,
        "passed": 1,
    }  # fmt: skip
    column = {
        name: np.broadcast_to(values, chosen.shape)[:, None] * np.ones(2) for name, values in sums.items()
    }
    return result(points, column, {}, seed=0)


def test_what_has_no_score_or_rank_is_no_part_of_the_mean() -> None:
    found = uneven()
    assert found["points"][1]["hardness"]["mean_score"] == pytest.approx(0.5)
    assert found["points"][1]["mean_rank"] == 7.0


def test_yield_and_nearest_level_at_a_hardness() -> None:
    (at,) = uneven()["equal_hardness"]
    assert at["reference"] == "skip 10" and at["hardness"]["mean_score"] == pytest.approx(0.5)
    margin = next(row for row in at["rules"] if row["rule"] == "margin")
    # 0.5 is three quarters of the way from 0.8 to 0.4: nearer to the second level, and from 10 to 4 of 20.
    assert margin["nearest"] == "--margin 0.1"
    assert margin["yield"] == pytest.approx((10 - 3 / 4 * (10 - 4)) / 20)
    assert margin["contamination"]["share"] == pytest.approx(1 / 2)


def test_nothing_is_compared_at_the_hardness_of_what_chose_nothing() -> None:
    assert uneven(shift=np.nan)["equal_hardness"] == []
