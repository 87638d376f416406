"""Rows in = rows out + rows reported, and block sizes change nothing: for any selection, against loops."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.errors import HardnegError
from hardneg.export import Counts, ExportOptions, SelectedTables, examples, export, rendering
from hardneg.records import CORPUS, NEGATIVES, QUERIES, SELECTED_POSITIVES

DOCS, QUERY_IDS = [f"d{i}" for i in range(9)], [f"q{i}" for i in range(5)]


@st.composite
def selections(draw: st.DrawFn) -> SelectedTables:
    """Each query's documents split into positives (the first ones), negatives and the rest; rows shuffled."""
    each = draw(st.booleans())
    positives, negatives = [], []
    for query in QUERY_IDS:
        docs = draw(st.permutations(DOCS))
        num_positives = draw(st.integers(0, 3))
        own = docs[:num_positives]
        positives += [{"query_id": query, "doc_id": d, "source": "labelled", "score": 0.5} for d in own]
        if own:
            for doc in docs[num_positives : num_positives + draw(st.integers(0, 4))]:
                named = draw(st.sampled_from([None, *own])) if each else None
                source, score = draw(st.sampled_from([("mined", 0.25), ("backfill", None)]))
                row = {"query_id": query, "doc_id": doc, "positive_id": named}
                negatives.append({**row, "score": score, "source": source})
    return SelectedTables(
        pa.table(
            {"doc_id": DOCS, "title": pa.nulls(9, pa.large_string()), "text": [d.upper() for d in DOCS]},
            CORPUS,
        ),
        pa.table({"query_id": QUERY_IDS, "text": [q.upper() for q in QUERY_IDS]}, QUERIES),
        pa.Table.from_pylist(draw(st.permutations(positives)), SELECTED_POSITIVES),
        pa.Table.from_pylist(draw(st.permutations(negatives)), NEGATIVES),
    )


def triplets_by_loops(selection: SelectedTables) -> Iterator[tuple[str, str, str]]:
    negatives = selection.negatives.to_pylist()
    for query in QUERY_IDS:
        for positive in selection.positives.to_pylist():
            for negative in negatives:
                same = positive["query_id"] == negative["query_id"] == query
                if same and negative["positive_id"] in (None, positive["doc_id"]):
                    yield query.upper(), positive["doc_id"].upper(), negative["doc_id"].upper()


def accounted(counts: Counts) -> bool:
    """Of each kind, what was given is what was written and what was reported."""
    c = counts
    return (
        c.queries_given == c.queries + c.queries_without_negatives + c.queries_short
        and c.positives_given
        == c.positives
        + c.positives_without_negatives
        + c.positives_short
        + c.positives_repeated
        + c.positives_left_out
        and c.negatives_given
        == c.negatives
        + c.negatives_short
        + c.negatives_cut
        + c.negatives_repeated
        + c.negatives_without_score
    )


def exported(selection: SelectedTables, to: str, **options: Any) -> tuple[list[Any], Counts] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        try:
            report = export(selection, to, path, options=ExportOptions(**options))
        except HardnegError:
            return None
        return [json.loads(line) for line in path.read_text().splitlines()], report.counts


@settings(max_examples=60)
@given(selections())
def test_triplets_are_those_of_plain_loops(selection: SelectedTables) -> None:
    expected = list(triplets_by_loops(selection))
    found = exported(selection, "st-triplet")
    assert (found is None) == (not expected)
    if found:
        assert [tuple(row.values()) for row in found[0]] == expected
        assert accounted(found[1])
        assert found[1].queries == len({anchor for anchor, _, _ in expected})


@settings(max_examples=60)
@given(
    selections(),
    st.sampled_from(["flagembedding", "st-triplet", "st-n-tuple", "st-labeled-pair", "st-labeled-list"]),
    st.sampled_from([None, 1, 2]),
)
def test_every_row_is_written_or_reported(
    selection: SelectedTables, to: str, num_negatives: int | None
) -> None:
    found = exported(selection, to, num_negatives=num_negatives, shortfall="drop")
    if found is None:
        return
    rows, counts = found
    assert accounted(counts)
    assert counts.queries_given == len(set(selection.positives["query_id"].to_pylist()))
    assert counts.negatives_given == len(selection.negatives)
    assert len({row.get("query", row.get("anchor")) for row in rows}) == counts.queries
    if to == "st-labeled-pair":
        assert sum(row["label"] == 1 for row in rows) == counts.positives
        assert sum(row["label"] == 0 for row in rows) == counts.negatives
    if to == "st-n-tuple":
        assert len(rows) == counts.positives


@pytest.mark.parametrize("to", ["flagembedding", "st-triplet", "st-labeled-list"])
def test_block_and_slice_sizes_change_nothing(to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(query, doc) for query in QUERY_IDS for doc in DOCS]
    selection = SelectedTables(
        pa.table({"doc_id": DOCS, "title": DOCS, "text": DOCS}, CORPUS),
        pa.table({"query_id": QUERY_IDS, "text": QUERY_IDS}, QUERIES),
        pa.Table.from_pylist(
            [{"query_id": q, "doc_id": d} for q, d in pairs if d < "d3"], SELECTED_POSITIVES
        ),
        pa.Table.from_pylist([{"query_id": q, "doc_id": d} for q, d in pairs if d > "d3"], NEGATIVES),
    )
    whole = exported(selection, to)
    monkeypatch.setattr(examples, "DOCUMENTS_A_BLOCK", 1)
    monkeypatch.setattr(rendering, "TEXTS_A_SLICE", 1)
    assert exported(selection, to) == whole
    monkeypatch.setattr(examples, "DOCUMENTS_A_BLOCK", 17)
    assert exported(selection, to) == whole
