"""A TREC run file as a retriever: `query_id Q0 doc_id rank score tag`, parted by spaces or tabs.

The order within a query is that of the scores, as trec_eval reads a run, and that of the `rank` column for
equal scores (then document row). Where the rank column says otherwise the scores win, and the user is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError
from hardneg.protocols import Progress
from hardneg.quantities import counted
from hardneg.records import NO_DOC, Float32, Int32, Int64, Ranking
from hardneg.search.run_lines import parse_run


@dataclass(frozen=True)
class _Lines:
    """The run's lines that are about known queries and documents, best first within each query.

    start  int64 (queries + 1,): those of query row q are start[q] to start[q + 1]
    notes  what people should know
    """

    start: Int64
    doc: Int32
    score: Float32
    notes: tuple[str, ...]


class RunRetriever:
    """Retriever over a run file, plain, .gz or .zst; it is read, and checked, when the object is made.

    query_ids, doc_ids  the ids of all queries and of the corpus, in the order of rows
    unknown_documents   what to do with a document that the corpus does not hold: `fail`, or `skip`: leave it
                        out and count it, so that ranks are those among the corpus's own documents

    A query's results may be fewer than the depth; a positive that the run does not list has no score. Lines
    of other queries are counted and left out. Raises InputError with file and line.
    """

    def __init__(
        self,
        name: str,
        path: Path | str,
        query_ids: pa.ChunkedArray,
        doc_ids: pa.ChunkedArray,
        *,
        unknown_documents: Literal["fail", "skip"] = "fail",
    ) -> None:
        self.name = name
        self._lines = _read(Path(path), query_ids, doc_ids, unknown_documents == "fail")
        self._told = False

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        """See `protocols.Retriever`."""
        lines = self._lines
        if not self._told:
            for note in lines.notes:
                progress.say(f"run {self.name}: {note}")
            self._told = True
        count = np.minimum(np.diff(lines.start)[query], depth)
        depth = int(count.max(initial=0))  # more would be room for nothing
        place = np.arange(depth)[None, :] < count[:, None]
        index = (lines.start[query][:, None] + np.arange(depth))[place]
        doc = np.full(place.shape, NO_DOC, np.int32)
        score = np.full(place.shape, np.nan, np.float32)
        doc[place], score[place] = lines.doc[index], lines.score[index]
        return Ranking(self.name, doc, score, _scores_of(lines, query, positives))


def _scores_of(lines: _Lines, query: Int32, positives: Int32) -> Float32:
    """float32 (queries, positives): the scores that the run gives them, NaN where it does not list them."""
    out = np.full(positives.shape, np.nan, np.float32)
    count = np.diff(lines.start)[query]
    first = np.cumsum(count) - count
    row = np.repeat(np.arange(len(query)), count)
    index = np.arange(int(count.sum())) - np.repeat(first - lines.start[query], count)
    listed = row.astype(np.int64) << 32 | lines.doc[index]
    order = np.argsort(listed)
    wanted = np.arange(len(query), dtype=np.int64)[:, None] << 32 | np.maximum(positives, 0)
    found = np.searchsorted(listed, wanted, sorter=order)
    inside = (positives != NO_DOC) & (found < len(listed))
    at = order[found[inside]]
    out[inside] = np.where(listed[at] == wanted[inside], lines.score[index[at]], np.float32(np.nan))
    return out


def _read(path: Path, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray, strict: bool) -> _Lines:
    """Read, check and sort the file."""
    run = parse_run(path)
    query, doc = _rows(run.query, query_ids), _rows(run.doc, doc_ids)
    known_query, known_doc = query != NO_DOC, doc != NO_DOC
    stray = known_query & ~known_doc
    if stray.any() and (strict or not (known_query & known_doc).any()):
        first = int(np.argmax(stray))
        raise InputError(
            "the document is not in the corpus; give the corpus that the run was made over, or skip such "
            "lines (--on-bad-row skip)",
            file=path,
            line=int(run.line[first]),
            row_id=run.doc[first].as_py(),
        )
    if not known_query.any():
        raise InputError(
            "no line is about any of the queries; check that run and queries belong together", file=path
        )
    notes = _left_out(run.query.filter(pa.array(~known_query)), int(stray.sum()), path)
    keep = np.flatnonzero(known_query & known_doc)
    query, doc, rank, score = query[keep], doc[keep], run.rank[keep], run.score[keep]
    _refuse_repeats(path, query, doc, run.line[keep], doc_ids)
    order = np.lexsort((doc, rank, -score, query))
    query, rank = query[order], rank[order]
    against = np.unique(query[1:][(query[1:] == query[:-1]) & (rank[1:] < rank[:-1])])
    if len(against):
        notes.append(
            f"{path}: the rank column contradicts the scores of "
            f"{counted(len(against), 'query', 'queries')}, the first of them "
            f"{query_ids[int(against[0])].as_py()!r}; the scores' order is used, as trec_eval does"
        )
    start = np.searchsorted(query, np.arange(len(query_ids) + 1))
    return _Lines(start.astype(np.int64), doc[order], score[order].astype(np.float32), tuple(notes))


def _left_out(query_name: pa.ChunkedArray, documents: int, path: Path) -> list[str]:
    notes = []
    if len(query_name):
        count = pc.count_distinct(query_name).as_py()
        notes.append(
            f"{path}: {counted(len(query_name), 'line')} of "
            f"{counted(count, 'other query', 'other queries')} left out"
        )
    if documents:
        notes.append(
            f"{path}: {counted(documents, 'line')} with documents that the corpus does not hold left out; "
            "ranks are those among the corpus's documents"
        )
    return notes


def _refuse_repeats(path: Path, query: Int32, doc: Int32, line: Int64, doc_ids: pa.ChunkedArray) -> None:
    key = query.astype(np.int64) << 32 | doc
    order = np.argsort(key, kind="stable")
    repeat = np.flatnonzero(key[order][1:] == key[order][:-1])
    if len(repeat):
        again = repeat[np.argmin(line[order[repeat + 1]])]
        first, second = line[order[again]], line[order[again + 1]]
        raise InputError(
            f"the document stands on line {first} already for this query; list it once",
            file=path,
            line=int(second),
            row_id=doc_ids[int(doc[order[again]])].as_py(),
        )


def _rows(names: pa.ChunkedArray, ids: pa.ChunkedArray) -> Int32:
    """The row of each name among `ids`, int32, NO_DOC where it is not there."""
    coded = names.dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.chunk(0)
    # The other way round, `index_in(dictionary, ids)`, would hash the whole corpus.
    number = pc.index_in(ids.cast(pa.string()), value_set=coded.dictionary)
    found = pc.fill_null(number, -1).to_numpy()
    row = np.full(len(coded.dictionary) + 1, NO_DOC, np.int32)
    row[found] = np.arange(len(found), dtype=np.int32)
    row[-1] = NO_DOC
    rows: Int32 = row[coded.indices.to_numpy(zero_copy_only=False)]
    return rows
