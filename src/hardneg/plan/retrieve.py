"""search: the candidates of every query, in parts of the run directory, a block of queries each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.config import Config
from hardneg.files import read_metadata, read_parquet, read_sealed_json, write_parquet, write_sealed_json
from hardneg.fingerprints import digest
from hardneg.plan.earlier import Earlier, identities, reserve_of, save_reserve
from hardneg.plan.kept_scores import SCORER_KEY, keep_for_deeper, keep_part_scores
from hardneg.plan.prepare import Prepared, timed
from hardneg.plan.retrievers import Source
from hardneg.protocols import Retriever
from hardneg.quantities import counted
from hardneg.records import Block, Int32, Ranking
from hardneg.run_directory import NOT_SEARCHED, PLAN, RunDirectory, mark_of_parts, part_name
from hardneg.search.candidates import block_from_rows, candidate_rows, positive_rows
from hardneg.search.checked import checked
from hardneg.search.choice import deepest
from hardneg.search.exact import DenseRetriever
from hardneg.search.grown import GrownRetriever
from hardneg.search.union import union

NO_LIMIT = 2**31 - 1
QUERIES_A_PART = 4096
"""Queries searched at once: enough that reading the vectors costs little beside comparing them."""


def search(prepared: Prepared, sources: Sequence[Source], depth: int, config: Config) -> None:
    """The stage: write what is missing of the candidates at this depth.

    Candidates of other tables, retrievers or positives are removed; deeper ones of the same are kept
    (selection cuts them). Scores of pairs of the same tables are kept.
    """
    run = prepared.run
    found = search_fingerprint(prepared, sources, config)
    done = run.stage("search")
    if done.get("fingerprint") == found and done["depth"] >= depth:
        if not _missing(run, _part_names(prepared)):
            prepared.progress.say("search: unchanged")
            run.clear(run.earlier)  # where a process died before it did
            return
        depth = done["depth"]
    plan = {"fingerprint": found, "depth": depth, "queries_a_part": QUERIES_A_PART}
    if not _began(run, plan):
        if done.get("read") == prepared.fingerprint:
            keep_part_scores(prepared, QUERIES_A_PART)
        _no_longer_searched(run, done, found)
        run.clear(run.candidates, run.positives)
        if done.get("fingerprint") != found:
            run.clear(run.guard / "judged")
        write_sealed_json(plan, run.candidates / PLAN)
    retrievers = [source.open() for source in sources]
    with timed(run, "search", prepared.progress):
        searching = _Search.of(prepared, sources, retrievers, plan, config)
        queries = np.arange(prepared.collection.queries.num_rows, dtype=np.int32)
        names = _part_names(prepared)
        parts = {name: queries[n * QUERIES_A_PART : (n + 1) * QUERIES_A_PART] for n, name in enumerate(names)}

        def search_part(name: str) -> None:
            searching.part(name, parts[name])

        prepared.engine.each(search_part, _missing(run, names))
    searching.tell()
    run.finish_stage(
        "search",
        **plan,
        read=prepared.fingerprint,
        parts=len(names),
        retrievers=[retriever.name for retriever in searching.retrievers],
        identities=searching.kept,
    )
    run.clear(run.earlier)


def _began(run: RunDirectory, plan: Mapping[str, Any]) -> bool:
    """Whether the parts that are there are of this search."""
    if plan.items() <= run.stage("search").items():
        return True
    return (run.candidates / PLAN).exists() and read_sealed_json(run.candidates / PLAN) == plan


def _no_longer_searched(run: RunDirectory, done: Mapping[str, Any], found: str) -> None:
    """Before candidates go. Of the same search to another depth the run stays a finished one, so that the
    `select` that wants them deeper can be run again; and no part has a score then.
    """
    if done.get("fingerprint") != found:
        run.forget_stage("search")
    elif done:
        run.finish_stage("search", **{**done, "depth": NOT_SEARCHED})
    if rescored := run.stage("rescore"):
        run.finish_stage("rescore", **{**rescored, "whole": False})


@dataclass(frozen=True)
class _Search:
    """Retrievers at work on all queries, a part at a time.

    plan     of which search the parts are
    kept     retriever → what decides its candidates, of those that leave a reserve beyond the depth
    reserve  how many documents of each query that is
    earlier  a finished search of other tables, where there is one
    """

    prepared: Prepared
    retrievers: Sequence[Retriever]
    plan: Mapping[str, Any]
    kept: Mapping[str, str]
    reserve: int
    earlier: Earlier | None

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        sources: Sequence[Source],
        retrievers: Sequence[Retriever],
        plan: Mapping[str, Any],
        config: Config,
    ) -> _Search:
        """`retrievers` are the sources', opened."""
        reserve = reserve_of(plan["depth"], deepest(config.search.index))
        earlier = Earlier.of(prepared)
        if earlier is not None:
            earlier.keep_scores(prepared, QUERIES_A_PART)
            retrievers = [
                earlier.retriever(retriever, reserve)
                if isinstance(retriever, DenseRetriever) and earlier.knows(source)
                else retriever
                for source, retriever in zip(sources, retrievers, strict=True)
            ]
        return cls(prepared, retrievers, plan, identities(sources), reserve, earlier)

    def part(self, name: str, queries: Int32) -> None:
        prepared, depth = self.prepared, self.plan["depth"]
        depths = [depth + self.reserve * (retriever.name in self.kept) for retriever in self.retrievers]
        wanted = prepared.positives.padded(queries)
        rankings = _rankings(prepared, self.retrievers, queries, wanted, depths)
        deeper = [ranking for ranking in rankings if ranking.retriever in self.kept]
        save_reserve(prepared.run, name, deeper, self.plan)
        found = union(queries, [one.first(depth) for one in rankings], wanted)
        save_block(prepared, found, name, self.plan)

    def tell(self) -> None:
        """What an earlier search was worth."""
        for retriever in self.retrievers:
            if self.earlier is not None and isinstance(retriever, GrownRetriever):
                whole = counted(retriever.again, "query", "queries")
                self.prepared.progress.say(
                    f"search {retriever.name}: {len(self.earlier.new):,} of {self.earlier.documents:,} "
                    f"documents are new; {whole} searched whole, the others' earlier candidates kept"
                )


def _part_names(prepared: Prepared) -> list[str]:
    """One for each QUERIES_A_PART queries."""
    count = -(-prepared.collection.queries.num_rows // QUERIES_A_PART)
    return [part_name(number) for number in range(count)]


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
    return union(queries, _rankings(prepared, retrievers, queries, wanted, [depth] * len(retrievers)), wanted)


def _rankings(
    prepared: Prepared,
    retrievers: Sequence[Retriever],
    queries: Int32,
    positives: Int32,
    depths: Sequence[int],
) -> list[Ranking]:
    documents, ids = prepared.collection.corpus.num_rows, prepared.collection.queries["query_id"]

    def query_id(row: int) -> str:
        return str(ids[int(queries[row])])

    return [
        checked(
            retriever.search(queries, depth, positives, prepared.progress),
            retriever.name,
            positives,
            depth,
            documents,
            query_id,
        )
        for retriever, depth in zip(retrievers, depths, strict=True)
    ]


def save_block(
    prepared: Prepared, block: Block, name: str, search: Mapping[str, Any], scorer: str = ""
) -> None:
    """Write one part; the candidates last, since their file says that the part is whole.

    search  the plan of which the part is, or the finished stage
    scorer  kept in the metadata of both: the fingerprint of the scorer whose scores they hold
    """
    collection, run = prepared.collection, prepared.run
    query_ids, doc_ids = collection.queries["query_id"], collection.corpus["doc_id"]
    for rows, folder in ((positive_rows, run.positives), (candidate_rows, run.candidates)):
        table = rows(block, query_ids, doc_ids)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), SCORER_KEY: scorer.encode()})
        write_parquet(table, folder / f"{name}.parquet", mark=mark_of_parts(folder.name, search))


def read_block(
    prepared: Prepared, name: str, depth: int = NO_LIMIT, *, partial_scores: bool = False
) -> Block:
    """A stored part, cut at this depth, of the queries that are looked at.

    While a scorer has not seen all pairs of the run, none of its scores are there, unless `partial_scores`.
    """
    run = prepared.run
    search = run.stage("search")
    candidates, positives = (
        read_parquet(path, _number_columns(path), mark_of_parts(path.parent.name, search))
        for path in (run.candidates / f"{name}.parquet", run.positives / f"{name}.parquet")
    )
    block = block_from_rows(candidates, positives, retrievers=search["retrievers"], depth=depth)
    if not partial_scores and partly_scored(run):
        block = block.by_retrievers()
    if prepared.within is None:
        return block
    return block.rows(np.flatnonzero(np.isin(block.query, prepared.within)))


def partly_scored(run: RunDirectory) -> bool:
    """Whether some of the run's pairs have a scorer's scores, and others have none."""
    return not run.stage("rescore").get("whole", True)


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
    mark = mark_of_parts(run.candidates.name, run.stage("search"))
    for name in reversed(parts_in_order(run)):
        table = read_parquet(run.candidates / f"{name}.parquet", mark=mark)
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
        keep_for_deeper(prepared, name, queries, QUERIES_A_PART)
        block = search_block(prepared, retrievers, queries, depth)
        save_block(prepared, block, name, prepared.run.stage("search"))
    return name


def _number_columns(path: Path) -> list[str]:
    """All columns but the ids: `select` needs no string."""
    names = read_metadata(path).schema.to_arrow_schema().names
    return [name for name in names if name not in ("query_id", "doc_id")]
