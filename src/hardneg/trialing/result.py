"""From values to what is said: every arm, the group that cannot be told apart, what is recommended; JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hardneg.records import Float64
from hardneg.trialing.arms import IN_BATCH, UNTRAINED, Arm
from hardneg.trialing.compare import FEWEST_QUERIES, Comparison, compare
from hardneg.trialing.measures import MEASURES, NDCG


def result(
    arms: Sequence[Arm],
    values: Mapping[str, Float64],
    *,
    facts: Mapping[str, Any],
    details: Mapping[str, Mapping[str, Any]],
    use: Mapping[str, Mapping[str, Any]],
    refused: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    """arms     UNTRAINED first
    values   measure → float64 (arms, seeds, queries)
    details  of each trained arm: negatives a query, settings of the training
    use      of each arm with negatives: the settings that make its selection
    refused  arms that could not be tried, and why
    """
    compared = {name: compare(values[name], seed) for name in MEASURES}
    main = compared[NDCG]
    names = [arm.name for arm in arms]
    trained = np.array([name != UNTRAINED for name in names])
    group = main.group(trained)
    usable = np.array([name in use for name in names])
    best = int(np.argmax(np.where(usable, main.mean, -np.inf))) if usable.any() else None
    return {
        "split": dict(facts),
        "queries": main.queries,
        "seeds": values[NDCG].shape[1],
        "arms": [_arm(arm, place, compared, names, details) for place, arm in enumerate(arms)],
        "group": [names[place] for place in group],
        "recommended": None if best is None else _recommended(best, names, main, use),
        "refused": dict(refused),
        "notes": list(_notes(main, names, group, facts)),
    }


def _arm(
    arm: Arm,
    place: int,
    compared: Mapping[str, Comparison],
    names: Sequence[str],
    details: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    main = compared[NDCG]
    others = {
        f"less {name}": main.difference(place, names.index(name))
        for name in (UNTRAINED, IN_BATCH)
        if name in names and names.index(name) != place
    }
    return {
        "name": arm.name,
        "flags": arm.flags,
        "weighted": arm.weighted,
        "measures": {name: _interval(one, place) for name, one in compared.items()},
        **others,
        **details.get(arm.name, {}),
    }


def _interval(one: Comparison, place: int) -> dict[str, float]:
    return {"mean": float(one.mean[place]), "low": float(one.low[place]), "high": float(one.high[place])}


def _recommended(
    best: int, names: Sequence[str], main: Comparison, use: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The best arm with negatives, how it compares, and its settings."""
    compared = {
        name: {
            **main.difference(best, names.index(name)),
            "better": main.better(best, names.index(name)),
            "worse": main.better(names.index(name), best),
            "queries_needed": main.queries_needed(best, names.index(name)),
        }
        for name in (UNTRAINED, IN_BATCH)
        if name in names
    }
    return {"name": names[best], "settings": dict(use[names[best]]), "compared": compared}


def _notes(main: Comparison, names: Sequence[str], group: Sequence[int], facts: Mapping[str, Any]) -> list[str]:
    notes = []
    if main.queries < FEWEST_QUERIES:
        notes.append(f"only {main.queries} queries were asked: nothing can be told apart with so few")
    if facts["kind"] == "given" and facts["sharing_documents"]:
        notes.append(
            f"shared documents: {facts['sharing_documents']:,} of {facts['asked']:,} queries asked have an answer "
            "that other queries learn from. That is a leak: gains look larger than they will be, and the hardest "
            "negatives look best"
        )
    if len(group) > 1:
        needed = main.queries_needed(group[0], group[1])
        if needed is not None:
            notes.append(
                f"to tell {names[group[0]]} from {names[group[1]]} were the difference what it seems, about "
                f"{needed:,} queries would be needed"
            )
    return notes
