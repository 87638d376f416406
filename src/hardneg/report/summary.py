"""What a run or a selection came to, as numbers, and as the short tables that a terminal shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.quantities import counted
from hardneg.report.tables import as_text, cell, new_table, number_text, value_text
from hardneg.terminal import printable

OUTCOMES = ("full", "short", "empty", "dropped", "invalid")
NOT_REASONS = frozenset({"query_row", "candidates", "positives", "negatives", "wanted", "depth"})
"""Whole-number columns of the outcomes that count something else than candidates under a reason."""
CHOSEN = frozenset({"selected", "given", "backfill"})
"""Reasons that are no reason to drop."""
SOURCES = {"backfill": "random documents for want of others (backfill)"}
"""Said in place of the word in the tables."""
SNIPPET = 60


def summary(
    outcomes: pa.Table, negatives: pa.Table, timings: Mapping[str, float], score_by: str | None = None
) -> dict[str, Any]:
    """The numbers of a selection as JSON values, None where there is nothing to take a mean of.

    outcomes   `query_id`, `outcome` and a whole-number column for each reason
    negatives  records.NEGATIVES
    timings    stage → seconds, in the order in which they are shown
    score_by   whose scores all are; None: each its retriever's, which are no one scale and stay apart
    """
    by_outcome = _counts(outcomes["outcome"])
    named = {name: by_outcome.pop(name, 0) for name in OUTCOMES}
    sources = _counts(negatives["source"])
    return {
        "queries": {"total": len(outcomes), **named, **by_outcome},
        "negatives": {
            "total": len(negatives),
            "mean_per_query": len(negatives) / len(outcomes) if len(outcomes) else None,
            "sources": sources,
        },
        "hardness": _hardness(negatives, score_by),
        "reasons": _reasons(outcomes),
        "seconds": {stage: float(seconds) for stage, seconds in timings.items()},
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """value → how often, the most frequent first."""
    values = column.cast(pa.string()).drop_null()
    counts = {row["values"]: row["counts"] for row in pc.value_counts(values).to_pylist()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _hardness(negatives: pa.Table, score_by: str | None) -> dict[str, Any]:
    """Mean score and mean raw rank."""
    by_retriever = {
        name: _mean(negatives.filter(pc.equal(negatives["retriever"], name))["score"])
        for name in sorted(_counts(negatives["retriever"]))
    }
    found = {"mean_score": _mean(negatives["score"]), "mean_rank": _mean(negatives["rank"])}
    if len(by_retriever) < 2 or score_by is not None:
        return found
    return {**found, "mean_score": None, "mean_score_by_retriever": by_retriever}


def _mean(column: pa.ChunkedArray) -> float | None:
    values = column.drop_null().to_numpy().astype(np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _reasons(outcomes: pa.Table) -> dict[str, int]:
    """reason → candidates, in the order of the columns (the stated order of the rules)."""
    candidates = {
        field.name: pc.sum(outcomes[field.name]).as_py() or 0
        for field in outcomes.schema
        if pa.types.is_integer(field.type) and field.name not in NOT_REASONS
    }
    return {name: count for name, count in candidates.items() if count}


# -- tables ---------------------------------------------------------------------------------------------


def render_summary(found: Mapping[str, Any]) -> str:
    """The end-of-run table; `found` is what `summary` gives, with `export` where a file was written."""
    queries, negatives, hardness = found["queries"], found["negatives"], found["hardness"]
    dropped = {name: count for name, count in found["reasons"].items() if name not in CHOSEN}
    kinds = ", ".join(f"{count:,} {name}" for name, count in queries.items() if name != "total" and count)
    sources = ", ".join(
        f"{count:,} {SOURCES.get(name, name)}" for name, count in negatives["sources"].items()
    )
    rows = [
        ("queries", f"{queries['total']:,}" + (f": {kinds}" if kinds else "")),
        ("negatives", f"{negatives['total']:,}" + (f": {sources}" if sources else "")),
        ("negatives a query", number_text(negatives["mean_per_query"], 2)),
        ("hardness", hardness_text(hardness)),
        *_first_labelled("zero vectors", _zero_lines(found.get("zero_vectors", {}))),
        *_first_labelled("rescore", _rescore_lines(found.get("rescore"))),
        *_first_labelled("guard", guard_lines(found.get("guard"))),
        *_first_labelled("judged", judged_lines(found)),
        *_first_labelled("not chosen", (f"{count:,} {name}" for name, count in dropped.items())),
        *(
            _first_labelled(
                "time", (f"{seconds:,.1f} s {stage}" for stage, seconds in found["seconds"].items())
            )
        ),
    ]
    if export := found.get("export"):
        rows.append(("exported", f"{counted(export['rows'], 'row')} of {export['to']}"))
        left_out = export["queries_without_negatives"] + export["queries_short"]
        if left_out:
            rows.append(("", f"{counted(left_out, 'query', 'queries')} not in the file: too few negatives"))
    table = new_table("", "", header=False)
    for label, value in rows:
        table.add_row(cell(label), cell(value))
    return as_text(table)


def hardness_text(hardness: Mapping[str, Any]) -> str:
    each = hardness.get("mean_score_by_retriever", {"": hardness["mean_score"]})
    score = ", ".join(f"{number_text(value)} {name}".rstrip() for name, value in each.items())
    return f"mean score {score}, mean raw rank {number_text(hardness['mean_rank'], 1)}"


def _zero_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Texts with words by which nothing can be found: the model is at fault."""
    for which, zeros in found.items():
        more = ", ..." if zeros["texts"] > len(zeros["first"]) else ""
        yield f"{counted(zeros['texts'], which + ' text')}: {', '.join(zeros['first'])}{more}"


def _rescore_lines(rescore: Mapping[str, Any] | None) -> Iterator[str]:
    """How many pairs the scorer scored, and why all, if it did."""
    if rescore is None:
        return
    every, by = f"{counted(rescore['every'], 'pair')} with {rescore['scorer']}", rescore["why_all"]
    if by is not None:
        yield f"scored all {every}: {by}"
    else:
        share = f", {rescore['scored'] / rescore['every']:.1%}" if rescore["every"] else ""
        yield f"scored {rescore['scored']:,} of {every}{share}; {rescore['saved']:,} saved"


def guard_lines(guard: Mapping[str, Any] | None) -> Iterator[str]:
    """What the fitted guard says, a line each."""
    if guard is None:
        return
    if (left := guard["false_negatives"]) is not None:
        by = "the run's own labels" if guard["judged_by"] == "fit" else "shipped weights"
        yield (
            f"about {left['share']:.1%} of the mined negatives are false ones ({left['low']:.1%} to "
            f"{left['high']:.1%}), judged by {by}"
        )
    if guard["label_completeness"] is not None:
        yield f"about {guard['label_completeness']:.0%} of the positives among the candidates are labelled"
    if (promoted := guard.get("promoted")) is not None:
        right = f", about {promoted['precision']:.0%} of them right" if promoted["total"] else ""
        made = counted(promoted["total"], "candidate made a positive", "candidates made positives")
        yield f"{made}{right}"
    if (without := guard.get("hardness_without")) is not None:
        yield f"without it the hardness would be: {hardness_text(without)}"


def judged_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What people's judgments came to, a line each."""
    if (labels := found.get("labels")) is None:
        return
    not_used = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in labels["not_used"].items() if n)
    yield (
        f"{counted(labels['judged'], 'pair')}: {labels['relevant']:,} relevant and now positives, "
        f"{labels['not_relevant']:,} not" + (f"; rows not used: {not_used}" if not_used else "")
    )
    for rate in found["measured"]:
        of = "" if rate["selection"] is None else f" of selection {rate['selection']!r}"
        if rate["share"] is None:
            yield f"no rate is measured{of}: {rate['message']}"
            continue
        left = f", {rate['not_judged']:,} drawn but not judged" if rate["not_judged"] else ""
        yield (
            f"measured: {rate['share']:.1%} of the {rate['negatives']:,} mined negatives{of} are false ones "
            f"({rate['level']:.0%} interval {rate['low']:.1%} to {rate['high']:.1%}), by {rate['judged']:,} "
            f"judged{left}"
        )


def _first_labelled(label: str, lines: Iterable[str]) -> list[tuple[str, str]]:
    return [(label if place == 0 else "", line) for place, line in enumerate(lines)]


def render_preview(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line a set of rules, a column a key."""
    if not rows:
        return "nothing to show"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = new_table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(cell(value_text(row.get(column))) for column in columns))
    return as_text(table)


def render_query(found: Mapping[str, Any]) -> str:
    """One query: its text, its positives, then every candidate with ranks, scores, decision and reason.

    found  `query_id`, `text`, `outcome`, `message`; `positives`: `doc_id`, `scores`, `text`; `candidates`:
           `doc_id`, `ranks`, `scores`, `p_false_negative`, `decision`, `reason`, `text`
    """
    lines = [printable(f"query {found['query_id']}: {found['text']}")]
    if found.get("outcome"):
        message = f" ({found['message']})" if found.get("message") else ""
        lines.append(printable(f"outcome: {found['outcome']}{message}"))
    return "\n".join([*lines, "", _positives(found["positives"]), "", _candidates(found["candidates"])])


def _positives(positives: Sequence[Mapping[str, Any]]) -> str:
    scorers = _names(positives, "scores")
    table = new_table("positive", *scorers, "text")
    for row in positives:
        table.add_row(
            cell(row["doc_id"]),
            *(cell(number_text(row["scores"].get(name))) for name in scorers),
            cell(_snippet(row["text"])),
        )
    return as_text(table)


def _candidates(candidates: Sequence[Mapping[str, Any]]) -> str:
    retrievers, scorers = _names(candidates, "ranks"), _names(candidates, "scores")
    judged = any(row.get("p_false_negative") is not None for row in candidates)
    table = new_table(
        "candidate",
        *(f"rank {name}" for name in retrievers),
        *(f"score {name}" for name in scorers),
        *(["p false negative"] if judged else []),
        "decision",
        "reason",
        "text",
    )
    for row in candidates:
        table.add_row(
            cell(row["doc_id"]),
            *(cell(value_text(row["ranks"].get(name))) for name in retrievers),
            *(cell(number_text(row["scores"].get(name))) for name in scorers),
            *([cell(number_text(row.get("p_false_negative")))] if judged else []),
            cell(value_text(row.get("decision"))),
            cell(value_text(row.get("reason"))),
            cell(_snippet(row["text"])),
        )
    return as_text(table)


def _names(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row[key]))


def _snippet(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SNIPPET else line[: SNIPPET - 1] + "…"
