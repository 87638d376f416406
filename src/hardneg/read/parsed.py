"""What a reader hands on: tables with ids, not yet merged, sorted or checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hardneg.quantities import counted

FILE, LINE = "__file", "__line"
"""Where a row stood: the number that `BadRows` gave its file, and the line in it."""

_PLACE = [(FILE, pa.int16()), (LINE, pa.int64())]
DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("title", pa.large_string()),
        ("text", pa.large_string()),
        ("group", pa.string()),
        ("lang", pa.string()),
        *_PLACE,
    ]
)
QUERIES = pa.schema(
    [
        ("query_id", pa.string()),
        ("text", pa.large_string()),
        ("prompt", pa.string()),
        ("lang", pa.string()),
        *_PLACE,
    ]
)
JUDGMENTS = pa.schema(
    [
        ("query_id", pa.string()),
        ("doc_id", pa.string()),
        ("relevance", pa.float32()),
        ("score", pa.float32()),
        *_PLACE,
    ]
)
# `place` is the negative's place in its row's list.
GIVEN = pa.schema(
    [
        ("query_id", pa.string()),
        ("doc_id", pa.string()),
        ("place", pa.int32()),
        ("score", pa.float32()),
        *_PLACE,
    ]
)


@dataclass
class Parsed:
    """Tables of DOCUMENTS, QUERIES, JUDGMENTS and GIVEN.

    named   documents with ids of the source; DOCUMENTS and further columns
    loose   documents named by their text: they give way to a named document of the same text
    """

    named: list[pa.Table] = field(default_factory=list)
    loose: list[pa.Table] = field(default_factory=list)
    queries: list[pa.Table] = field(default_factory=list)
    judgments: list[pa.Table] = field(default_factory=list)
    given: list[pa.Table] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    first_row: Mapping[str, Any] = field(default_factory=dict)

    def note_numeric_ids(self, count: int, where: str) -> None:
        if count:
            those = counted(count, "id is a number and was", "ids are numbers and were")
            self.notes.append(f"{where}: {those} taken as text")

    def note_mended(self, count: int, where: str) -> None:
        if count:
            self.notes.append(
                f"{where}: {counted(count, 'text')} held half a surrogate pair, which became U+FFFD there"
            )
