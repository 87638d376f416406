"""What is printed of a call, in the lines that the original prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hardneg.compat.sentence_transformers.arguments import Format, Ranks
from hardneg.compat.sentence_transformers.mining import RULES, Found
from hardneg.compat.sentence_transformers.output import groups_of
from hardneg.compat.sentence_transformers.pairs import MinedPairs
from hardneg.config import SelectConfig
from hardneg.records import Float32

_NONE = float("nan")
_ROW = "{:<6} {:>14} {:>14} {:>14}"
_MEASURES: Mapping[str, Callable[[Float32], float]] = {
    "Mean": lambda scores: float(np.mean(scores, dtype=np.float64)) if len(scores) else _NONE,
    "Median": lambda scores: float(np.sort(scores)[(len(scores) - 1) // 2]) if len(scores) else _NONE,
    "Std": lambda scores: float(np.std(scores, ddof=1, dtype=np.float64)) if len(scores) > 1 else _NONE,
    "Min": lambda scores: float(np.min(scores, initial=np.inf)),
    "25%": lambda scores: _quantile(scores, 0.25),
    "50%": lambda scores: _quantile(scores, 0.5),
    "75%": lambda scores: _quantile(scores, 0.75),
    "Max": lambda scores: float(np.max(scores, initial=-np.inf)),
}
"""The median is the lower of two in the middle."""
_PARAMETERS: Mapping[str, str] = {"margin": "absolute_margin"}
"""Rules of hardneg that the original calls otherwise."""
_EXCLUSIONS: Mapping[str, str] = {
    "positive_text": "have the text of a positive but for case and spacing",
    "query_text": "have the query's own text",
    "same_query_positive": "answer a query of the same text but for case and spacing",
    "empty": "are empty",
}


def _quantile(scores: Float32, share: float) -> float:
    return float(np.quantile(scores, share)) if len(scores) else float("inf")


def repeats(pairs: MinedPairs) -> list[str]:
    """Queries that stand on several rows."""
    rows, queries = int(pairs.rows.sum()), len(pairs.queries)
    if rows == queries:
        return []
    return [
        f"Found {queries} unique queries out of {rows} total queries.",
        f"Found an average of {rows / queries:.3f} positives per query.",
    ]


def describe(
    pairs: MinedPairs, found: Found, to: Format, config: SelectConfig, ranks: Ranks, rows: int
) -> Iterator[str]:
    """All that is said of a result of so many rows."""
    wanted = int(config.num_negatives)
    groups = groups_of(pairs, found, "n-tuple" if to == "n-tuple" else "labeled-list", wanted)
    positive = groups.score[groups.start[:-1]]
    negative = np.delete(groups.score, groups.start[:-1])
    difference = np.repeat(positive, groups.num_negatives) - negative
    yield from score_table(found.positive_scores, negative, difference)
    rules = {rule: value for rule in RULES if (value := getattr(config, rule)) is not None}
    yield from rejections(found.rejected, rules, len(pairs.queries) * ranks.depth)
    possible = len(pairs.positives.doc)
    if to == "triplet":
        possible *= wanted
    elif to == "labeled-pair":
        possible += len(pairs.queries) * wanted
    if rows < possible:
        suspected = [_PARAMETERS.get(rule, rule) for rule in rules if rule != "min_score"]
        names = ["range_max", *(["range_min"] if ranks.skipped else []), *suspected]
        yield shortage(possible - rows, possible, names)


def score_table(positive: Float32, negative: Float32, difference: Float32) -> list[str]:
    lines = [
        _ROW.format("Metric", "Positive", "Negative", "Difference"),
        _ROW.format("Count", f"{len(positive):,}", f"{len(negative):,}", ""),
    ]
    for name, measure in _MEASURES.items():
        lines.append(
            _ROW.format(name, *(f"{measure(part):.4f}" for part in (positive, negative, difference)))
        )
    return lines


def rejections(rejected: Mapping[str, int], rules: Mapping[str, Any], candidates: int) -> list[str]:
    """A line for each rule and exclusion that took candidates.

    rules       hardneg's rules that were asked for, in the order in which they are counted, and their values
    candidates  places for candidates; what margins reject is none afterwards
    """
    lines = []
    for rule, value in rules.items():
        count = rejected.get(rule, 0)
        if count:
            lines.append(
                f"Skipped {count:,} potential negatives ({count / candidates:.2%}) due to the "
                f"{_PARAMETERS.get(rule, rule)} of {value}."
            )
        if rule in ("margin", "relative_margin"):
            candidates -= count
    lines += [
        f"Skipped {rejected[code]:,} potential negatives that {what}."
        for code, what in _EXCLUSIONS.items()
        if rejected.get(code)
    ]
    return lines


def shortage(missing: int, possible: int, parameters: Sequence[str]) -> str:
    """parameters: what might be changed to find more, one at least."""
    *others, last = parameters
    named = f"{', '.join(others)} and {last}" if others else last
    return (
        f"Could not find enough negatives for {missing} samples ({missing / possible:.2%}). Consider "
        f"adjusting the {named} parameter{'s' if others else ''} if you'd like to find more valid negatives."
    )
