"""A finished run made up without a model, as large as asked for, for what comes after the search.

Everything is written by the package's own writers, a part at a time: tables, candidates, text classes,
sketches, and what the guard said. Only the scores and the guard's log-odds are drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import hardneg
from hardneg.config import Config
from hardneg.files import write_arrays
from hardneg.guard.fitted import prior_model, shipped_weights
from hardneg.plan.guarding import rules, text_classes
from hardneg.plan.judging import judged_folder
from hardneg.plan.prepare import Prepared, prepare
from hardneg.plan.retrieve import base_parts, read_block, search
from hardneg.plan.retrievers import OwnParts, sources
from hardneg.progress import Silent
from hardneg.records import Float32, Int32, Ranking
from hardneg.run_directory import RunDirectory

IDS_AT_ONCE = 100_000
BEST = 20
"""Positives of most queries stand among so many best candidates."""
ILL_FOUND = 0.1
"""Share of queries whose positive stands among the last candidates: with margins these are left short."""
LOG_ODDS = (-3.0, 2.0)
"""Mean and deviation of what the guard is made to have said."""


class Synthetic:
    """A retriever of random documents with falling scores, the query's positive among them."""

    name = "synthetic"
    fingerprint = "synthetic"

    def __init__(self, documents: int) -> None:
        self._documents = documents

    def search(self, query: Int32, depth: int, positives: Int32, progress: Any) -> Ranking:
        draw = np.random.default_rng(int(query[0]) if len(query) else 0)
        doc, score = random_candidates(draw, self._documents, len(query), depth)
        best = draw.integers(0, min(BEST, depth), len(query))
        ill_found = draw.random(len(query)) < ILL_FOUND
        there = doc == positives[:, :1]
        elsewhere = np.where(ill_found, depth - 1 - best // 8, best)
        place = np.where(there.any(axis=1), there.argmax(axis=1), elsewhere)
        row = np.arange(len(query))
        doc[row, place] = positives[:, 0]
        own = np.where(positives < 0, np.float32(np.nan), score[row, place][:, None])
        return Ranking(self.name, doc, score, own.astype(np.float32))


def random_candidates(
    draw: np.random.Generator, documents: int, queries: int, depth: int
) -> tuple[Int32, Float32]:
    """Documents, distinct within a row, and falling scores, (queries, depth) both."""
    # Steps of at least 1 around the ring of documents.
    steps = draw.integers(1, documents // depth, (queries, depth), dtype=np.int32)
    start = draw.integers(0, documents, (queries, 1), dtype=np.int32)
    doc = ((start + np.cumsum(steps, axis=1, dtype=np.int32)) % documents).astype(np.int32)
    return doc, -np.sort(-draw.uniform(0.2, 0.9, doc.shape).astype(np.float32), axis=1)


def make_run(folder: Path, queries: int, documents: int, depth: int) -> None:
    """A run directory of so many queries, one positive each, with all that `hardneg select` needs."""
    config = Config.from_flat({"retriever": (), "depth": depth})
    run = RunDirectory(folder)
    with run.locked():
        prepared = prepare(hardneg.load(tables(queries, documents)), config, run, Silent())
        found = sources(prepared, config, OwnParts(retrievers=(Synthetic(documents),)))
        search(prepared, found, depth, config)
        run.update(config=config.flat())
        rules(prepared, config, text_classes(prepared, config))
        _draw_log_odds(prepared, config, depth)


def _draw_log_odds(prepared: Prepared, config: Config, depth: int) -> None:
    """What the guard would have kept, each part's in a file."""
    folder = judged_folder(prepared, config, depth)
    _, whole = shipped_weights()
    prior_model(whole).save(folder / "model.npz")
    for number, name in enumerate(base_parts(prepared.run)):
        shape = read_block(prepared, name, depth).doc.shape
        drawn = np.random.default_rng(number).normal(*LOG_ODDS, shape).astype(np.float32)
        write_arrays(folder / f"{name}-{depth}.npz", log_odds=drawn)


def tables(queries: int, documents: int) -> dict[str, pa.Table]:
    query_ids, doc_ids = numbered("q", queries), numbered("d", documents)
    return {
        "corpus": pa.table({"doc_id": doc_ids, "text": texts_of_their_own(doc_ids)}),
        "queries": pa.table({"query_id": query_ids, "text": texts_of_their_own(query_ids)}),
        "qrels": pa.table(
            {
                "query_id": query_ids,
                "doc_id": doc_ids.take(pa.array(np.arange(queries) % documents)),
                "relevance": np.ones(queries, np.float32),
            }
        ),
    }


def numbered(letter: str, count: int) -> pa.ChunkedArray:
    """`q00000000`, `q00000001`, ..."""
    starts = range(0, count, IDS_AT_ONCE)
    return pa.chunked_array(
        [
            pa.array([f"{letter}{row:08d}" for row in range(start, min(start + IDS_AT_ONCE, count))])
            for start in starts
        ]
    )


def texts_of_their_own(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """For each a text that is like no other's."""
    return pa.chunked_array([pa.array(_texts(chunk.to_pylist())) for chunk in names.chunks])


def _texts(names: Sequence[str]) -> list[str]:
    return [hashlib.sha256(name.encode()).hexdigest() for name in names]
