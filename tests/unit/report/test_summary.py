"""The numbers of a selection, and the tables that show them."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from hardneg.records import NEGATIVES
from hardneg.report.summary import render_preview, render_query, render_summary, summary


def outcomes() -> pa.Table:
    return pa.table(
        {
            "query_id": ["a", "b", "c", "d"],
            "positive": pa.array([1, 1, 1, 0], pa.int32()),
            "margin": pa.array([5, 0, 9, 0], pa.int32()),
            "window": pa.array([0, 0, 0, 0], pa.int32()),
            "selected": pa.array([2, 1, 0, 0], pa.int32()),
            "outcome": pa.array(["full", "short", "empty", "invalid"]).dictionary_encode(),
            "message": [None, None, "\x1b[2J", "no positive"],
        }
    )


def negatives(scores: list[float | None], ranks: list[int | None]) -> pa.Table:
    rows = [
        {
            "query_id": "a",
            "doc_id": "d",
            "score": s,
            "rank": r,
            "source": "mined" if s is not None else "given",
        }
        for s, r in zip(scores, ranks, strict=True)
    ]
    return pa.Table.from_pylist(rows, NEGATIVES)


def test_counts_add_up() -> None:
    found = summary(outcomes(), negatives([0.75, 0.25, None], [3, 8, None]), {"search": 1.5})
    assert found == {
        "queries": {"total": 4, "full": 1, "short": 1, "empty": 1, "dropped": 0, "invalid": 1},
        "negatives": {"total": 3, "mean_per_query": 3 / 4, "sources": {"mined": 2, "given": 1}},
        "hardness": {"mean_score": (0.75 + 0.25) / 2, "mean_rank": (3 + 8) / 2},
        "reasons": {"positive": 1 + 1 + 1, "margin": 5 + 9, "selected": 2 + 1},
        "seconds": {"search": 1.5},
    }


def test_scores_of_two_retrievers_are_not_averaged() -> None:
    both = negatives([0.5, 0.25, 8.0], [1, 2, 3])
    place = both.column_names.index("retriever")
    field = both.schema.field("retriever")
    both = both.set_column(place, field, pa.array(["dense", "dense", "bm25"]).cast(field.type))
    found = summary(outcomes(), both, {})
    assert found["hardness"] == {
        "mean_score": None,
        "mean_rank": 2.0,
        "mean_score_by_retriever": {"bm25": 8.0, "dense": 0.375},
    }
    assert "mean score 8.0000 bm25, 0.3750 dense, mean raw rank 2.0" in render_summary(found)
    assert summary(outcomes(), both, {}, "dense")["hardness"]["mean_score"] == (0.5 + 0.25 + 8.0) / 3


@pytest.mark.parametrize("scores", [[], [None], [float("nan")]])
def test_no_negatives_are_no_nan(scores: list[float | None]) -> None:
    found = summary(outcomes(), negatives(scores, [None] * len(scores)), {})
    assert found["hardness"] == {"mean_score": None, "mean_rank": None}
    json.dumps(found, allow_nan=False)
    assert "mean score -" in render_summary(found)


def test_no_queries_at_all() -> None:
    found = summary(outcomes()[:0], negatives([], []), {})
    json.dumps(found, allow_nan=False)
    assert "queries" in render_summary(found)


def test_the_table_names_what_was_not_chosen_and_why() -> None:
    text = render_summary(
        summary(outcomes(), negatives([0.75, 0.25], [3, 8]), {"encode": 61.0, "search": 0.25})
    )
    assert "4: 1 full, 1 short, 1 empty, 1 invalid" in text
    assert "14 margin" in text and "3 positive" in text and "window" not in text
    assert "3 selected" not in text
    assert "mean score 0.5000, mean raw rank 5.5" in text
    assert "61.0 s encode" in text and "0.2 s search" in text


def test_an_export_is_shown_with_what_it_left_out() -> None:
    found = summary(outcomes(), negatives([0.5], [1]), {})
    found["export"] = {"rows": 7, "to": "st-triplet", "queries_without_negatives": 2, "queries_short": 1}
    text = render_summary(found)
    assert "7 rows of st-triplet" in text and "3 queries not in the file" in text
    one = {"rows": 1, "to": "st-triplet", "queries_without_negatives": 1, "queries_short": 0}
    text = render_summary({**found, "export": one})
    assert "1 row of st-triplet" in text and "1 query not in the file" in text


def test_a_preview_has_a_line_a_rule() -> None:
    rows = [
        {"rule": "margin=0.1", "yield": 0.5, "short": 3},
        {"rule": "[bold]", "yield": None, "short": 1200},
    ]
    first, second = render_preview(rows).splitlines()[-2:]
    assert first.split() == ["margin=0.1", "0.5000", "3"]
    assert second.split() == ["[bold]", "-", "1,200"]


def query() -> dict[str, object]:
    return {
        "query_id": "q\x1b]0;x\x07",
        "text": "what \u202eis",
        "outcome": "short",
        "message": "1 of 2",
        "positives": [{"doc_id": "p1", "scores": {"dense": 0.875, "ce": None}, "text": "the answer"}],
        "candidates": [
            {
                "doc_id": "c1",
                "ranks": {"dense": 1, "bm25": 12},
                "scores": {"dense": 0.5, "bm25": 7.25, "ce": -1.5},
                "p_false_negative": None,
                "decision": "rejected",
                "reason": "margin",
                "text": "[red]long[/red] " + "word " * 40,
            },
            {
                "doc_id": "c2",
                "ranks": {"bm25": 1},
                "scores": {"bm25": 9.0, "ce": float("nan")},
                "p_false_negative": None,
                "decision": "selected",
                "reason": "selected",
                "text": "\x1b[31mred",
            },
        ],
    }


def test_a_query_is_shown_with_every_candidate() -> None:
    text = render_query(query())
    assert "outcome: short (1 of 2)" in text
    (first,) = [line for line in text.splitlines() if line.lstrip().startswith("c1")]
    assert first.split()[:8] == ["c1", "1", "12", "0.5000", "7.2500", "-1.5000", "rejected", "margin"]
    (second,) = [line for line in text.splitlines() if line.lstrip().startswith("c2")]
    assert second.split()[:8] == ["c2", "-", "1", "-", "9.0000", "-", "selected", "selected"]
    assert "p false negative" not in text
    assert "0.8750" in text and "[red]long[/red]" in text


def test_nothing_of_the_data_controls_the_terminal() -> None:
    text = render_query(query())
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "\\u001b]0;x\\u0007" in text


def test_a_query_without_candidates_is_shown() -> None:
    assert "candidate" in render_query({**query(), "candidates": [], "outcome": None})
