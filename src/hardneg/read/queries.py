"""Queries with ids from rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.columns import QUERY_ID, QUERY_TEXT, ColumnFinder, find, required
from hardneg.read.documents import further_columns, further_values
from hardneg.read.parsed import QUERIES, Parsed
from hardneg.read.rows import Row, Rows
from hardneg.read.tables import TableBuilder
from hardneg.read.values import as_id, as_text, describe


@dataclass(frozen=True)
class QueryColumns:
    """Which column of a row is what."""

    query_id: str
    text: str
    prompt: str | None
    lang: str | None
    further: tuple[tuple[str, str], ...]


def query_columns(columns: Sequence[str]) -> QueryColumns:
    """Raises RowError where there is no text or no id."""
    text = required(columns, QUERY_TEXT, "text of a query", "rename it to 'text'")
    rest = [column for column in columns if column != text]
    query_id = find(rest, QUERY_ID)
    if query_id is None:
        required(rest, QUERY_ID, "id of a query", "rename it to '_id'")
        raise AssertionError("`required` finds what `find` finds")
    prompt, lang = find(rest, ("prompt",)), find(rest, ("lang",))
    further = further_columns(rest, (query_id, prompt, lang), QUERIES.names)
    return QueryColumns(query_id, text, prompt, lang, further)


def read_queries(rows: Rows, wanted: Collection[str] | None, parsed: Parsed, bad: BadRows) -> int:
    """Add the queries of these ids (None: all) to `parsed`; return how many others there are."""
    finder = ColumnFinder(rows, query_columns, bad)
    builder = TableBuilder(QUERIES)
    file, numeric, others = bad.number_of(rows.name), 0, 0
    for line, row in rows.read(bad):
        columns = finder(row, line)
        if columns is None:
            continue
        try:
            query_id = as_id(row[columns.query_id], columns.query_id)
            if wanted is not None and query_id not in wanted:
                others += 1
                continue
            text = as_text(row[columns.text], columns.text, "query")
            prompt, lang = optional_text(row, columns.prompt), optional_text(row, columns.lang)
        except RowError as error:
            bad.refuse(error, rows.name, line)
            continue
        numeric += type(row[columns.query_id]) is not str
        builder.add((query_id, text, prompt, lang, file, line), further_values(row, columns.further))
    if builder.rows:
        parsed.queries.append(builder.finish())
    parsed.note_numeric_ids(numeric, rows.name)
    parsed.note_mended(builder.mended, rows.name)
    return others


def optional_text(row: Row, column: str | None) -> str | None:
    """A text that may be missing. Raises RowError for anything else."""
    value = None if column is None else row[column]
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise RowError(f"must be text, not {describe(value)}", column)
    return value
