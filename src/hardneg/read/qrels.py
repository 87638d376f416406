"""Judgments: BEIR's qrels with a header, TREC's with four columns, or a table with named columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hardneg.quantities import counted
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.columns import (
    QREL_DOCUMENT,
    QREL_QUERY,
    QREL_RELEVANCE,
    ColumnFinder,
    find,
    required,
)
from hardneg.read.parsed import JUDGMENTS, Parsed
from hardneg.read.row_files import byte_lines, decode, file_rows, kind_of
from hardneg.read.rows import Row, Rows
from hardneg.read.tables import TableBuilder
from hardneg.read.values import as_id, as_number

_TABLES = (".jsonl", ".json", ".ndjson", ".csv", ".parquet")
_NAMES = ("query-id", "corpus-id", "score")
_RENAME = "rename it"


@dataclass(frozen=True)
class QrelColumns:
    """Which column of a row is what; without `relevance` every row is a positive."""

    query_id: str
    doc_id: str
    relevance: str | None


def qrel_columns(columns: Sequence[str]) -> QrelColumns:
    """Raises RowError where the query or the document is missing, or the relevance is misspelt."""
    query_id = required(columns, QREL_QUERY, "query id of a judgment", _RENAME)
    doc_id = required(columns, QREL_DOCUMENT, "document id of a judgment", _RENAME)
    relevance = find(columns, QREL_RELEVANCE)
    if relevance is None and len(columns) > 2:
        relevance = required(columns, QREL_RELEVANCE, "relevance of a judgment", _RENAME)
    return QrelColumns(query_id, doc_id, relevance)


def qrels_file_rows(path: Path, notes: list[str]) -> Rows:
    """The rows of a judgments file, by its suffix; what is no table is tab- or space-separated text."""
    return file_rows(path) if kind_of(path) in _TABLES else _text_rows(path, notes)


class Judgment(NamedTuple):
    """A row; `relevance` is None where there is no such column."""

    line: int
    query_id: str
    doc_id: str
    relevance: float | None


def judgments(rows: Rows, bad: BadRows) -> Iterator[Judgment]:
    """The rows that can be read; the others are refused."""
    finder = ColumnFinder(rows, qrel_columns, bad)
    for line, row in rows.read(bad):
        columns = finder(row, line)
        if columns is None:
            continue
        try:
            query_id = as_id(row[columns.query_id], columns.query_id)
            doc_id = as_id(row[columns.doc_id], columns.doc_id)
            relevance = None
            if columns.relevance is not None:
                relevance = as_number(row[columns.relevance], columns.relevance, "relevance")
        except RowError as error:
            bad.refuse(error, rows.name, line)
            continue
        yield Judgment(line, query_id, doc_id, relevance)


def read_judgments(rows: Rows, parsed: Parsed, bad: BadRows) -> None:
    """Add the judgments to `parsed`."""
    builder = TableBuilder(JUDGMENTS)
    file, unscored = bad.number_of(rows.name), 0
    for line, query_id, doc_id, relevance in judgments(rows, bad):
        unscored += relevance is None
        builder.add((query_id, doc_id, 1.0 if relevance is None else relevance, None, file, line))
    if builder.rows:
        parsed.judgments.append(builder.finish())
    if unscored:
        those = counted(unscored, "judgment without a relevance was", "judgments without a relevance were")
        parsed.notes.append(f"{rows.name}: {those} taken as 1")


# -- text -------------------------------------------------------------------------------------------


def _text_rows(path: Path, notes: list[str]) -> Rows:
    """With a header, columns by name; without one, BEIR's three or TREC's four, and a note says so."""
    name = str(path)

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        names: list[str] | None = None
        for number, line in byte_lines(path):
            try:
                fields = _fields(decode(line, number))
                if not fields:
                    continue
                if names is None:
                    names, is_header = _layout(fields, name, notes)
                    if is_header:
                        continue
                if len(fields) != len(names):
                    raise RowError(f"has {len(fields)} fields where {len(names)} are expected")
            except RowError as error:
                bad.refuse(error, name, number)
                continue
            yield number, dict(zip(names, fields, strict=True))

    return Rows(name, read, header=1)


def _fields(line: str) -> list[str]:
    """Split at tabs, or at white space where there is no tab."""
    line = line.rstrip("\r\n")
    if "\t" not in line:
        return line.split()
    return [field.strip() for field in line.split("\t")] if line.strip() else []


def _layout(fields: list[str], name: str, notes: list[str]) -> tuple[list[str], bool]:
    """(names of the columns, whether the line is a header); raises RowError for neither."""
    if not _is_number(fields[-1]):
        if len(fields) < 2:
            raise RowError("is no judgment; write `query-id TAB corpus-id TAB score` lines")
        return fields, True
    if len(fields) == 4:
        notes.append(f"{name}: no header; read as TREC qrels (query, iteration, document, relevance)")
        return [_NAMES[0], "iteration", _NAMES[1], _NAMES[2]], False
    if len(fields) == 3:
        notes.append(f"{name}: no header; read in BEIR's order (query, document, relevance)")
        return list(_NAMES), False
    raise RowError("is no judgment; write `query-id TAB corpus-id TAB score` lines")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
