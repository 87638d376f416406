"""The tables: schemas, ids in place of rows, null where there is nothing, small dictionaries."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa

from hardneg.records import DECISIONS, NEGATIVES, SELECTED_POSITIVES
from hardneg.select import decision_table, negative_table, outcome_schema, outcome_table, positive_table

QUERY_IDS = pa.chunked_array([["qa"], ["qb", "qc"]])
DOC_IDS = pa.chunked_array([[f"d{n}" for n in range(40)], [f"d{n}" for n in range(40, 100)]])


def test_ids_reasons_and_nulls(select: SimpleNamespace) -> None:
    found = select.choose(
        [{"dense": {0: 0.5, 1: 0.25}}, {"dense": {}}, {"dense": {70: 0.5}}],
        [{9: 0.375}, {9: 0.5}, {8: 0.75}],
        given=[[50], [], []],
        num_negatives=2,
        margin=0.0,
    )
    decisions = decision_table(found, QUERY_IDS, DOC_IDS)
    assert decisions.schema == DECISIONS
    assert decisions.select(["query_id", "doc_id", "decision", "reason"]).to_pylist() == [
        {"query_id": "qa", "doc_id": "d0", "decision": "rejected", "reason": "margin"},
        {"query_id": "qa", "doc_id": "d1", "decision": "selected", "reason": "selected"},
        {"query_id": "qa", "doc_id": "d50", "decision": "selected", "reason": "given"},
        {"query_id": "qc", "doc_id": "d70", "decision": "selected", "reason": "selected"},
    ]
    assert decisions["p_false_negative"].null_count == 4
    negatives = negative_table(found, QUERY_IDS, DOC_IDS)
    assert negatives.schema == NEGATIVES
    assert negatives.to_pylist()[:2] == [
        {
            "query_id": "qa", "doc_id": "d50", "positive_id": None, "rank": None, "score": None,
            "retriever": None, "positive_score": 0.375, "margin": None, "p_false_negative": None,
            "source": "given",
        },
        {
            "query_id": "qa", "doc_id": "d1", "positive_id": None, "rank": 2, "score": 0.25,
            "retriever": "dense", "positive_score": 0.375, "margin": 0.125, "p_false_negative": None,
            "source": "mined",
        },
    ]  # fmt: skip
    positives = positive_table(found, QUERY_IDS, DOC_IDS)
    assert positives.schema == SELECTED_POSITIVES
    assert positives.to_pylist() == [
        {"query_id": "qa", "doc_id": "d9", "source": "labelled", "score": 0.375, "p_false_negative": None},
        {"query_id": "qc", "doc_id": "d8", "source": "labelled", "score": 0.75, "p_false_negative": None},
    ]
    outcomes = outcome_table(found, QUERY_IDS)
    assert outcomes.schema == outcome_schema(found.codes)
    row = outcomes.to_pylist()[0]
    assert (row["query_id"], row["outcome"], row["margin"], row["selected"], row["given"]) == (
        "qa",
        "full",
        1,
        1,
        1,
    )
    assert outcomes["outcome"].to_pylist() == ["full", "empty", "short"]
    counted = sum(sum(v for k, v in r.items() if isinstance(v, int)) for r in outcomes.to_pylist())
    assert counted == decisions.num_rows


def test_dictionaries_hold_what_occurs_only(select: SimpleNamespace) -> None:
    found = select.choose([{"dense": {70: 0.5, 3: 0.25}}], [{9: 1.0}], reference="each")
    negatives = negative_table(found, QUERY_IDS, DOC_IDS)
    assert negatives["doc_id"].chunk(0).dictionary.to_pylist() == ["d3", "d70"]
    assert negatives["positive_id"].to_pylist() == ["d9", "d9"]
    assert decision_table(found, QUERY_IDS, DOC_IDS)["query_id"].chunk(0).dictionary.to_pylist() == ["qa"]
