"""Columns are found by name: by the one given, or by names that are well known; never by position."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from hardneg.config import nearest
from hardneg.errors import InputError
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.rows import Row, Rows

DOCUMENT_ID = (
    "_id", "id", "doc_id", "doc-id", "docid", "document_id", "corpus-id", "corpus_id", "passage_id", "pid",
)  # fmt: skip
DOCUMENT_TEXT = ("text", "contents", "content", "passage", "document", "body")
QUERY_ID = ("_id", "id", "query_id", "query-id", "qid")
QUERY_TEXT = ("text", "query", "question")

QREL_QUERY = ("query-id", "query_id", "qid")
QREL_DOCUMENT = DOCUMENT_ID[2:]
QREL_RELEVANCE = ("score", "relevance", "rel", "label")

PAIR_QUERY = ("query", "anchor", "question", "sentence1", "query_text")
PAIR_POSITIVE = (
    "positive", "pos", "answer", "passage", "document", "sentence2", "response", "positive_passage",
    "positives", "answers", "passages", "documents",
)  # fmt: skip
PAIR_NEGATIVE = re.compile(r"(?:hard_)?neg(?:ative)?s?(?:_passages?)?(?:_?(\d+))?")
"""negative, neg, negatives, hard_negative, negative_passage; also numbered: negative_1, negative_2, ..."""
PAIR_QUERY_ID = ("query_id", "query-id", "qid")
PAIR_POSITIVE_ID = ("positive_id", "pos_id", "pos_ids", "positive_ids", *QREL_DOCUMENT)
PAIR_NEGATIVE_ID = ("negative_id", "neg_id", "neg_ids", "negative_ids")
PAIR_RELEVANCE = ("relevance", "label", "labels")
POSITIVE_SCORES, NEGATIVE_SCORES = ("pos_scores",), ("neg_scores",)

Found = TypeVar("Found")

MOST_COLUMNS = 1_000
"""Of rows that each name their own: more are data in the place of names, and each would be a column."""


def find(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of the names that is a column, whatever its case."""
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def given(columns: Sequence[str], name: str) -> str:
    """The column of this name. Raises RowError naming the nearest."""
    if name not in columns:
        raise RowError(f"there is no column {name!r}{nearest(name, columns)} (there: {listed(columns)})")
    return name


def required(columns: Sequence[str], names: Sequence[str], what: str, remedy: str) -> str:
    """The column of these names: the first one where it is there, else the only one that is.

    Raises RowError where none is there, naming the nearest, or where several could be meant.
    """
    there = [column for column in columns if column.lower() in names]
    first = find(columns, names[:1])
    if first is not None or len(there) == 1:
        return first or there[0]
    if there:
        raise RowError(f"{listed(there)} could each be the {what}; {remedy}")
    raise RowError(
        f"no column holds the {what} (known names: {', '.join(names)}; there: {listed(columns)})"
        f"{_near_any(columns, names)}; {remedy}"
    )


def _near_any(columns: Sequence[str], names: Sequence[str]) -> str:
    """The column that is most like one of the names, where one is."""
    scored = [
        (difflib.SequenceMatcher(None, column.lower(), name).ratio(), column)
        for column in columns
        for name in names
    ]
    best = max(scored, default=(0.0, ""))
    return f"; did you mean {best[1]!r}?" if best[0] >= 0.75 else ""


def listed(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(column) for column in columns[:12])
    return f"{shown}, ..." if len(columns) > 12 else shown or "none"


class ColumnFinder(Generic[Found]):
    """Finds each row's columns, once for each set of columns met.

    A table that lacks a column lacks it in every row: that is an error of the table, not a bad row.
    """

    def __init__(self, rows: Rows, find: Callable[[Sequence[str]], Found], bad: BadRows) -> None:
        self._rows, self._find, self._bad = rows, find, bad
        self._found: dict[tuple[str, ...], Found | RowError] = {}
        self._names: set[str] = set()

    def __call__(self, row: Row, line: int) -> Found | None:
        """What `find` gave for the row's columns; None where the row was refused."""
        key = tuple(row)
        found = self._found.get(key)
        if found is None:
            self._refuse_many(key, line)
            try:
                _refuse_half_pairs(key)
                found = self._find(key)
            except RowError as error:
                found = error
            self._found[key] = found
        if isinstance(found, RowError):
            if self._rows.uniform:
                raise InputError(found.reason, file=self._rows.name, line=self._rows.header)
            self._bad.refuse(found, self._rows.name, line)
            return None
        return found

    def _refuse_many(self, names: Sequence[str], line: int) -> None:
        self._names.update(names)
        if len(self._names) > MOST_COLUMNS and not self._rows.uniform:
            raise InputError(
                f"up to here the rows have over {MOST_COLUMNS:,} different columns; are there values in the "
                "place of names?",
                file=self._rows.name,
                line=line,
            )


def _refuse_half_pairs(names: Sequence[str]) -> None:
    for name in names:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise RowError(
                "the name of a column holds half a surrogate pair, which no UTF-8 file can; rename it", name
            ) from None
