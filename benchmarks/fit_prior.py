"""Fits the guard's shipped weights on judged collections and writes src/hardneg/guard/fitted/prior.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hardneg.guard.fitted.features import COLUMNS, FIRST, features
from hardneg.guard.fitted.model import matching_shift
from hardneg.guard.fitted.regression import Likelihood, Weights
from hardneg.records import Float32, Float64
from judged import COLLECTIONS, Keep, Setting, candidates, hide, judged

KEPT: Keep = "one"
"""The weights alone judge runs where every query has one positive."""
SEEDS = (0, 1, 2, 3)
COMPLETE = ("scifact",)
"""Nearly every positive is labelled, so hardly any is hidden: it says how rare they may be, not what they are
like."""
ROWS = 20000.0
"""That a collection counts for."""
STRENGTH = 100.0
"""Keeps columns that say much the same from taking large weights against each other."""
OUTPUT = Path(__file__).resolve().parents[1] / "src" / "hardneg" / "guard" / "fitted" / "prior.json"


def blank(columns: Sequence[str]) -> Weights:
    nothing = np.zeros(len(columns))
    return Weights(tuple(columns), nothing, np.ones(len(columns)), nothing, 0.0)


def fit_prior(names: Sequence[str]) -> tuple[Weights, Weights]:
    """The first opinion's weights and the whole's; every collection counts alike.

    The intercept is that of all collections, so that the probabilities of all of them together are right.
    """
    every = [hide(judged(name), KEPT, seed) for name in names for seed in SEEDS]
    telling = [one for one in every if one.judged.name not in COMPLETE]
    first = _fitted([_rows(one, blank(FIRST))[0] for one in telling], telling, FIRST)
    rows = [_rows(one, first) for one in every]
    told = [values for (values, _), one in zip(rows, every, strict=True) if one.judged.name not in COMPLETE]
    whole = _fitted(told, telling, COLUMNS)
    return first, replace(whole, intercept=whole.intercept + _shift(whole, rows))


def _rows(one: Setting, first: Weights) -> tuple[Float32, Float64]:
    """Features of all candidates, and whether they are hidden positives."""
    sight, there = one.sight(first), candidates(one)
    return one.values(lambda block: features(block, sight))[there], one.hidden[there].astype(np.float64)


def _fitted(values: Sequence[Float32], every: Sequence[Setting], columns: Sequence[str]) -> Weights:
    labels = np.concatenate([one.hidden[candidates(one)] for one in every]).astype(np.float64)
    size = [len(found) for found in values]
    alike = [sum(other.judged.name == one.judged.name for other in every) for one in every]
    share = np.repeat([ROWS / number / count for number, count in zip(size, alike, strict=True)], size)
    found = np.concatenate([part[:, : len(columns)] for part in values])
    return Likelihood(found, labels, share, columns).likeliest(strength=STRENGTH)[0]


def _shift(weights: Weights, rows: Sequence[tuple[Float32, Float64]]) -> float:
    """What to add to the intercept so that probabilities are right in the mean over collections."""
    draws = np.random.default_rng(0)
    some = [draws.choice(len(labels), int(ROWS)) for _, labels in rows]
    odds = [weights.log_odds(values[part]) for (values, _), part in zip(rows, some, strict=True)]
    positive = sum(labels[part].sum() for (_, labels), part in zip(rows, some, strict=True))
    return matching_shift(np.concatenate(odds), 1.0, float(positive))


def main() -> None:
    first, whole = fit_prior(list(COLLECTIONS))
    OUTPUT.write_text(json.dumps({"first": first.as_dict(), "whole": whole.as_dict()}, indent=1) + "\n")
    for name, weight in sorted(zip(whole.columns, whole.weight, strict=True), key=lambda pair: -abs(pair[1])):
        print(f"{weight:+.3f}  {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
