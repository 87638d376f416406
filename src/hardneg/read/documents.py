"""Documents from rows: of a BEIR corpus, a Hub corpus, a table or a further pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.columns import DOCUMENT_ID, DOCUMENT_TEXT, ColumnFinder, find, required
from hardneg.read.parsed import DOCUMENTS, Parsed
from hardneg.read.rows import Row, Rows
from hardneg.read.tables import TableBuilder
from hardneg.read.values import as_id, describe
from hardneg.texts import is_blank, text_id

_RENAME = "rename it to 'text'"


@dataclass(frozen=True)
class DocumentColumns:
    """Which column of a row is what; `further` are kept under their own names (second: the kept name)."""

    text: str
    doc_id: str | None
    title: str | None
    group: str | None
    lang: str | None
    further: tuple[tuple[str, str], ...]


def document_columns(columns: Sequence[str]) -> DocumentColumns:
    """Raises RowError where there is no text."""
    text = required(columns, DOCUMENT_TEXT, "text of a document", _RENAME)
    rest = [column for column in columns if column != text]
    own = {
        "doc_id": find(rest, DOCUMENT_ID),
        "title": find(rest, ("title",)),
        "group": find(rest, ("group",)),
        "lang": find(rest, ("lang",)),
    }
    return DocumentColumns(text=text, further=further_columns(rest, own.values(), DOCUMENTS.names), **own)


def further_columns(
    columns: Sequence[str], taken: Any, reserved: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """The columns that have no meaning here, and the names they are kept under."""
    taken = set(taken)
    return tuple(
        (column, f"source_{column}" if column in reserved else column)
        for column in columns
        if column not in taken
    )


def read_documents(rows: Rows, parsed: Parsed, bad: BadRows, *, need_ids: bool) -> None:
    """Add the documents to `parsed`. Empty texts are kept: judgments may name them.

    need_ids  a row without an id is refused; else its text names it
    """
    finder = ColumnFinder(rows, document_columns, bad)
    named, loose = TableBuilder(DOCUMENTS), TableBuilder(DOCUMENTS)
    file, numeric = bad.number_of(rows.name), 0
    for line, row in rows.read(bad):
        columns = finder(row, line)
        if columns is None:
            continue
        try:
            doc_id, title, text = _document(row, columns, need_ids)
            group, lang = _label(row, columns.group), _label(row, columns.lang)
        except RowError as error:
            bad.refuse(error, rows.name, line)
            continue
        builder = named
        if doc_id is None:
            builder, doc_id = loose, text_id(f"{title} {text}" if title else text, "d-")
        elif columns.doc_id is not None and type(row[columns.doc_id]) is not str:
            numeric += 1
        builder.add((doc_id, title, text, group, lang, file, line), further_values(row, columns.further))
    for builder, tables in ((named, parsed.named), (loose, parsed.loose)):
        if builder.rows:
            tables.append(builder.finish())
    parsed.note_numeric_ids(numeric, rows.name)
    parsed.note_mended(named.mended + loose.mended, rows.name)


def _document(row: Row, columns: DocumentColumns, need_ids: bool) -> tuple[str | None, str | None, str]:
    """(id or None, title or None, text). Raises RowError."""
    text = row[columns.text]
    if type(text) is not str:
        if text is not None:
            raise RowError(f"the text must be text, not {describe(text)}", columns.text)
        text = ""
    title = None if columns.title is None else row[columns.title]
    if title is not None and type(title) is not str:
        raise RowError(f"the title must be text, not {describe(title)}", columns.title)
    value = None if columns.doc_id is None else row[columns.doc_id]
    if value is None and not need_ids:
        if is_blank(text) and not title:
            raise RowError("the text is empty, and there is no id", columns.text)
        return None, title or None, text
    return as_id(value, columns.doc_id or DOCUMENT_ID[0]), title or None, text


def _label(row: Row, column: str | None) -> str | None:
    """A group or a language, as text."""
    value = None if column is None else row[column]
    if value is None or value == "":
        return None
    return as_id(value, column or "")


def further_values(row: Row, columns: tuple[tuple[str, str], ...]) -> Mapping[str, Any] | None:
    return {kept: row[name] for name, kept in columns} if columns else None
