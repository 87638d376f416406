"""Texts by their ids, for files whose examples hold ids alone. They are held in memory, as columns.

They stand beside a trainer's examples, in its columns, or in a corpus and in queries as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import TrainingFileOptions
from hardneg.errors import InputError, UsageError
from hardneg.named_files import kind_of_path
from hardneg.read.bad_rows import MEND, BadRows, RowError
from hardneg.read.beir import find_file
from hardneg.read.columns import ColumnFinder, given
from hardneg.read.documents import read_documents
from hardneg.read.merge import merge_same_id
from hardneg.read.parsed import DOCUMENTS, FILE, LINE, Parsed
from hardneg.read.pools import near_file, pool_rows
from hardneg.read.queries import read_queries
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Row
from hardneg.read.tables import TableBuilder, concatenated
from hardneg.read.training.groups import Side
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.values import text
from hardneg.read.values import as_id
from hardneg.texts import document_texts

_TEXTS = pa.schema(
    [pa.field("doc_id", pa.string()), pa.field("name", pa.string())]
    + [DOCUMENTS.field(name) for name in ("title", "text", FILE, LINE)]
)


@dataclass(frozen=True)
class TextsById:
    """file   where they are from, for messages
    row    id → its row
    text   (ids,), behind its title
    title  (ids,), null or "" where there is none
    name   (ids,), the id that this one was written for; null where it is no other
    """

    file: str
    row: dict[str, int]
    text: pa.ChunkedArray
    title: pa.ChunkedArray
    name: pa.ChunkedArray

    def row_of(self, identifier: str, column: str | None = None) -> int:
        """Raises RowError for an id without a text, which some trainers take for an empty one."""
        if identifier not in self.row:
            raise RowError(f"there is no text of this id in {self.file}", column, identifier)
        return self.row[identifier]

    def text_of(self, identifier: str, column: str | None = None) -> str:
        """Raises RowError as `row_of`."""
        found: str = self.text[self.row_of(identifier, column)].as_py()
        return found

    def name_of(self, identifier: str) -> str:
        """The id that this one was written for."""
        name: str | None = self.name[self.row[identifier]].as_py()
        return identifier if name is None else name

    def side(
        self, ids: Iterable[str], column: str | None = None, score: Sequence[float | None] | None = None
    ) -> Side:
        """The documents of these ids, with the ids that they were written under. Raises RowError."""
        wanted = list(ids)
        rows = [self.row_of(one, column) for one in wanted]
        titles = [self.title[row].as_py() or "" for row in rows]
        return Side(
            text=[self.text[row].as_py() for row in rows],
            doc_id=[self.name_of(one) for one in wanted],
            score=score,
            title=titles if any(titles) else None,
        )


# -- in a corpus and in queries, as everywhere ------------------------------------------------------------


def named_texts(path: Path, file: TrainingFileOptions) -> tuple[TextsById, TextsById]:
    """Documents and queries of a file of ids. Raises UsageError where they are not named."""
    if file.corpus is None or file.queries is None:
        raise UsageError(
            f"{path}: holds ids alone; name the texts with --corpus and --queries (of convert and check)"
        )
    return corpus_texts(file.corpus), query_texts(file.queries)


def corpus_texts(corpus: str) -> TextsById:
    """What `--corpus` names; texts and titles are trimmed, as they are encoded.

    Raises InputError for rows that cannot be used: a text that others name by its id must be there.
    """
    parsed, bad = Parsed(), BadRows(hint=MEND)
    read_documents(pool_rows(corpus), parsed, bad, need_ids=True)
    documents = _merged(corpus, parsed.named, ("doc_id", "title", "text"), bad)
    titles = pc.utf8_trim_whitespace(documents["title"])
    return _by_id(corpus, documents["doc_id"], document_texts(documents), titles)


def query_texts(queries: str) -> TextsById:
    """What `--queries` names: a file, or a folder that holds one so named. Raises InputError likewise."""
    path = Path(queries).expanduser()
    kind = kind_of_path(path)
    if kind == "nothing":
        raise InputError(f"there is no such file or folder{near_file(path)}", file=queries)
    if kind == "folder":
        inner = find_file(path, "queries")
        if inner is None:
            raise InputError("there is no queries.jsonl (or .parquet, .csv, .tsv; .gz, .zst)", file=queries)
        path = inner
    parsed, bad = Parsed(), BadRows(hint=MEND)
    read_queries(file_rows(path), None, parsed, bad)
    found = _merged(queries, parsed.queries, ("query_id", "text"), bad)
    return _by_id(queries, found["query_id"], found["text"])


def _merged(file: str, tables: Sequence[pa.Table], names: tuple[str, ...], bad: BadRows) -> pa.Table:
    """One row an id; `names` are its columns, the id's first."""
    if not tables:
        raise InputError("holds no row", file=file)
    whole = concatenated([table.select([*names, FILE, LINE]) for table in tables])
    return merge_same_id(whole, names[0], bad).table


def _by_id(
    file: str,
    ids: pa.ChunkedArray,
    texts: pa.ChunkedArray,
    titles: pa.ChunkedArray | None = None,
    names: pa.ChunkedArray | None = None,
) -> TextsById:
    row = {identifier: place for place, identifier in enumerate(ids.to_pylist())}
    nothing = pa.chunked_array([pa.nulls(len(ids))])
    return TextsById(file, row, texts, *(nothing if one is None else one for one in (titles, names)))


# -- beside a trainer's examples --------------------------------------------------------------------------


class TextColumns(NamedTuple):
    """What a trainer calls its columns.

    name  of the ids that its own were written for, where there is such a column
    """

    ids: str
    text: str = "text"
    title: str | None = None
    name: str | None = None

    def there(self, columns: Sequence[str]) -> TextColumns:
        """Those of them that are there. Raises RowError where one that is needed is not."""
        title, name = (one if one in columns else None for one in (self.title, self.name))
        return TextColumns(given(columns, self.ids), given(columns, self.text), title, name)


def texts_beside(paths: Path | Sequence[Path], columns: TextColumns, options: ReadOptions) -> TextsById:
    """As they stand there. Raises InputError where there is no such file; rows of no use are refused."""
    files = [paths] if isinstance(paths, Path) else list(paths)
    builder, bad = TableBuilder(_TEXTS), options.bad
    for rows in map(file_rows, files):
        number, finder = bad.number_of(rows.name), ColumnFinder(rows, columns.there, bad)
        options.beside.add(rows.name)
        for line, row in rows.read(bad):
            found = finder(row, line)
            if found is None:
                continue
            try:
                builder.add((*_parsed(row, found), number, line))
            except RowError as error:
                bad.refuse(error, rows.name, line)
    table = builder.finish() if builder.rows else _TEXTS.empty_table()
    table = merge_same_id(table, "doc_id", bad).table
    return _by_id(files[0].name, table["doc_id"], _joined(table), table["title"], table["name"])


def _parsed(row: Row, columns: TextColumns) -> tuple[str, str | None, str | None, str]:
    """Id, name, title, text. Raises RowError."""
    title = None if columns.title is None else row[columns.title]
    name = None if columns.name is None else row[columns.name]
    return (
        as_id(row[columns.ids], columns.ids),
        None if name is None else as_id(name, str(columns.name)),
        None if title is None else text(title, str(columns.title)),
        text(row[columns.text], columns.text),
    )


def _joined(table: pa.Table) -> pa.ChunkedArray:
    """Title and text as `passages.joined`, which trims nothing."""
    title, body = pc.fill_null(table["title"], ""), table["text"]
    both = pc.and_(pc.not_equal(title, ""), pc.not_equal(body, ""))
    space, nothing = (pa.scalar(between, pa.large_string()) for between in (" ", ""))
    return pc.binary_join_element_wise(title, pc.if_else(both, space, nothing), body, nothing)
