"""Rows of a training file → groups → tables of GROUPS. What trainers' readers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Row, Rows
from hardneg.read.training.options import ReadOptions
from hardneg.records import GROUPS

TEXTS_A_TABLE = 8192
LETTERS_A_TABLE = 1 << 24


@dataclass(frozen=True)
class Side:
    """A group's positives, or its negatives. What is misaligned stays so: the checks say it.

    title  of each text, which begins with it, in formats that keep titles apart
    """

    text: Sequence[str]
    doc_id: Sequence[str | None] | None = None
    score: Sequence[float | None] | None = None
    label: Sequence[float | None] | None = None
    title: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Group:
    query: str
    positives: Side
    negatives: Side
    query_id: str | None = None
    prompt: str | None = None


def row_groups(
    path: Path, options: ReadOptions, parse: Callable[[Row], Group], rows: Rows | None = None
) -> Iterator[pa.Table]:
    """A group a row. `parse` raises RowError; `rows` are those of the file, where its suffix does not say."""
    return group_tables(parsed_rows(rows or file_rows(path), options, parse))


Parsed = TypeVar("Parsed")


def parsed_rows(
    rows: Rows, options: ReadOptions, parse: Callable[[Row], Parsed]
) -> Iterator[tuple[int, Parsed]]:
    """(line, what `parse` gave); rows that cannot be parsed are refused."""
    for line, row in rows.read(options.bad):
        try:
            parsed = parse(row)
        except RowError as error:
            options.bad.refuse(error, rows.name, line)
            continue
        yield line, parsed


def group_tables(groups: Iterable[tuple[int, Group]]) -> Iterator[pa.Table]:
    """Tables of GROUPS, each of as many groups as TEXTS_A_TABLE and LETTERS_A_TABLE allow, at least one."""
    waiting: list[tuple[int, Group]] = []
    texts = letters = 0
    for line, group in groups:
        waiting.append((line, group))
        for side in (group.positives, group.negatives):
            texts += len(side.text)
            letters += sum(map(len, side.text))
        if texts >= TEXTS_A_TABLE or letters >= LETTERS_A_TABLE:
            yield _table(waiting)
            waiting, texts, letters = [], 0, 0
    if waiting:
        yield _table(waiting)


def _table(groups: Sequence[tuple[int, Group]]) -> pa.Table:
    columns: dict[str, list[object]] = {
        "query_id": [group.query_id for _, group in groups],
        "query": [group.query for _, group in groups],
        "prompt": [group.prompt for _, group in groups],
        "line": [line for line, _ in groups],
    }
    for name, sides in (
        ("pos", [group.positives for _, group in groups]),
        ("neg", [group.negatives for _, group in groups]),
    ):
        columns[name] = [side.text for side in sides]
        columns[f"{name}_id"] = [side.doc_id for side in sides]
        columns[f"{name}_score"] = [side.score for side in sides]
        columns[f"{name}_label"] = [side.label for side in sides]
        columns[f"{name}_title"] = [side.title for side in sides]
    return pa.table([pa.array(columns[field.name], field.type) for field in GROUPS], schema=GROUPS)
