"""From values to what is said: each arm, the group that cannot be told apart, what is recommended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardneg.records import Float64
from hardneg.trialing.arms import IN_BATCH, UNTRAINED, Arm
from hardneg.trialing.compare import FEWEST_QUERIES, Comparison, Contrast, compare
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
    refused  arms that are left out, and why
    """
    compared = {name: compare(values[name], seed) for name in MEASURES}
    names = [arm.name for arm in arms]
    main = compared[NDCG]
    others = [place for place, name in enumerate(names) if name != UNTRAINED]
    trained = main.among(others)
    group = trained.group(others)
    controls = {name: main.against(names.index(name)) for name in (UNTRAINED, IN_BATCH) if name in names}
    usable = [
        place
        for place, name in enumerate(names)
        if name in use and details.get(name, {}).get("negatives_a_query") != 0
    ]
    best = max(usable, key=lambda place: (main.mean[place], -place), default=None)
    return {
        "split": dict(facts),
        "queries": main.queries,
        "seeds": values[NDCG].shape[1],
        "arms": [
            {**_arm(arm, place, compared), **_against(place, names, controls), **details.get(arm.name, {})}
            for place, arm in enumerate(arms)
        ],
        "group": [names[place] for place in group],
        "told_apart": [[names[one], names[other]] for one, other in trained.told_apart(others)],
        "recommended": None
        if best is None
        else {
            "name": names[best],
            "settings": dict(use[names[best]]),
            "compared": {name: _verdict(best, names.index(name), of) for name, of in controls.items()},
        },
        "refused": dict(refused),
        "notes": [
            *_nothing_learned(values[NDCG]),
            *_notes(trained, names, group, values[NDCG].shape[1], facts),
        ],
    }


def _arm(arm: Arm, place: int, compared: Mapping[str, Comparison]) -> dict[str, Any]:
    measures = {}
    for name, one in compared.items():
        low, high = one.interval(place)
        # The luck of few trainings may widen it beyond what a measure can be.
        measures[name] = {"mean": float(one.mean[place]), "low": max(low, 0.0), "high": min(high, 1.0)}
    return {
        "name": arm.name,
        "flags": arm.flags,
        "weighted": arm.weighted,
        "taught": arm.taught,
        "measures": measures,
    }


def _against(place: int, names: Sequence[str], controls: Mapping[str, Contrast]) -> dict[str, Any]:
    return {
        f"less {name}": {
            **contrast.difference(place, names.index(name)),
            "beyond_chance": contrast.better(place, names.index(name))
            or contrast.better(names.index(name), place),
        }
        for name, contrast in controls.items()
        if names[place] != name
    }


def _verdict(best: int, control: int, contrast: Contrast) -> dict[str, Any]:
    return {
        **contrast.difference(best, control),
        "better": contrast.better(best, control),
        "worse": contrast.better(control, best),
        "queries_needed": contrast.queries_needed(best, control),
    }


def _nothing_learned(values: Float64) -> Iterator[str]:
    if len(values) > 1 and (values == values[0]).all():
        yield (
            "no answer of any arm differs from the untrained student's: there is nothing to choose by; raise "
            "--learning-rate or --steps, or ask harder queries"
        )


def _notes(
    contrast: Contrast, names: Sequence[str], group: Sequence[int], seeds: int, facts: Mapping[str, Any]
) -> Iterator[str]:
    queries = contrast.of.queries
    if queries < FEWEST_QUERIES:
        yield f"only {queries} queries were asked: nothing can be told apart with so few; ask some hundreds"
    if seeds == 1:
        yield "one seed: what is beyond chance is so for these trainings; others of the same arms may differ"
    if facts.get("answers_left_out"):
        yield (
            f"up to {facts['answers_left_out']:,} answers of a fold had no room among the {facts['pool']:,} "
            "documents searched, and count as not found; raise --pool"
        )
    if facts["kind"] == "given" and facts["leaking"]:
        yield f"{leak(facts)}. Gains look larger than they will be, and the hardest negatives look best"
    if contrast.of.mean[group[0]] > contrast.of.mean[group[-1]] and queries >= FEWEST_QUERIES:
        yield from _needed(contrast, names, group[0], group[-1])


def _needed(contrast: Contrast, names: Sequence[str], one: int, other: int) -> Iterator[str]:
    needed = contrast.queries_needed(one, other)
    between = f"to tell {names[one]!r} from {names[other]!r}, were the difference what it seems,"
    if needed is None:
        yield (
            f"{between} more queries alone may not do: by so few trainings their luck may be too large; "
            "raise --seeds"
        )
    elif needed > contrast.of.queries:
        yield f"{between} about {needed:,} queries would have to be asked"


def leak(facts: Mapping[str, Any]) -> str:
    """How many of an evaluation's queries have something in common with those that learn, and what."""
    return (
        f"leak: {facts['leaking']:,} of {facts['asked']:,} queries asked are not apart from those that "
        f"learn: {facts['sharing_documents']:,} share a positive with one of them, "
        f"{facts['alike_queries']:,} are nearly the same text as one"
    )
