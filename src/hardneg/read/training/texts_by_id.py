"""Texts by their ids, for folders whose examples hold ids alone. They are held in memory, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Row
from hardneg.read.training.groups import Side
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.passages import joined
from hardneg.read.training.values import text
from hardneg.read.values import as_id

_AT_ONCE = 8192


@dataclass(frozen=True)
class TextsById:
    """file   where they are from, for messages
    row    id → its row
    text   large_string, a row an id
    title  large_string, likewise; null where there is none
    named  id → the one that it was written for, where these differ
    """

    file: str
    row: dict[str, int]
    text: pa.ChunkedArray
    title: pa.ChunkedArray
    named: dict[str, str]

    def text_of(self, identifier: str, column: str) -> str:
        """Raises RowError for an id without a text, which some trainers take for an empty one."""
        found: str = self.text[self._row(identifier, column)].as_py()
        return found

    def side(self, ids: Iterable[str], column: str, score: list[float | None] | None = None) -> Side:
        """The documents of these ids, with the ids that they were written under."""
        given = list(ids)
        rows = [self._row(one, column) for one in given]
        titles = [self.title[row].as_py() or "" for row in rows]
        bodies = [self.text[row].as_py() for row in rows]
        return Side(
            text=[joined(title, body) for title, body in zip(titles, bodies, strict=True)],
            doc_id=[self.name(one) for one in given],
            score=score,
            title=titles if any(titles) else None,
        )

    def name(self, identifier: str) -> str:
        return self.named.get(identifier, identifier)

    def _row(self, identifier: str, column: str) -> int:
        if identifier not in self.row:
            raise RowError(f"{identifier!r} is not in {self.file}", column)
        return self.row[identifier]


def texts_by_id(
    paths: Path | Sequence[Path],
    options: ReadOptions,
    *,
    ids: str,
    texts: str = "text",
    titles: str | None = None,
    names: str | None = None,
) -> TextsById:
    """Read files of texts; these are their columns.

    names  of ids that were written for others, where there is such a column

    Raises InputError where there is no such file; rows that cannot be read are refused.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    found: dict[str, int] = {}
    named: dict[str, str] = {}
    held: tuple[_Column, _Column] = (_Column(), _Column())
    for rows in map(file_rows, files):
        for line, row in rows.read(options.bad):
            try:
                identifier, body, title = _parsed(row, ids, texts, titles)
                if identifier in found:
                    raise RowError(f"the id {identifier!r} stands there twice", ids)
            except RowError as error:
                options.bad.refuse(error, rows.name, line)
                continue
            if names is not None and row.get(names) is not None:
                named[identifier] = as_id(row[names], names)
            found[identifier] = len(found)
            held[0].add(body)
            held[1].add(title)
    return TextsById(files[0].name, found, held[0].whole(), held[1].whole(), named)


class _Column:
    """Texts, packed as they come."""

    def __init__(self) -> None:
        self._waiting: list[str | None] = []
        self._packed: list[pa.Array] = []

    def add(self, value: str | None) -> None:
        self._waiting.append(value)
        if len(self._waiting) == _AT_ONCE:
            self._pack()

    def whole(self) -> pa.ChunkedArray:
        self._pack()
        return pa.chunked_array(self._packed, pa.large_string())

    def _pack(self) -> None:
        self._packed.append(pa.array(self._waiting, pa.large_string()))
        self._waiting.clear()


def _parsed(row: Row, ids: str, texts: str, titles: str | None) -> tuple[str, str, str | None]:
    for name in (ids, texts):
        if name not in row:
            raise RowError("is not there", name)
    title = row.get(titles) if titles is not None else None
    return as_id(row[ids], ids), text(row[texts], texts), None if title is None else text(title, str(titles))
