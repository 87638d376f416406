"""What the trainers of sentence-transformers take: texts by the order of columns, the label by its name.

The first column is the query, the second the positive (or the document), and so on, whatever they are
called; the label is the first of `label`, `labels`, `score`, `scores` that is there. Rows that stand one
after another are put together only where writing them apart gives the same rows again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.columns import PAIR_NEGATIVE, PAIR_POSITIVE, PAIR_QUERY, listed
from hardneg.read.row_files import file_rows, kind_of
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, Side, group_tables, parsed_rows
from hardneg.read.training.labels import labelled_sides
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.runs import Pair, pairs_joined, positives_joined, triplets_joined
from hardneg.read.training.sample import Sample
from hardneg.read.training.values import number, optional_numbers, text, texts
from hardneg.spreadsheet import unmarked_cell

_LABELS = ("label", "labels", "score", "scores")
_SCORES = ("score", "scores")

# -- triplets and n-tuples --------------------------------------------------------------------------------


def _triplets(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    rows = parsed_rows(file_rows(path), options, partial(_tuple, options=options, path=path, width=3))
    return group_tables(positives_joined(triplets_joined(rows)))


def _n_tuples(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    rows = parsed_rows(file_rows(path), options, partial(_tuple, options=options, path=path))
    return group_tables(positives_joined(rows))


def _tuple(row: Row, options: ReadOptions, path: Path, width: int | None = None) -> Group:
    """One positive, its negatives; the positive's score stands before theirs."""
    row = _cells(row, path, options)
    names, label = _columns(row)
    if len(names) < 3 or len(names) != (width or len(names)):
        wanted = "three columns of text" if width else "three columns of text or more"
        raise RowError(f"{wanted} are expected: a query, a positive, negatives; there: {listed(names)}")
    if label is not None and not isinstance(row[label], list | tuple | None):
        raise RowError("must be a list: the score of the positive, then of the negatives", label)
    found = None if label is None else optional_numbers(row, label)
    query, positive, *negatives = (text(row[name], name) for name in names)
    return Group(
        query=query,
        positives=Side([positive], score=None if found is None else found[:1]),
        negatives=Side(negatives, score=None if found is None else found[1:]),
    )


# -- labelled pairs and lists -----------------------------------------------------------------------------


def _labeled_pairs(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    pairs = parsed_rows(file_rows(path), options, partial(_pair, options=options, path=path))
    return group_tables(pairs_joined(pairs))


def _pair(row: Row, options: ReadOptions, path: Path) -> Pair:
    row = _cells(row, path, options)
    names, label = _two_and_label(row)
    documents, values = [text(row[names[1]], names[1])], [number(row[label], label)]
    positives, negatives = labelled_sides(documents, values, label, label in _SCORES, options)
    return Pair(text(row[names[0]], names[0]), positives, negatives)


def _labeled_lists(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    return group_tables(parsed_rows(file_rows(path), options, partial(_list, options=options)))


def _list(row: Row, options: ReadOptions) -> Group:
    names, label = _two_and_label(row)
    documents, values = texts(row[names[1]], names[1]), optional_numbers(row, label) or []
    if len(values) != len(documents):
        raise RowError(f"holds {len(values)} values for {len(documents)} texts", label)
    positives, negatives = labelled_sides(documents, values, label, label in _SCORES, options)
    return Group(text(row[names[0]], names[0]), positives, negatives)


def _two_and_label(row: Row) -> tuple[Sequence[str], str]:
    names, label = _columns(row)
    if len(names) != 2 or label is None:
        there = listed(list(row))
        raise RowError(f"a query, a document and a label or score are expected; there: {there}")
    return names, label


# -- columns ----------------------------------------------------------------------------------------------


def _columns(row: Row) -> tuple[Sequence[str], str | None]:
    """Names of the columns of text, in order, and of the label's."""
    label = next((name for name in _LABELS if name in row), None)
    return [name for name in row if name != label], label


def _cells(row: Row, path: Path, options: ReadOptions) -> Row:
    """In CSV, without the marks that keep spreadsheets from taking texts for formulas."""
    if kind_of(path) != ".csv":
        return row
    cells = {name: unmarked_cell(cell) for name, cell in row.items()}
    changed = sum(len(cells[name]) < len(cell) for name, cell in row.items())
    options.noted["cells began with a ' that marks a formula; it was taken off"] += changed
    return cells


# -- recognition ------------------------------------------------------------------------------------------


def _is_tuple(sample: Sample) -> tuple[str, ...]:
    """The names of the columns of negatives; none where it is no row of texts."""
    names, _ = _columns(sample.row)
    known = len(names) > 2 and _are(names[:2], PAIR_QUERY, PAIR_POSITIVE) and names[1].lower() != "pos"
    negatives = names[2:]
    if not known or not all(type(sample.row[name]) is str for name in names):
        return ()
    return tuple(negatives) if all(PAIR_NEGATIVE.fullmatch(name.lower()) for name in negatives) else ()


def _are(names: Sequence[str], *known: Sequence[str]) -> bool:
    return all(name.lower() in some for name, some in zip(names, known, strict=True))


def _is_triplet(sample: Sample) -> bool:
    return [name[-1:].isdigit() for name in _is_tuple(sample)] == [False]


def _is_n_tuple(sample: Sample) -> bool:
    negatives = _is_tuple(sample)
    return bool(negatives) and not _is_triplet(sample)


def _is_labelled(sample: Sample, kind: type | tuple[type, ...]) -> bool:
    names, label = _columns(sample.row)
    fits = len(names) == 2 and label is not None and _are(names, PAIR_QUERY, PAIR_POSITIVE)
    return fits and isinstance(sample.row[names[1]], kind)


_KINDS = (".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv")
_LEAST = frozenset({"min_relevance"})
READERS = {
    "st-triplet": TrainingReader(_triplets, _KINDS, _is_triplet),
    "st-n-tuple": TrainingReader(_n_tuples, _KINDS, _is_n_tuple),
    "st-labeled-pair": TrainingReader(
        _labeled_pairs, _KINDS, partial(_is_labelled, kind=str), options=_LEAST
    ),
    "st-labeled-list": TrainingReader(
        _labeled_lists, _KINDS[:4], partial(_is_labelled, kind=(list, tuple)), options=_LEAST
    ),
}
