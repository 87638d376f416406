"""search: the candidates of every query, in parts of the run directory, a block of queries each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hardneg.config import Config
from hardneg.errors import StoreError
from hardneg.files import read_json, read_parquet, write_json, write_parquet
from hardneg.fingerprints import digest
from hardneg.plan.prepare import Prepared, timed
from hardneg.plan.retrievers import Source
from hardneg.protocols import Retriever
from hardneg.records import Block, Int32
from hardneg.run_directory import RunDirectory
from hardneg.search.candidates import block_from_rows, candidate_rows, positive_rows
from hardneg.search.union import union

NO_LIMIT = 2**31 - 1
SCORER_KEY = b"hardneg.scorer"
QUERIES_A_PART = 4096
"""Queries searched at once: enough that reading the vectors costs little beside comparing them."""


def search(prepared: Prepared, sources: Sequence[Source], depth: int, config: Config) -> None:
    """The stage: write what is missing of the candidates at this depth.

    Candidates of other tables, retrievers or positives are removed; deeper ones of the same are kept
    (selection cuts them).
    """
    run = prepared.run
    found = search_fingerprint(prepared, sources, config)
    done = run.stage("search")
    if done.get("fingerprint") == found and done["depth"] >= depth:
        if not _missing(run, _part_names(prepared)):
            prepared.progress.say("search: unchanged")
            return
        depth = done["depth"]
    plan = {"fingerprint": found, "depth": depth, "queries_a_part": QUERIES_A_PART}
    plan_path = run.candidates / "plan.json"
    if not plan_path.exists() or read_json(plan_path) != plan:
        run.forget_stage("search")
        run.clear(run.candidates, run.positives)
        if done.get("fingerprint") != found:
            run.clear(run.guard / "judged")
        write_json(plan, plan_path)
    retrievers = [source.open() for source in sources]
    with timed(run, "search"):
        queries = np.arange(prepared.collection.queries.num_rows, dtype=np.int32)
        names = _part_names(prepared)
        parts = {name: queries[n * QUERIES_A_PART : (n + 1) * QUERIES_A_PART] for n, name in enumerate(names)}

        def search_part(name: str) -> None:
            save_block(prepared, search_block(prepared, retrievers, parts[name], depth), name)

        prepared.engine.each(search_part, _missing(run, names))
    run.finish_stage("search", fingerprint=found, depth=depth, retrievers=[r.name for r in retrievers])


def _part_names(prepared: Prepared) -> list[str]:
    """One for each QUERIES_A_PART queries."""
    count = -(-prepared.collection.queries.num_rows // QUERIES_A_PART)
    return [f"part-{number:05d}" for number in range(count)]


def _missing(run: RunDirectory, names: Sequence[str]) -> list[str]:
    return [
        name
        for name in names
        if not (
            (run.candidates / f"{name}.parquet").exists() and (run.positives / f"{name}.parquet").exists()
        )
    ]


def search_fingerprint(prepared: Prepared, sources: Sequence[Source], config: Config) -> str:
    """What decides the stored candidates, their depth apart."""
    return digest(
        {
            "read": prepared.fingerprint,
            "min_relevance": config.read.min_relevance,
            "retrievers": [source.identity for source in sources],
        }
    )


def search_block(prepared: Prepared, retrievers: Sequence[Retriever], queries: Int32, depth: int) -> Block:
    """The union of what the retrievers find for these queries."""
    wanted = prepared.positives.padded(queries)
    rankings = [r.search(queries, depth, wanted, prepared.progress) for r in retrievers]
    return union(queries, rankings, wanted)


def save_block(prepared: Prepared, block: Block, name: str, mark: str = "") -> None:
    """Write one part; the candidates last, since their file says that the part is whole.

    `mark` is kept in its metadata: the fingerprint of the scorer whose scores it holds.
    """
    collection, run = prepared.collection, prepared.run
    query_ids, doc_ids = collection.queries["query_id"], collection.corpus["doc_id"]
    write_parquet(positive_rows(block, query_ids, doc_ids), run.positives / f"{name}.parquet")
    rows = candidate_rows(block, query_ids, doc_ids)
    rows = rows.replace_schema_metadata({**(rows.schema.metadata or {}), SCORER_KEY: mark.encode()})
    write_parquet(rows, run.candidates / f"{name}.parquet")


def read_block(prepared: Prepared, name: str, depth: int = NO_LIMIT, *, partly_scored: bool = False) -> Block:
    """A stored part, cut at this depth, of the queries that are looked at.

    While a scorer has not seen all pairs of the run, none of its scores are there, unless `partly_scored`.
    """
    run = prepared.run
    candidates, positives = run.candidates / f"{name}.parquet", run.positives / f"{name}.parquet"
    block = block_from_rows(
        read_parquet(candidates, _number_columns(candidates)),
        read_parquet(positives, _number_columns(positives)),
        retrievers=run.stage("search")["retrievers"],
        depth=depth,
    )
    if not (partly_scored or run.stage("rescore").get("whole", True)):
        block = block.by_retrievers()
    if prepared.within is None:
        return block
    return block.rows(np.flatnonzero(np.isin(block.query, prepared.within)))


def base_parts(run: RunDirectory) -> list[str]:
    """The parts that hold every query once."""
    return [name for name in run.parts() if name.startswith("part-")]


def parts_in_order(run: RunDirectory) -> list[str]:
    """First the parts that hold every query once, then those of some queries searched deeper, by depth."""
    return sorted(run.parts(), key=lambda name: (name.startswith("deep-"), name))


def candidate_table(run: RunDirectory) -> pa.Table:
    """All stored candidates; of a query that was searched deeper, the deepest."""
    kept: list[pa.Table] = []
    seen = np.zeros(0, np.int32)
    for name in reversed(parts_in_order(run)):
        table = read_parquet(run.candidates / f"{name}.parquet")
        rows = table["query_row"].to_numpy()
        kept.append(table.filter(pa.array(~np.isin(rows, seen))) if len(seen) else table)
        if name.startswith("deep-"):
            seen = np.union1d(seen, rows)
    # Parts searched deeper for an earlier selection may lack the scores of a scorer that came later.
    return pa.concat_tables(kept[::-1], promote_options="default").replace_schema_metadata(None)


def deepen(prepared: Prepared, retrievers: Sequence[Retriever], queries: Int32, depth: int) -> str:
    """Search these queries to a greater depth and keep the result as a part of its own; return its name."""
    name = f"deep-{depth:09d}-{digest(queries.tolist())[:16]}"
    if not (prepared.run.candidates / f"{name}.parquet").exists():
        save_block(prepared, search_block(prepared, retrievers, queries, depth), name)
    return name


def _number_columns(path: Path) -> list[str]:
    """All columns but the ids: `select` needs no string."""
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path}: cannot be read as Parquet ({error}); remove it and run again") from error
    return [name for name in names if name not in ("query_id", "doc_id")]
