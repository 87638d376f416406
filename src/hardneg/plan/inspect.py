"""Every candidate of one query, with ranks, scores, decision and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import nearest
from hardneg.errors import InputError
from hardneg.files import read_parquet_where
from hardneg.plan.retrieve import parts_in_order
from hardneg.records import CANDIDATES, POSITIVES
from hardneg.run_directory import RunDirectory, mark_of_parts
from hardneg.texts import document_texts


def inspect_query(run: RunDirectory, selection: str, query_id: str) -> dict[str, Any]:
    """The query, its positives, its outcome and its candidates as JSON values.

    Raises InputError for a query that the run does not have, naming the nearest id.
    """
    collection = run.collection()
    query_id = str(query_id).encode("utf-8", "backslashreplace").decode("utf-8")
    found = collection.queries.filter(pc.equal(collection.queries["query_id"], query_id))
    if not found.num_rows:
        known = collection.queries["query_id"].to_pylist()
        raise InputError(f"has no query {query_id!r}{nearest(query_id, known[:100_000])}", file=run.path)
    run.selection_table(selection, "outcomes", ["query_id"])  # says which selections there are, if not this
    if run.told_of(selection).get("search") != run.stage("search").get("fingerprint"):
        raise InputError(
            f"selection {selection!r} was made from other candidates than the run's; choose again with "
            f"`hardneg select {run.path} --name {selection}`",
            file=run.path,
        )
    run.depth()  # says so where the candidates are on their way
    outcomes, decided_on, known = (
        run.selection_file(selection, table) for table in ("outcomes", "decisions", "positives")
    )
    outcome = _filtered(outcomes, query_id).to_pylist()
    decisions = _filtered(decided_on, query_id).to_pylist()
    candidates = _by_document(_rows(run, run.candidates, query_id))
    positives = _rows(run, run.positives, query_id)
    positives += _judged(known, query_id, candidates)
    text_of = _texts(run, collection.corpus, [*candidates, *(row["doc_id"] for row in positives)])
    decided = {row["doc_id"]: row for row in decisions}
    return {
        "query_id": query_id,
        "text": found["text"][0].as_py(),
        "outcome": outcome[0]["outcome"] if outcome else None,
        "message": outcome[0]["message"] if outcome else None,
        "positives": [
            {
                "doc_id": row["doc_id"],
                "scores": {name: score for name, score in row.items() if name not in POSITIVES.names},
                "text": text_of[row["doc_id"]],
            }
            for row in positives
        ],
        "candidates": [
            {
                "doc_id": doc_id,
                **facts,
                **{k: decided.get(doc_id, {}).get(k) for k in ("p_false_negative", "decision", "reason")},
                "text": text_of[doc_id],
            }
            for doc_id, facts in candidates.items()
            if doc_id in decided  # others were found when another selection searched deeper
        ],
    }


def _judged(path: Path, query_id: str, candidates: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents that people judged relevant, with the scores that they have as candidates."""
    rows = _filtered(path, query_id).to_pylist()
    judged = [row["doc_id"] for row in rows if row["source"] == "judged"]
    return [{"doc_id": doc_id, **candidates.get(doc_id, {"scores": {}})["scores"]} for doc_id in judged]


def _texts(run: RunDirectory, corpus: pa.Table, doc_ids: list[str]) -> dict[str, str]:
    """doc_id → the text that was encoded."""
    used = corpus.filter(pc.is_in(corpus["doc_id"], value_set=pa.array(doc_ids, pa.string())))
    texts = document_texts(used, run.manifest()["config"]["join_title"])
    return dict(zip(used["doc_id"].to_pylist(), texts.to_pylist(), strict=True))


def _rows(run: RunDirectory, folder: Path, query_id: str) -> list[dict[str, Any]]:
    """The query's rows of its deepest part."""
    mark = mark_of_parts(folder.name, run.stage("search"))
    for name in reversed(parts_in_order(run)):
        rows: list[dict[str, Any]] = _filtered(folder / f"{name}.parquet", query_id, mark).to_pylist()
        if rows:
            return rows
    return []


def _filtered(path: Path, query_id: str, mark: str = "") -> pa.Table:
    return read_parquet_where(path, "query_id", query_id, mark)


def _by_document(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """doc_id → ranks and scores by retriever and scorer, in the order of the best rank."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["rank"]):
        facts = found.setdefault(row["doc_id"], {"ranks": {}, "scores": {}})
        facts["ranks"][row["retriever"]] = row["rank"]
        facts["scores"][row["retriever"]] = row["score"]
        facts["scores"].update({k: v for k, v in row.items() if k not in CANDIDATES.names})
    return found
