"""A trial for the terminal: every arm, the best and what cannot be told from it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from hardneg.quantities import counted
from hardneg.report.tables import DASH, as_text, cell, new_table
from hardneg.terminal import printable

UNTRAINED, IN_BATCH = "untrained", "in-batch only"


def render_trial(found: Mapping[str, Any], run: Path) -> str:
    """`found` is what `hardneg.trial` gives."""
    return "\n\n".join([_table(found), "\n".join(map(printable, _verdict(found, run)))])


def _table(found: Mapping[str, Any]) -> str:
    """The best first; ~ stands at what cannot be told apart from it, * at a difference beyond chance."""
    table = new_table(
        "",
        "negatives",
        "nDCG@10",
        "95 % interval",
        "less untrained",
        "less in-batch only",
        "MRR@10",
        "recall@100",
        "a query",
        "rate, temperature",
    )
    for arm in sorted(found["arms"], key=lambda arm: -arm["measures"]["nDCG@10"]["mean"]):
        measures = arm["measures"]
        table.add_row(
            cell(_place(arm["name"], found["group"])),
            cell(arm["name"]),
            cell(_number(measures["nDCG@10"]["mean"])),
            cell(f"{_number(measures['nDCG@10']['low'])} to {_number(measures['nDCG@10']['high'])}"),
            cell(_difference(arm, UNTRAINED)),
            cell(_difference(arm, IN_BATCH)),
            cell(_number(measures["MRR@10"]["mean"])),
            cell(_number(measures["recall@100"]["mean"])),
            cell(f"{arm['negatives_a_query']:.1f}" if "negatives_a_query" in arm else DASH),
            cell(f"{arm['learning_rate']:g}, {arm['temperature']:g}" if "learning_rate" in arm else DASH),
        )
    return as_text(table)


def _place(name: str, group: Sequence[str]) -> str:
    if name not in group:
        return ""
    return "best" if name == group[0] else "~"


def _number(value: float) -> str:
    return f"{value:.4f}"


def _difference(arm: Mapping[str, Any], other: str) -> str:
    found = arm.get(f"less {other}")
    if found is None:
        return DASH
    return f"{found['difference']:+.4f}{' *' if found['beyond_chance'] else ''}"


def _verdict(found: Mapping[str, Any], run: Path) -> Iterator[str]:
    group = found["group"]
    seeds = counted(found["seeds"], "seed")
    asked = f"{counted(found['queries'], 'query', 'queries')} asked, {seeds}, student {found['student']}"
    if len(found["arms"]) == 2:  # beside the untrained student
        yield f"only {group[0]} could be tried ({asked})"
    elif len(group) == 1:
        yield f"best: {group[0]}, beyond chance ({asked})"
    else:
        yield f"best: {group[0]}; cannot be told apart from it (~): {'; '.join(group[1:])} ({asked})"
    if found["recommended"] is not None:
        yield from _advice(found, found["recommended"], run)
    for name, why in found["refused"].items():
        yield f"left out:  {name}: {why}"
    for note in found["notes"]:
        yield f"note: {note}"


def _advice(found: Mapping[str, Any], recommended: Mapping[str, Any], run: Path) -> Iterator[str]:
    name = recommended["name"]
    for other, compared in recommended["compared"].items():
        yield _against(name, other, compared)
    command = f"hardneg select {quote(str(run))} --from-trial --name trial"
    worse = [other for other, compared in recommended["compared"].items() if compared["worse"]]
    if worse:
        instead = "do not train on these pairs" if UNTRAINED in worse else "train without hard negatives"
        yield f"advice:    {instead}; to use the best negatives all the same ({name}): {command}"
    else:
        yield f"use it:    {command}    ({name})"
    arm = next(arm for arm in found["arms"] if arm["name"] == name)
    if arm["weighted"]:
        yield "           with weights of 1 - p_false_negative: hardneg export ... --soft-labels"
    if arm["taught"]:
        yield (
            "           with the teacher's scores: hardneg export ... --to flagembedding --scores, and "
            "--knowledge_distillation True when training"
        )


def _against(name: str, other: str, compared: Mapping[str, Any]) -> str:
    between = f"{compared['difference']:+.4f} ({compared['low']:+.4f} to {compared['high']:+.4f})"
    what = "no training at all" if other == UNTRAINED else "no hard negatives"
    if compared["better"]:
        return f"{name} is better than {what}: {between}"
    if compared["worse"]:
        return f"{name} is worse than {what}: {between}"
    return f"{name} and {what} cannot be told apart: {between}"
