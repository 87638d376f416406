"""From sums to what is said: every point, the rules at equal hardness, miss rates, promotion; JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hardneg.auditing.equal_hardness import at_equal_hardness
from hardneg.auditing.measure import Totals, divided, interval, intervals, number, resampled
from hardneg.auditing.points import MISS_RATE, OWN, RULES, Point
from hardneg.auditing.promotion import BARS
from hardneg.records import Float64

REFERENCES = {"skip 5": "5:", "skip 10": "10:"}
"""Whose hardness rules are compared at, beside that of the selection itself."""
COMPARED_TO = ("margin", "relative margin")


def result(
    points: Sequence[Point], sums: Mapping[str, Float64], promotion: Mapping[str, Float64], seed: int
) -> dict[str, Any]:
    """sums  quantity → float64 (points, queries): `chosen` negatives, `hidden` positives among them, `asked`
             for; `score` and `rank` summed over those `scored` and `ranked`; hidden positives in `reach` and
             those of them that `passed` the guard
    promotion  the same of promotion.BARS: `promoted`, `right`, their `chance`
    """
    totals = resampled(sums, seed)
    return {
        "points": [_point(point, place, totals) for place, point in enumerate(points)],
        "equal_hardness": list(_equal_hardness(points, totals)),
        "miss_rates": [
            {
                "asked": point.guard["max_miss_rate"],
                "passed": interval(totals.ratio("passed", "reach")[:, place]),
            }
            for place, point in enumerate(points)
            if point.rule == MISS_RATE
        ],
        "promotion": _promotion(resampled(promotion, seed)) if promotion else [],
    }


def _point(point: Point, place: int, totals: Totals) -> dict[str, Any]:
    return {
        "rule": point.rule,
        "settings": {**point.select, **point.guard},
        "flags": point.flags,
        "contamination": interval(totals.ratio("hidden", "chosen")[:, place]),
        "hardness": interval(totals.ratio("score", "scored")[:, place], "mean_score"),
        "mean_rank": number(totals.ratio("rank", "ranked")[0, place]),
        "yield": number(totals.ratio("chosen", "asked")[0, place]),
        "negatives": int(totals.of["chosen"][0, place]),
        "hidden": int(totals.of["hidden"][0, place]),
    }


def _equal_hardness(points: Sequence[Point], totals: Totals) -> Iterator[dict[str, Any]]:
    hardness = totals.ratio("score", "scored")
    for name, place in _references(points).items():
        wanted = hardness[:, place]
        if np.isfinite(wanted[0]):
            rules = _rules_at(points, totals, hardness, wanted)
            yield {"reference": name, "hardness": interval(wanted, "mean_score"), "rules": rules}


def _references(points: Sequence[Point]) -> dict[str, int]:
    """Name → place among the points."""
    places = {point.flags: place for place, point in enumerate(points) if point.rule == "shift"}
    found = {
        name: places[f"--window {window}"]
        for name, window in REFERENCES.items()
        if f"--window {window}" in places
    }
    own = [place for place, point in enumerate(points) if point.rule == OWN]
    return {**found, **({OWN: own[0]} if own else {})}


def _rules_at(
    points: Sequence[Point], totals: Totals, hardness: Float64, wanted: Float64
) -> list[dict[str, Any]]:
    share, found = totals.ratio("hidden", "chosen"), totals.ratio("chosen", "asked")
    levels = {rule: [place for place, point in enumerate(points) if point.rule == rule] for rule in RULES}
    read = {
        rule: at_equal_hardness(hardness[:, places], share[:, places], wanted)
        for rule, places in levels.items()
        if places
    }
    rows = []
    for rule, (contamination, level) in read.items():
        places = levels[rule]
        reached = np.isfinite(level[0])
        yields, _ = at_equal_hardness(hardness[:1, places], found[:1, places], wanted[:1])
        rows.append(
            {
                "rule": rule,
                "nearest": points[places[int(np.rint(level[0]))]].flags if reached else None,
                "contamination": interval(contamination if reached else contamination * np.nan),
                "yield": number(yields[0]),
                "ratio_to": {
                    other: interval(divided(contamination, read[other][0]), "ratio") for other in COMPARED_TO
                },
            }
        )
    return rows


def _promotion(totals: Totals) -> list[dict[str, Any]]:
    right, said = intervals(totals.ratio("right", "promoted")), totals.ratio("chance", "promoted")[0]
    return [
        {
            "promoted": bar,
            "candidates": int(totals.of["promoted"][0, place]),
            "right": right[place],
            "said": number(said[place]),
        }
        for place, bar in enumerate(BARS)
    ]
