"""Lines of ids (a query, a document, a number) and the texts that they stand for → groups.

Only the texts that corpus and queries hold are in memory; the lines pass some thousand at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError, UsageError
from hardneg.named_files import kind_of_path
from hardneg.read.bad_rows import MEND, BadRows, RowError
from hardneg.read.beir import find_file
from hardneg.read.documents import read_documents
from hardneg.read.parsed import Parsed
from hardneg.read.pools import pool_rows
from hardneg.read.qrels import judgments, qrels_file_rows
from hardneg.read.queries import read_queries
from hardneg.read.row_files import file_rows
from hardneg.read.tables import concatenated
from hardneg.read.training.groups import Group, Side
from hardneg.read.training.options import ReadOptions
from hardneg.texts import document_texts

_LINES_AT_ONCE = 1 << 16


class Judged(NamedTuple):
    """A line; `value` is its relevance or score."""

    line: int
    query_id: str
    doc_id: str
    value: float | None
    positive: bool


@dataclass(frozen=True)
class Texts:
    """Texts by id."""

    ids: pa.ChunkedArray
    texts: pa.ChunkedArray

    def of(self, ids: Sequence[str]) -> dict[str, str]:
        """Those that are known."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        rows = pc.index_in(wanted, value_set=self.ids)
        known = pc.is_valid(rows)
        found = self.texts.take(rows.filter(known))
        return dict(zip(wanted.filter(known).to_pylist(), found.to_pylist(), strict=True))


def id_groups(
    path: Path, lines: Iterable[Judged], options: ReadOptions, *, as_labels: bool
) -> Iterator[tuple[int, Group]]:
    """Lines of one query that stand one after another as a group, with the positives of `options.file.qrels`.

    as_labels  the values are labels, kept where they are not just 1 and 0; else they are scores

    Raises UsageError where corpus or queries are not named.
    """
    if options.file.corpus is None or options.file.queries is None:
        raise UsageError(f"{path}: holds ids alone; name the texts with --corpus and --queries")
    corpus, queries = _corpus(options.file.corpus), _queries(options.file.queries)
    positives = {} if options.file.qrels is None else _positives(options.file.qrels, options)
    known = _known(path, lines, corpus, queries, positives, options.bad)
    for query_id, run in groupby(known, key=lambda found: found[0].query_id):
        yield _group(list(run), positives.get(query_id, ()), as_labels)


Known = tuple[Judged, str, dict[str, str]]


def _known(
    path: Path,
    lines: Iterable[Judged],
    corpus: Texts,
    queries: Texts,
    positives: dict[str, list[str]],
    bad: BadRows,
) -> Iterator[Known]:
    """(line, text of its query, texts of documents by id); lines of unknown ids are refused."""
    lines = iter(lines)
    while some := list(islice(lines, _LINES_AT_ONCE)):
        of_query = queries.of([one.query_id for one in some])
        named = [doc for query in of_query for doc in positives.get(query, ())]
        of_doc = corpus.of([one.doc_id for one in some] + named)
        for one in some:
            for what, name, texts in (("query", one.query_id, of_query), ("document", one.doc_id, of_doc)):
                if name not in texts:
                    error = RowError(f"there is no {what} of this id among the texts", row_id=name)
                    bad.refuse(error, str(path), one.line)
                    break
            else:
                yield one, of_query[one.query_id], of_doc


def _group(run: Sequence[Known], beside: Sequence[str], as_labels: bool) -> tuple[int, Group]:
    """`beside`: positives that the lines may lack."""
    first, query, _ = run[0]
    positives = [(one.doc_id, texts[one.doc_id], one.value) for one, _, texts in run if one.positive]
    negatives = [(one.doc_id, texts[one.doc_id], one.value) for one, _, texts in run if not one.positive]
    named, texts = {doc for doc, _, _ in positives}, run[0][2]
    further = [(doc, texts[doc], None) for doc in beside if doc in texts and doc not in named]
    soft = as_labels and any(one.value != float(one.positive) for one, _, _ in run)

    def side(documents: Sequence[tuple[str, str, float | None]]) -> Side:
        values = [value for _, _, value in documents]
        known = any(value is not None for value in values)
        return Side(
            [text for _, text, _ in documents],
            doc_id=[doc for doc, _, _ in documents],
            score=values if known and not as_labels else None,
            label=values if known and soft else None,
        )

    return first.line, Group(query, side([*positives, *further]), side(negatives), query_id=first.query_id)


# -- the texts --------------------------------------------------------------------------------------------


def _corpus(named: str) -> Texts:
    """Joined with their titles. Raises InputError for rows that cannot be used."""
    parsed = Parsed()
    read_documents(pool_rows(named), parsed, BadRows(hint=MEND), need_ids=True)
    documents = _whole(parsed.named, named)
    return Texts(documents["doc_id"], document_texts(documents))


def _queries(named: str) -> Texts:
    """Raises InputError for rows that cannot be used."""
    path = Path(named).expanduser()
    inner = find_file(path, "queries") if kind_of_path(path) == "folder" else None
    parsed = Parsed()
    read_queries(file_rows(inner or path), None, parsed, BadRows(hint=MEND))
    queries = _whole(parsed.queries, named)
    return Texts(queries["query_id"], queries["text"])


def _whole(tables: Sequence[pa.Table], named: str) -> pa.Table:
    if not tables:
        raise InputError("holds no row", file=named)
    return concatenated(tables)


def _positives(named: str, options: ReadOptions) -> dict[str, list[str]]:
    """Documents by query, of the judgments that make them positives."""
    path = Path(named).expanduser()
    found: dict[str, list[str]] = {}
    for one in judged_lines(path, options):
        if one.positive:
            found.setdefault(one.query_id, []).append(one.doc_id)
    return found


def judged_lines(path: Path, options: ReadOptions) -> Iterator[Judged]:
    """The lines of a file of judgments."""
    least = options.file.min_relevance
    for line, query_id, doc_id, relevance in judgments(qrels_file_rows(path, []), options.bad):
        value = 1.0 if relevance is None else relevance
        yield Judged(line, query_id, doc_id, value, value > 0 if least is None else value >= least)
