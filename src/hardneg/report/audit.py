"""An audit for the terminal: the rules at equal hardness, what the guard keeps to, promotion, caveats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardneg.report.tables import DASH, as_text, cell, new_table, number_text
from hardneg.terminal import printable


def render_audit(found: Mapping[str, Any]) -> str:
    """`found` is what `hardneg.audit` gives."""
    parts = [_what(found), _equal_hardness(found["equal_hardness"], found["selection"])]
    if found["promotion"]:
        parts.append(_promotion(found["promotion"]))
    last = [*_miss_rates(found["miss_rates"]), *(f"note: {line}" for line in found["notes"])]
    parts.append("\n".join(map(printable, last)))
    return "\n\n".join(part for part in parts if part)


def _what(found: Mapping[str, Any]) -> str:
    queries, hidden = found["queries"], found["hidden"]
    often = "once" if hidden["repeats"] == 1 else f"{hidden['repeats']} times"
    return (
        f"{hidden['share']:.0%} of the known positives hidden, {often}; {queries['measured']:,} of "
        f"{queries['total']:,} queries measured; {hidden['in_reach']:,} of {hidden['positives']:,} hidden "
        "positives are among the candidates"
    )


def _equal_hardness(references: Sequence[Mapping[str, Any]], selection: str) -> str:
    """A line a rule, below each other those that are compared."""
    table = new_table(
        "as hard as",
        "rule",
        "about",
        "contamination",
        "95 % interval",
        "of relative margin's",
        "negatives found",
    )
    for reference in references:
        name = f"selection {selection}" if reference["reference"] == "own" else reference["reference"]
        for place, row in enumerate(reference["rules"]):
            reached = row["contamination"]["share"] is not None
            table.add_row(
                cell(f"{name} ({number_text(reference['hardness']['mean_score'])})" if place == 0 else ""),
                cell(row["rule"]),
                cell((row["nearest"] or "no rule") if reached else DASH),
                cell(_share(row["contamination"]["share"])),
                cell(_between(row["contamination"])),
                cell(_ratio(row["ratio_to"]["relative margin"])),
                cell(_share(row["yield"])),
            )
    return as_text(table)


def _promotion(rows: Sequence[Mapping[str, Any]]) -> str:
    table = new_table("promoted", "candidates", "right, at least", "95 % interval", "the guard says")
    for row in rows:
        if row["candidates"]:
            table.add_row(
                cell(row["promoted"]),
                cell(f"{row['candidates']:,}"),
                cell(_share(row["right"]["share"])),
                cell(_between(row["right"])),
                cell(_share(row["said"])),
            )
    return as_text(table)


def _miss_rates(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What `--max-miss-rate` lets pass of the hidden positives among the candidates."""
    said = [
        f"{row['asked']:.0%} asked, {_share(row['passed']['share'])} ({_between(row['passed'])})"
        for row in rows
        if row["passed"]["share"] is not None
    ]
    if said:
        yield f"hidden positives that --max-miss-rate lets pass: {'; '.join(said)}"


def _share(value: float | None) -> str:
    return DASH if value is None else f"{value:.2%}" if value < 0.1 else f"{value:.1%}"


def _between(found: Mapping[str, Any]) -> str:
    return DASH if found["low"] is None else f"{_share(found['low'])} to {_share(found['high'])}"


def _ratio(found: Mapping[str, Any]) -> str:
    if found["ratio"] is None:
        return DASH
    between = "" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})"
    return f"{found['ratio']:.2f} ×{between}"
