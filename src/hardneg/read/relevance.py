"""Files of judged pairs: is this document relevant to this query, yes or no?

The files of `hardneg suspects`, filled in, or any other with `query_id`, `doc_id` and `relevant`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.errors import InputError
from hardneg.named_files import refuse_no_file
from hardneg.quantities import counted
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.columns import QREL_DOCUMENT, QREL_QUERY, ColumnFinder, find, required
from hardneg.read.labels import rows_of
from hardneg.read.row_files import file_rows, kind_of
from hardneg.read.rows import Row
from hardneg.read.values import as_id, as_number, describe
from hardneg.records import RELEVANCE_LABELS, Int32
from hardneg.spreadsheet import unmarked_cell

DRAWING = RELEVANCE_LABELS.names[3:]
"""Columns that tell how a pair came to be judged: selection, its size, stratum, its size, probability."""
YES, NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")
_RENAME = "rename it"
_SHOWN_LINES = 5
_MOST = 2**53
"""Negatives of a drawing: whole numbers up to it are floats, and nobody draws from more."""


@dataclass(frozen=True)
class RelevanceLabels:
    """Judged pairs of a run.

    table    RELEVANCE_LABELS, sorted by query, document and selection, each such triple once
    query    int32 (rows,), doc int32 (rows,): rows of the queries and the corpus
    counts   `rows` read, of those `not_judged`, `unknown` (an id that the run does not hold), `repeated`
    notes    what to tell people of rows that were not used
    """

    table: pa.Table
    query: Int32
    doc: Int32
    counts: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Columns:
    query_id: str
    doc_id: str
    relevant: str
    drawing: tuple[str, ...] | None


@dataclass(frozen=True)
class _Line:
    """A judged row and where it stood."""

    file: str
    line: int
    raw: tuple[str, str]
    own: tuple[str, str]
    relevant: bool
    drawing: tuple[Any, ...]


def read_relevance(
    paths: Sequence[Path], query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray
) -> RelevanceLabels:
    """The judged pairs of all files; the order of files and of rows changes nothing.

    `query_ids` and `doc_ids` are all ids of the run. Rows without an answer, rows of unknown ids and
    repeated ones are counted. Raises InputError, with file, line and column, for an answer that is none, for
    a row that cannot be read, for two answers to one pair, and where nothing is judged.
    """
    counts = {"rows": 0, "not_judged": 0, "unknown": 0, "repeated": 0}
    lines = [line for path in paths for line in _judged_lines(path, counts)]
    query = _rows([(line.own[0], line.raw[0]) for line in lines], query_ids)
    doc = _rows([(line.own[1], line.raw[1]) for line in lines], doc_ids)
    known = (query >= 0) & (doc >= 0)
    unknown = [line for line, there in zip(lines, known.tolist(), strict=True) if not there]
    counts["unknown"] = len(unknown)
    if not known.any():
        if unknown:
            raise InputError(
                f"none of its pairs is in the run ({_example(unknown[0])}); give the run that it was "
                "written for",
                file=unknown[0].file,
                line=unknown[0].line,
            )
        raise InputError("judges nothing yet; fill in its column `relevant`", file=paths[0])
    first: dict[tuple[int, int], _Line] = {}
    kept: dict[tuple[int, int, str], tuple[Any, ...]] = {}
    for line, there, q, d in zip(lines, known.tolist(), query.tolist(), doc.tolist(), strict=True):
        if not there:
            continue
        _same_answer(first.setdefault((q, d), line), line)
        key = (q, d, line.drawing[0] or "")
        counts["repeated"] += key in kept
        row = (line.relevant, *line.drawing)
        if kept.setdefault(key, row) != row:
            raise InputError(
                "the same pair stands in the file from another drawing of the same selection; give the "
                "files of one drawing",
                file=line.file,
                line=line.line,
                row_id=line.own[0],
            )
    return _canonical(kept, query_ids, doc_ids, counts, unknown)


def _canonical(
    kept: dict[tuple[int, int, str], tuple[Any, ...]],
    query_ids: pa.ChunkedArray,
    doc_ids: pa.ChunkedArray,
    counts: dict[str, int],
    unknown: Sequence[_Line],
) -> RelevanceLabels:
    order = sorted(kept)
    query = np.array([key[0] for key in order], np.int32)
    doc = np.array([key[1] for key in order], np.int32)
    ids = [query_ids.take(pa.array(query)), doc_ids.take(pa.array(doc))]
    types = [field.type for field in RELEVANCE_LABELS][len(ids) :]
    values = zip(*(kept[key] for key in order), strict=True)
    columns = [pa.array(column, type_) for column, type_ in zip(values, types, strict=True)]
    table = pa.table([*ids, *columns], schema=RELEVANCE_LABELS)
    notes = []
    if unknown:
        places = ", ".join(f"{line.line}" for line in unknown[:_SHOWN_LINES])
        more = ", ..." if len(unknown) > _SHOWN_LINES else ""
        rows = counted(len(unknown), "judged row is", "judged rows are")
        notes.append(
            f"{unknown[0].file}: {rows} not used, for the run does not hold the query or document "
            f"(lines {places}{more}; {_example(unknown[0])})"
        )
    return RelevanceLabels(table, query, doc, counts, tuple(notes))


def _example(line: _Line) -> str:
    return f"e.g. query {line.raw[0]!r}, document {line.raw[1]!r}"


def _same_answer(first: _Line, line: _Line) -> None:
    if first.relevant != line.relevant:
        raise InputError(
            f"judges document {line.own[1]!r} {'relevant' if line.relevant else 'not relevant'}, and line "
            f"{first.line} of {first.file} says the opposite; keep one",
            file=line.file,
            line=line.line,
            column="relevant",
            row_id=line.own[0],
        )


def _rows(names: Sequence[tuple[str, str]], ids: pa.ChunkedArray) -> Int32:
    """The row of each id: of the first name that is known, -1 where neither is."""
    own, raw = (rows_of(pa.array([pair[n] for pair in names], pa.string()), ids) for n in (0, 1))
    return np.where(own >= 0, own, raw).astype(np.int32)


# -- one file -----------------------------------------------------------------------------------------------


def _judged_lines(path: Path, counts: dict[str, int]) -> Iterator[_Line]:
    refuse_no_file(path, "give --labels an existing one")
    rows, bad = file_rows(path), BadRows("skip")
    finder = ColumnFinder(rows, _columns, bad)
    unmarked = kind_of(path) in (".csv", ".tsv")
    for number, row in rows.read(bad):
        columns = finder(row, number)
        if columns is None:
            continue
        counts["rows"] += 1
        try:
            line = _line(row, columns, rows.name, number, unmarked)
        except RowError as error:
            raise InputError(
                f"{error.reason}; mend it", file=path, line=number, column=error.column
            ) from error
        if line is None:
            counts["not_judged"] += 1
        else:
            yield line
    if bad.refused:
        first, others = bad.refused[0], len(bad.refused) - 1
        also = f" (and {others:,} other rows)" if others else ""
        raise InputError(f"{first['reason']}{also}; mend it", file=first["file"], line=first["line"])


def _columns(columns: Sequence[str]) -> _Columns:
    drawing = [find(columns, (name,)) for name in DRAWING]
    return _Columns(
        required(columns, QREL_QUERY, "query id of a judged pair", _RENAME),
        required(columns, QREL_DOCUMENT, "document id of a judged pair", _RENAME),
        required(columns, ("relevant",), "answer (true or false)", _RENAME),
        None if None in drawing else tuple(filter(None, drawing)),
    )


def _line(row: Row, columns: _Columns, file: str, number: int, unmarked: bool) -> _Line | None:
    """None where nobody has judged the row yet."""
    relevant = as_answer(row[columns.relevant], columns.relevant)
    if relevant is None:
        return None
    raw = (as_id(row[columns.query_id], columns.query_id), as_id(row[columns.doc_id], columns.doc_id))
    own = (unmarked_cell(raw[0]), unmarked_cell(raw[1])) if unmarked else raw
    return _Line(file, number, raw, own, relevant, _drawing(row, columns))


def as_answer(value: Any, column: str) -> bool | None:
    """true, false, yes, no, 1 or 0 in any case; None where there is no answer. Raises RowError."""
    if value is None or value != value:  # NaN: an empty cell in a column of numbers
        return None
    word = str(value).strip().lower()
    if word in YES or word in NO:
        return word in YES
    if not word:
        return None
    raise RowError(f"must be true or false (or yes, no, 1, 0, or empty), not {describe(value)}", column)


def _drawing(row: Row, columns: _Columns) -> tuple[Any, ...]:
    """The values of DRAWING; nothing where one of them is missing."""
    names = columns.drawing
    values = [] if names is None else [row[name] for name in names]
    if names is None or any(value is None or value == "" for value in values):
        return (None,) * len(DRAWING)
    selection, of, stratum, size, chance = values
    probability = as_number(chance, names[4], "inclusion probability")
    if not 1 / _MOST <= probability <= 1:
        raise RowError(f"an inclusion probability is above 0 and at most 1, not {probability:g}", names[4])
    return (str(selection), _size(of, names[1]), str(stratum), _size(size, names[3]), probability)


def _size(value: Any, column: str) -> int:
    number = as_number(value, column, "size")
    if not 1 <= number <= _MOST or not number.is_integer():
        raise RowError(f"the size must be a whole number from 1 on, not {number:g}", column)
    return int(number)
