"""search: the candidates of every query, in parts of the run directory, a block of queries each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hardneg.errors import StoreError
from hardneg.files import read_json, read_parquet, write_json, write_parquet
from hardneg.fingerprints import digest
from hardneg.plan.prepare import Prepared, timed
from hardneg.protocols import Retriever
from hardneg.records import Block, Int32
from hardneg.search.candidates import block_from_rows, candidate_rows, positive_rows
from hardneg.search.union import union

QUERIES_A_PART = 4096
"""Queries searched at once: enough that reading the vectors costs little beside comparing them."""


def search(prepared: Prepared, retrievers: Sequence[Retriever], depth: int, identity: object) -> None:
    """The stage: write what is missing of the candidates at this depth.

    `identity` decides the candidates besides the read tables and the depth; candidates of another identity
    are removed, deeper ones of the same are kept (selection cuts them).
    """
    run = prepared.run
    found = digest({"read": prepared.fingerprint, "retrievers": identity})
    if run.stage("search").get("fingerprint") == found and run.stage("search")["depth"] >= depth:
        prepared.progress.say("search: unchanged")
        return
    plan = {"fingerprint": found, "depth": depth, "queries_a_part": QUERIES_A_PART}
    plan_path = run.candidates / "plan.json"
    if not plan_path.exists() or read_json(plan_path) != plan:
        run.forget_stage("search")
        run.clear(run.candidates, run.positives)
        write_json(plan, plan_path)
    with timed(run, "search"):
        queries = np.arange(prepared.collection.queries.num_rows, dtype=np.int32)
        for number, start in enumerate(range(0, len(queries), QUERIES_A_PART)):
            name = f"part-{number:05d}"
            if not (run.candidates / f"{name}.parquet").exists():
                rows = queries[start : start + QUERIES_A_PART]
                save_block(prepared, search_block(prepared, retrievers, rows, depth), name)
    run.finish_stage("search", fingerprint=found, depth=depth, retrievers=[r.name for r in retrievers])


def search_block(prepared: Prepared, retrievers: Sequence[Retriever], queries: Int32, depth: int) -> Block:
    """The union of what the retrievers find for these queries."""
    wanted = prepared.positives.padded(queries)
    rankings = [r.search(queries, depth, wanted, prepared.progress) for r in retrievers]
    return union(queries, rankings, wanted)


def save_block(prepared: Prepared, block: Block, name: str, mark: str = "") -> None:
    """Write one part; the candidates last, since their file says that the part is whole.

    `mark` is kept in the files' metadata: the fingerprint of the scorer whose scores they hold.
    """
    collection, run = prepared.collection, prepared.run
    query_ids, doc_ids = collection.queries["query_id"], collection.corpus["doc_id"]
    write_parquet(positive_rows(block, query_ids, doc_ids), run.positives / f"{name}.parquet")
    rows = candidate_rows(block, query_ids, doc_ids)
    rows = rows.replace_schema_metadata({**(rows.schema.metadata or {}), "hardneg.scorer": mark})
    write_parquet(rows, run.candidates / f"{name}.parquet")


def read_blocks(prepared: Prepared, depth: int) -> Iterator[tuple[str, Block]]:
    """The stored parts as blocks, cut at this depth."""
    for name in prepared.run.parts():
        if name.startswith("part-"):
            yield name, read_block(prepared, name, depth)


def read_block(prepared: Prepared, name: str, depth: int) -> Block:
    run = prepared.run
    candidates = read_parquet(
        run.candidates / f"{name}.parquet", _number_columns(run.candidates / f"{name}.parquet")
    )
    positives = read_parquet(
        run.positives / f"{name}.parquet", _number_columns(run.positives / f"{name}.parquet")
    )
    return block_from_rows(candidates, positives, retrievers=run.stage("search")["retrievers"], depth=depth)


def _number_columns(path: object) -> list[str]:
    """All columns but the ids: reading half a million strings to throw them away is what `select` spares."""
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path}: cannot be read as Parquet ({error}); remove it and run again") from error
    return [name for name in names if name not in ("query_id", "doc_id")]
