"""Lines of ids (a query, a document, a number) and the texts that they stand for → groups.

Only the texts that corpus and queries hold are in memory; the lines pass one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.qrels import judgments, qrels_file_rows
from hardneg.read.training.groups import Group, Side
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.texts_by_id import TextsById, named_texts

OF_IDS = frozenset({"corpus", "queries", "qrels", "min_relevance"})
"""What such formats have a use for beside the file."""


class Judged(NamedTuple):
    """A line; `value` is its relevance or score."""

    line: int
    query_id: str
    doc_id: str
    value: float | None
    positive: bool


def id_groups(
    path: Path, lines: Iterable[Judged], options: ReadOptions, *, as_labels: bool
) -> Iterator[tuple[int, Group]]:
    """Lines of one query that stand one after another as a group, with the positives of `options.file.qrels`.

    as_labels  the values are labels, kept where they are not just 1 and 0; else they are scores

    Raises UsageError where corpus or queries are not named.
    """
    corpus, queries = named_texts(path, options.file)
    positives = {} if options.file.qrels is None else _positives(options.file.qrels, options)
    known = _known(path, lines, corpus, queries, options.bad)
    for query_id, run in groupby(known, key=lambda one: one.query_id):
        beside = [doc for doc in positives.get(query_id, ()) if doc in corpus.row]
        lacking = len(positives.get(query_id, ())) - len(beside)
        if lacking:
            options.noted["of the positives named beside the file have no text and are left out"] += lacking
        yield _group(list(run), beside, queries, corpus, as_labels)


def _known(
    path: Path, lines: Iterable[Judged], corpus: TextsById, queries: TextsById, bad: BadRows
) -> Iterator[Judged]:
    """The lines of ids that have texts; others are refused."""
    for one in lines:
        try:
            queries.row_of(one.query_id)
            corpus.row_of(one.doc_id)
        except RowError as error:
            bad.refuse(error, str(path), one.line)
            continue
        yield one


def _group(
    run: Sequence[Judged], beside: Sequence[str], queries: TextsById, corpus: TextsById, as_labels: bool
) -> tuple[int, Group]:
    """`beside`: positives that the lines may lack."""
    first = run[0]
    positives = [(one.doc_id, one.value) for one in run if one.positive]
    negatives = [(one.doc_id, one.value) for one in run if not one.positive]
    named = {doc for doc, _ in positives}
    further = [(doc, None) for doc in beside if doc not in named]
    soft = as_labels and any(one.value != float(one.positive) for one in run)

    def side(documents: Sequence[tuple[str, float | None]]) -> Side:
        values = [value for _, value in documents]
        known = any(value is not None for value in values)
        return replace(
            corpus.side(doc for doc, _ in documents),
            score=values if known and not as_labels else None,
            label=values if known and soft else None,
        )

    query = queries.text_of(first.query_id)
    return first.line, Group(query, side([*positives, *further]), side(negatives), query_id=first.query_id)


def _positives(named: str, options: ReadOptions) -> dict[str, list[str]]:
    """Documents by query, of the judgments that make them positives."""
    path = Path(named).expanduser()
    options.beside.add(str(path))
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
