"""suspects: the negatives of a selection that people should judge, with what they need to see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError, UsageError
from hardneg.export import check_suffix, write_rows
from hardneg.files import read_parquet
from hardneg.leftovers import scratch_folder
from hardneg.protocols import Progress
from hardneg.read import rows_of
from hardneg.records import SUSPECTS, Bool, Collection, Int32, Int64
from hardneg.run_directory import RunDirectory
from hardneg.select import STRATA, draw_suspects, stream_keys
from hardneg.texts import document_texts, take

JUDGED = "judged"
"""Stratum of negatives that were judged before the selection was made."""
IDS = ("query_id", "doc_id")
IDS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Population:
    """The mined and backfilled negatives of a selection, each pair once, by query and document.

    rows        of the table of negatives
    query, doc  int32 (pairs,): rows of queries and corpus
    judged      bool (pairs,): judged not relevant by the labels that the selection was made with
    """

    rows: pa.Table
    query: Int32
    doc: Int32
    judged: Bool


def suspects(run: RunDirectory, selection: str, n: int, seed: int, progress: Progress) -> pa.Table:
    """SUSPECTS: `n` negatives of the selection to be judged; those judged before stand last, filled in.

    Raises UsageError for an `n` below 1 or a seed below 0, InputError where there is no such selection or
    nothing to judge.
    """
    if n < 1:
        raise UsageError(f"n: ask for at least one negative (given: {n})")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed: give a whole number from 0 on, below 2^63 (given: {seed})")
    collection = run.collection()
    whole = _population(run, selection, collection)
    asked, before = np.flatnonzero(~whole.judged), np.flatnonzero(whole.judged)
    if not len(asked):
        raise InputError(f"selection {selection!r} has no mined negative that was not judged", file=run.path)
    chance = whole.rows["p_false_negative"].to_numpy().astype(np.float32)[asked]
    if np.isnan(chance).all():
        progress.say(
            "suspects: no guard judged these negatives, so none is riskiest: all are drawn at random"
        )
    drawn = draw_suspects(chance, _keys(whole.rows.take(pa.array(asked)), seed, progress), n)
    new, old = len(drawn.place), len(before)
    how = {
        "relevant": pa.array([None] * new + [False] * old, pa.bool_()),
        "selection": pa.array([selection] * (new + old)),
        "selection_size": pa.array([len(whole.doc)] * (new + old)),
        "stratum": pa.array([STRATA[number] for number in drawn.stratum.tolist()] + [JUDGED] * old),
        "stratum_size": np.concatenate([drawn.stratum_size, np.full(old, old)]),
        "inclusion_probability": np.concatenate([drawn.inclusion_probability, np.ones(old)]),
    }
    place = np.concatenate([asked[drawn.place], before])
    columns = {**_shown(run, collection, selection, whole, place), **how}
    return pa.table([columns[name] for name in SUSPECTS.names], schema=SUSPECTS)


def _population(run: RunDirectory, selection: str, collection: Collection) -> Population:
    negatives = run.selection_table(selection, "negatives")
    mined = pc.is_in(negatives["source"].cast(pa.string()), value_set=pa.array(["mined", "backfill"]))
    negatives = negatives.filter(mined)
    query, doc = _rows(negatives, collection)
    key, first = np.unique(query.astype(np.int64) << 32 | doc, return_index=True)
    path = run.selection_file(selection, "labels")
    known: Int64 = np.zeros(0, np.int64)
    if path.exists():
        judged_query, judged_doc = _rows(read_parquet(path, list(IDS)), collection)
        known = judged_query.astype(np.int64) << 32 | judged_doc
    return Population(negatives.take(pa.array(first)), query[first], doc[first], np.isin(key, known))


def _rows(table: pa.Table, collection: Collection) -> tuple[Int32, Int32]:
    query, doc = (table[name].cast(pa.string()) for name in IDS)
    return rows_of(query, collection.queries["query_id"]), rows_of(doc, collection.corpus["doc_id"])


def _keys(pairs: pa.Table, seed: int, progress: Progress) -> Any:
    """A random stream for each pair, by its ids: uint64 (pairs,)."""
    keys = [np.zeros(0, np.uint64)]
    with progress.track("suspects", pairs.num_rows, "negatives") as advance:
        for start in range(0, pairs.num_rows, IDS_AT_ONCE):
            part = pairs.slice(start, IDS_AT_ONCE)
            query, doc = (part[name].cast(pa.string()).to_pylist() for name in IDS)
            ids = ((q.encode(), d.encode()) for q, d in zip(query, doc, strict=True))
            keys.append(stream_keys(seed, ids, "suspects"))
            advance(part.num_rows)
    return np.concatenate(keys)


# -- what people see ----------------------------------------------------------------------------------------


def _shown(
    run: RunDirectory, collection: Collection, selection: str, whole: Population, place: Int64
) -> dict[str, Any]:
    """Ids, texts and what is known of the negatives at these places."""
    rows, query = whole.rows.take(pa.array(place)), whole.query[place]
    texts = document_texts(collection.corpus, run.manifest()["config"]["join_title"])
    positive = _best_positive(run, collection, selection)[query]
    of_positive = take(texts, np.maximum(positive, 0))
    return {
        **{name: rows[name].cast(pa.string()) for name in IDS},
        "query": take(collection.queries["text"], query),
        "positive": pc.if_else(pa.array(positive >= 0), of_positive, pa.scalar(None, of_positive.type)),
        "document": take(texts, whole.doc[place]),
        **{name: rows[name] for name in ("p_false_negative", "rank", "score")},
    }


def _best_positive(run: RunDirectory, collection: Collection, selection: str) -> Int64:
    """int64 (queries,): the row of the known positive that scores highest, -1 where there is none."""
    known = run.selection_table(selection, "positives")
    known = known.filter(pc.not_equal(known["source"].cast(pa.string()), "promoted"))
    query, doc = _rows(known, collection)
    score = np.nan_to_num(known["score"].to_numpy().astype(np.float64), nan=-np.inf)
    order = np.lexsort((doc, -score, query))
    first = order[np.unique(query[order], return_index=True)[1]]
    best = np.full(collection.queries.num_rows, -1, np.int64)
    best[query[first]] = doc[first]
    return best


def write_suspects(table: pa.Table, path: Path) -> None:
    """Write the file to be filled in, unless it is there already.

    Raises UsageError where another is: people's work may be in it.
    """
    check_suffix(path)
    if not path.exists():
        write_rows(table, path)
        return
    with scratch_folder() as folder:
        beside = folder / path.name
        write_rows(table, beside)
        if beside.read_bytes() != path.read_bytes():
            raise UsageError(f"{path} is there and may hold judgments; give another --output, or remove it")
