"""ms-swift's conversations: the query is what the user says first, a document a conversation of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, Side, group_tables, parsed_rows, row_groups
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.runs import positives_joined
from hardneg.read.training.sample import Sample
from hardneg.read.training.values import text

_KINDS = (".jsonl", ".json", ".ndjson", ".parquet")


def _embedding(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    """Where rows of a positive each stand one after another, they are one group again."""
    return group_tables(positives_joined(parsed_rows(file_rows(path), options, _parse)))


def _reranker(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    return row_groups(path, options, _parse)


def _parse(row: Row) -> Group:
    messages = _messages(row.get("messages"), "messages")
    prompt = None
    if messages[0]["role"] == "system" and len(messages) > 1:
        prompt = text(messages[0].get("content"), "messages")
        messages = messages[1:]
    return Group(
        query=_said(messages, "messages"),
        positives=_side(row, "positive_messages"),
        negatives=_side(row, "negative_messages"),
        prompt=prompt,
    )


def _side(row: Row, column: str) -> Side:
    value = row.get(column)
    if value is None:
        return Side([])
    if not isinstance(value, list | tuple):
        raise RowError("must be a list with a conversation for each document", column)
    return Side([_said(_messages(one, column), column) for one in value])


def _said(messages: list[dict[str, Any]], column: str) -> str:
    """Raises RowError for more than one message, which no text alone says."""
    if len(messages) != 1:
        raise RowError(f"has {len(messages)} messages where one text was looked for", column)
    return text(messages[0].get("content"), column)


def _messages(value: Any, column: str) -> list[dict[str, Any]]:
    fits = isinstance(value, list | tuple) and value
    if not fits or not all(isinstance(one, dict) and "role" in one for one in value):
        raise RowError("must be a list of messages, each with a role and a content", column)
    return list(value)


def _recognise(sample: Sample, role: str) -> bool:
    try:
        documents = sample.row["positive_messages"]
        return "messages" in sample.row and _messages(documents[0], "")[0]["role"] == role
    except (KeyError, IndexError, TypeError, RowError):
        return False


READERS = {
    "ms-swift-embedding": TrainingReader(_embedding, _KINDS, partial(_recognise, role="user")),
    "ms-swift-reranker": TrainingReader(_reranker, _KINDS, partial(_recognise, role="assistant")),
}
