"""Which documents a list names: by id or by normalised text, each with all documents of the same text."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.guard.exclusion_list import Entry, read_entries
from hardneg.guard.members import NOTHING
from hardneg.guard.text_classes import TextClasses
from hardneg.records import Bool, Int32

_ENTRIES = 4096  # texts of so many entries are held at a time


@dataclass(frozen=True)
class ExcludedDocuments:
    """documents  bool (documents,)
    entries    how many entries the list has
    unmatched  lines of the entries that are no document of this corpus
    """

    documents: Bool
    entries: int
    unmatched: tuple[int, ...]


def excluded_documents(corpus: pa.Table, classes: TextClasses, path: Path) -> ExcludedDocuments:
    """Read a list and find its documents. Raises InputError as `read_entries` does.

    An entry's text may be the encoded text or the text without its title. An entry that has an id and a text
    is looked up by both.
    """
    lines, names, listed = _read(path, classes)
    by_text = np.zeros(len(classes.keys), np.bool_)
    by_text[listed[listed != NOTHING]] = True
    columns = (classes.document, classes.document_text_only)
    by_id = np.asarray(pc.is_in(corpus["doc_id"], value_set=names, skip_nulls=True), np.bool_)
    twins = np.zeros(len(classes.keys), np.bool_)
    twins[classes.document[by_id]] = True
    documents = twins[classes.document] | by_text[columns[0]] | by_text[columns[1]]

    has_document = np.zeros(len(classes.keys) + 1, np.bool_)  # the last place is that of NOTHING
    for column in columns:
        has_document[column] = True
    id_known = np.asarray(pc.is_in(names, value_set=corpus["doc_id"], skip_nulls=True), np.bool_)
    matched = id_known | has_document[listed].any(axis=1)
    return ExcludedDocuments(documents, len(lines), tuple(lines[~matched].tolist()))


def _read(path: Path, classes: TextClasses) -> tuple[Int32, pa.Array, Int32]:
    """Of all entries: line (entries,), id or null (entries,), classes of the texts (entries, 2)."""
    lines: list[int] = []
    names: list[str | None] = []
    listed: list[Int32] = []
    entries = read_entries(path)
    while batch := list(islice(entries, _ENTRIES)):
        lines += [entry.line for entry in batch]
        names += [entry.name for entry in batch]
        listed.append(_classes(batch, classes))
    return np.array(lines, np.int32), pa.array(names, pa.string()), np.concatenate(listed)


def _classes(entries: list[Entry], classes: TextClasses) -> Int32:
    """int32 (entries, 2), NOTHING where there is no such text."""
    out = np.full((len(entries), 2), NOTHING, np.int32)
    places = [(row, column) for row, entry in enumerate(entries) for column in range(len(entry.texts))]
    if places:
        row, column = np.array(places).T
        out[row, column] = classes.of(text for entry in entries for text in entry.texts)
    return out
