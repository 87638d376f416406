"""Fits the guard's shipped weights on judged collections and writes src/hardneg/guard/fitted/prior.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hardneg.guard.fitted.features import COLUMNS, FIRST, features
from hardneg.guard.fitted.regression import Weights, fit
from judged import COLLECTIONS, Keep, Setting, candidates, hide, judged

SETTINGS: Sequence[tuple[Keep, int]] = (("one", 0), ("one", 1), (0.3, 2), (0.6, 3))
STRENGTH = 100.0
"""Keeps columns that say much the same from taking large weights against each other."""
OUTPUT = Path(__file__).resolve().parents[1] / "src" / "hardneg" / "guard" / "fitted" / "prior.json"


def blank(columns: Sequence[str]) -> Weights:
    nothing = np.zeros(len(columns))
    return Weights(tuple(columns), nothing, np.ones(len(columns)), nothing, 0.0)


def fit_prior(
    names: Sequence[str], settings: Sequence[tuple[Keep, int]] = SETTINGS
) -> tuple[Weights, Weights]:
    """The first opinion's weights and the whole's; every collection counts alike."""
    every = [hide(judged(name), keep, seed) for name in names for keep, seed in settings]
    every = [one for one in every if one.hidden.any()]
    first = _fitted(every, blank(FIRST), FIRST)
    return first, _fitted(every, first, COLUMNS)


def _fitted(every: Sequence[Setting], first: Weights, columns: Sequence[str]) -> Weights:
    values, labels, shares = [], [], []
    for one in every:
        sight = one.sight(first)
        there = candidates(one)
        found = one.values(lambda block, sight=sight: features(block, sight))[there]
        values.append(found[:, : len(columns)])
        labels.append(one.hidden[there].astype(np.float64))
        alike = sum(other.judged.name == one.judged.name for other in every)
        shares.append(np.full(len(found), 20000.0 / len(found) / alike))
    rows = np.concatenate(values), np.concatenate(labels), np.concatenate(shares)
    return fit(*rows, columns, strength=STRENGTH)[0]


def main() -> None:
    first, whole = fit_prior(list(COLLECTIONS))
    OUTPUT.write_text(json.dumps({"first": first.as_dict(), "whole": whole.as_dict()}, indent=1) + "\n")
    for name, weight in sorted(zip(whole.columns, whole.weight, strict=True), key=lambda pair: -abs(pair[1])):
        print(f"{weight:+.3f}  {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
