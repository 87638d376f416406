"""search: what a finished search of other tables is still worth, once a run's source has grown or changed.

When other tables are read into a run, what it held goes to `RUN/earlier`. A document of the same id and text
as then is the same one, and so is a query of the same id, text and prompt: a retriever of the same
fingerprint gives them the vectors that the store has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.files import parquet_file, read_arrays, read_parquet, read_sealed_json, write_arrays
from hardneg.fingerprints import digest
from hardneg.plan.kept_scores import keep, pair_keys, scores_of_part
from hardneg.plan.prepare import Prepared
from hardneg.plan.retrievers import Source
from hardneg.read import rows_of
from hardneg.records import NO_DOC, Bool, Float32, Int32, Ranking
from hardneg.run_directory import PARTS, RunDirectory, mark_of_parts, part_name
from hardneg.search.candidates import by_rank_of
from hardneg.search.exact import DenseRetriever
from hardneg.search.grown import Found, GrownRetriever, SomeRows
from hardneg.texts import take

_ROWS_AT_ONCE = 1 << 16
_LEAST_RESERVE = 16
_SHARE_OF_DEPTH = 8


def reserve_of(depth: int, deepest: int | None) -> int:
    """How many documents beyond the depth are kept of each query, for those that go later.

    deepest  that can be searched at all; None: there is no bound
    """
    wanted = max(_LEAST_RESERVE, depth // _SHARE_OF_DEPTH)
    return wanted if deepest is None else max(0, min(wanted, deepest - depth))


def identities(sources: Sequence[Source]) -> dict[str, str]:
    """What decides each retriever's candidates besides the tables, of those whose work is kept."""
    return {source.name: digest(source.identity) for source in sources if source.vectors is not None}


# -- the reserve on disk ------------------------------------------------------------------------------------


def save_reserve(
    run: RunDirectory, part: str, rankings: Sequence[Ranking], search: Mapping[str, Any]
) -> None:
    """Beside a part: what these retrievers found beyond the depth of its search."""
    depth = search["depth"]
    arrays: dict[str, Any] = {}
    for ranking in rankings:
        arrays[f"{ranking.retriever} doc"] = ranking.doc[:, depth:]
        arrays[f"{ranking.retriever} score"] = ranking.score[:, depth:]
    write_arrays(_reserve_path(run.candidates, part), mark_of_parts(run.candidates.name, search), **arrays)


def _reserve_path(candidates: Path, part: str) -> Path:
    return candidates / f"{part}.reserve.npz"


# -- an earlier search --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Earlier:
    """A finished search of other tables, as seen from those of now.

    stage         what the manifest held of it
    query_before  int32 (queries,): each query's row then, -1 where there was none like it
    query_now     int32 (queries then,): each query's row now, -1 where there is none like it
    doc_now       int32 (documents then,): each document's row now, NO_DOC where there is none like it
    documents     how many there are now
    """

    folder: Path
    stage: Mapping[str, Any]
    query_before: Int32
    query_now: Int32
    doc_now: Int32
    documents: int

    @classmethod
    def of(cls, prepared: Prepared) -> Earlier | None:
        """None where the run has none."""
        folder, collection = prepared.run.earlier, prepared.collection
        if not (folder / "stage.json").exists():
            return None
        stage = read_sealed_json(folder / "stage.json")
        corpus, queries, read = collection.corpus, collection.queries, stage["read"]
        doc_now = _same_rows(folder / "corpus.parquet", read, corpus, "doc_id", ["title", "text"])
        query_now = _same_rows(folder / "queries.parquet", read, queries, "query_id", ["text", "prompt"])
        query_before = np.full(collection.queries.num_rows, -1, np.int32)
        query_before[query_now[query_now >= 0]] = np.flatnonzero(query_now >= 0)
        return cls(folder, stage, query_before, query_now, doc_now, collection.corpus.num_rows)

    @cached_property
    def new(self) -> Int32:
        """Rows now of the documents that were not searched then, ascending."""
        known = np.zeros(self.documents, np.bool_)
        known[self.doc_now[self.doc_now != NO_DOC]] = True
        return np.flatnonzero(~known).astype(np.int32)

    def knows(self, source: Source) -> bool:
        """Whether the same retriever searched then."""
        identity = self.stage.get("identities", {}).get(source.name)
        return source.vectors is not None and identity == digest(source.identity)

    def retriever(self, whole: DenseRetriever, spare: int) -> GrownRetriever:
        """The retriever in the place of `whole`, which searches everything."""
        new = whole.over(SomeRows(whole.documents, self.new), self.new)
        read = lru_cache(2)(lambda part: self._read(part, whole.name))

        def found(query: Int32) -> Found:
            return self._found(self.query_before[query], read)

        return GrownRetriever(whole, new, self.new, found, spare)

    def keep_scores(self, prepared: Prepared, queries_a_part: int) -> None:
        """What a scorer gave then to pairs that there are now, for the parts of now."""
        candidates = self.folder / "candidates"
        for path in sorted(candidates.glob(PARTS)):
            mark, keys, scores = scores_of_part(path.stem, self.stage, candidates)
            query, doc = self.query_now[keys >> 32], self.doc_now[keys & 0xFFFFFFFF]
            there = (query >= 0) & (doc != NO_DOC)
            now = pair_keys(query[there], doc[there, None])[:, 0]
            keep(prepared, mark, path.stem, now, scores[there], queries_a_part)

    def _found(self, before: Int32, read: Any) -> Found:
        """Of queries by their rows then, int32 (queries,), -1 for those that were not there."""
        part_of = np.where(before >= 0, before // int(self.stage["queries_a_part"]), -1)
        floor = np.full(len(before), np.inf, np.float32)
        gathered: list[tuple[Any, Int32, Float32]] = []
        for part in np.unique(part_of[part_of >= 0]).tolist():
            rows = np.flatnonzero(part_of == part)
            doc, score = (values[before[rows] % int(self.stage["queries_a_part"])] for values in read(part))
            count = np.count_nonzero(doc != NO_DOC, axis=1)
            complete = count >= len(self.doc_now)
            floor[rows] = np.where(complete, -np.inf, np.nanmin(score, axis=1, initial=np.inf))
            gathered.append((rows, doc, score))
        width = max((doc.shape[1] for _, doc, _ in gathered), default=0)
        now = np.full((len(before), width), NO_DOC, np.int32)
        scores = np.full((len(before), width), np.nan, np.float32)
        for rows, doc, score in gathered:
            now[rows, : doc.shape[1]] = np.where(doc == NO_DOC, NO_DOC, self.doc_now[doc])
            scores[rows, : doc.shape[1]] = score
        return Found(now, scores, floor)

    def _read(self, part: int, retriever: str) -> tuple[Int32, Float32]:
        """All that was found for the queries of a part: rows then and scores, (queries, any) both."""
        candidates, name = self.folder / "candidates", part_name(part)
        columns = ["retriever", "rank", "score", "query_row", "doc_row"]
        mark = mark_of_parts(candidates.name, self.stage)
        doc, score = by_rank_of(read_parquet(candidates / f"{name}.parquet", columns, mark), retriever)
        reserve = read_arrays(_reserve_path(candidates, name), mark)
        more = reserve[f"{retriever} doc"], reserve[f"{retriever} score"]
        return np.concatenate([doc, more[0]], axis=1), np.concatenate([score, more[1]], axis=1)


def _same_rows(before: Path, mark: str, table: pa.Table, id_column: str, columns: Sequence[str]) -> Int32:
    """int32 (rows then,): where the row of the same id stands now, -1 where it is gone or reads otherwise.

    mark  of the file: the fingerprint of the tables then

    Texts are compared a block at a time.
    """
    with parquet_file(before, mark) as file:
        now = rows_of(file.read([id_column])[id_column], table[id_column])
        names = [name for name in columns if name in file.schema_arrow.names]
        gained = [name for name in columns if name in table.column_names and name not in names]
        start = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=names):
            part = now[start : start + batch.num_rows]
            there = np.flatnonzero(part >= 0)
            same = np.ones(len(there), np.bool_)
            for name in names:
                same &= _equal(batch[name].take(pa.array(there)), _column(table, name, part[there]))
            for name in gained:
                same &= _column(table, name, part[there]).is_null().to_numpy(zero_copy_only=False)
            part[there[~same]] = -1
            start += batch.num_rows
    return now


def _column(table: pa.Table, name: str, rows: Int32) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(len(rows), pa.large_string())
    return take(table[name], rows).cast(pa.large_string())


def _equal(one: pa.Array, other: pa.Array) -> Bool:
    """Where both are null, or the same text."""
    equal = pc.fill_null(pc.equal(one.cast(pa.large_string()), other), False)
    neither = pc.and_(one.is_null(), other.is_null())
    found: Bool = pc.or_(equal, neither).to_numpy(zero_copy_only=False)
    return found
