"""Queries that a trial asks from elsewhere: where they are read, and how they join the run's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.config import ReadConfig
from hardneg.errors import InputError, UsageError
from hardneg.read import is_positive, load, rows_of
from hardneg.records import Bool, Collection, Float32, Int32, Pairs
from hardneg.run_directory import RunDirectory
from hardneg.trialing import TrialOptions


@dataclass(frozen=True)
class Joined:
    """The run's queries, and after them those of an evaluation.

    table      their texts (and prompts)
    positives  by rows of `table`
    relevance  of each pair of `positives`
    lost       what of the evaluation has no document in the run: `pairs`, and `queries` left without any;
               empty without an evaluation
    """

    table: pa.Table
    positives: Pairs
    relevance: Float32
    lost: dict[str, int]


def read_evaluation(
    run: RunDirectory, read: ReadConfig, options: TrialOptions, given: Any
) -> Collection | None:
    """The queries to ask, None where the run's own are split.

    given  a caller's: what `hardneg.load` takes, or its result; None: by the options

    Raises UsageError where a split of the run's own source is wanted and that has none, or was an object in
    memory.
    """
    if isinstance(given, Collection):
        if options.evaluation_split is not None:
            raise UsageError("evaluation_split: the evaluation is read already; load that split of it")
        return given
    source = given if given is not None else options.evaluation
    update: dict[str, Any] = {"limit_queries": None}
    if options.evaluation_split is not None:
        update["split"] = options.evaluation_split
    if source is not None:
        return _read(source, read.model_copy(update={**update, "corpus": None, "qrels": None}))
    if options.evaluation_split is None:
        return None
    again = run.manifest().get("read_again", {})
    own = again.get("source")
    if not own:
        raise UsageError(
            "the run's source was an object in memory, whose other splits cannot be read again; name the "
            "queries to ask with --evaluation"
        )
    if Path(own).is_file() and "qrels" not in again:
        raise UsageError(
            f"the run's source {own} is one file, which holds no splits; name the queries to ask with "
            "--evaluation"
        )
    named = {key: again.get(key) for key in ("qrels", "corpus")}
    return _read(own, read.model_copy(update={**update, **named}))


def _read(source: Any, read: ReadConfig) -> Collection:
    try:
        return load(source, config=read)
    except InputError as error:
        raise InputError(
            error.reason.replace("--split", "--evaluation-split"),
            file=error.file,
            line=error.line,
            column=error.column,
            row_id=error.row_id,
        ) from error


def join(collection: Collection, asked: Collection | None, min_relevance: float | None) -> Joined:
    """`asked` names documents by the run's ids."""
    parts = [collection] if asked is None else [collection, asked]
    names = ["query_id", "text", "prompt"]
    tables = [part.queries.select([n for n in names if n in part.queries.column_names]) for part in parts]
    query, doc, relevance = [], [], []
    start, lost = 0, {}
    for part in parts:
        grade = part.qrels["relevance"].to_numpy()
        rows = rows_of(part.qrels["query_id"], part.queries["query_id"])
        docs = rows_of(part.qrels["doc_id"], collection.corpus["doc_id"])
        positive = is_positive(grade, min_relevance) & (rows >= 0)
        kept = positive & (docs >= 0)
        if part is asked:
            lost = _lost(rows, positive, kept)
        query.append(rows[kept] + start)
        doc.append(docs[kept])
        relevance.append(grade[kept])
        start += part.queries.num_rows
    table = pa.concat_tables(tables, promote_options="default")
    pairs, grades = _pairs(np.concatenate(query), np.concatenate(doc), np.concatenate(relevance), start)
    return Joined(table, pairs, grades, lost)


def _lost(query: Int32, positive: Bool, kept: Bool) -> dict[str, int]:
    without = np.setdiff1d(query[positive], query[kept])
    return {"pairs": int((positive & ~kept).sum()), "queries": len(without)}


def _pairs(query: Int32, doc: Int32, relevance: Float32, queries: int) -> tuple[Pairs, Float32]:
    """Each pair once, sorted; its highest relevance, at least a little above 0."""
    order = np.lexsort((-relevance, doc, query))
    pairs = Pairs.from_rows(query, doc, queries)
    key = query[order].astype(np.int64) << 32 | doc[order]
    _, first = np.unique(key, return_index=True)
    return pairs, np.maximum(relevance[order][first], np.float32(1e-6)).astype(np.float32)
