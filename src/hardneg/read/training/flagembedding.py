"""FlagEmbedding's training JSONL: `query`, `pos`, `neg`, and beside them ids, scores and the prompt.

A `pos` or `neg` that is one text instead of a list is a list of one; FlagEmbedding itself would take its
letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, Side, row_groups
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.sample import Sample
from hardneg.read.training.values import (
    optional_id,
    optional_ids,
    optional_numbers,
    optional_text,
    text,
    texts,
)


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    return row_groups(path, options, _parse)


def _parse(row: Row) -> Group:
    for name in ("query", "pos"):
        if name not in row:
            raise RowError("is not there", name)
    return Group(
        query=text(row["query"], "query"),
        positives=_side(row, "pos"),
        negatives=_side(row, "neg"),
        query_id=optional_id(row.get("id"), "id"),
        prompt=optional_text(row, "prompt"),
    )


def _side(row: Row, name: str) -> Side:
    value = row.get(name)
    return Side(
        text=[] if value is None else texts(value, name),
        doc_id=optional_ids(row, f"{name}_id"),
        score=optional_numbers(row, f"{name}_scores"),
    )


def _recognise(sample: Sample) -> bool:
    return "query" in sample.row and "pos" in sample.row


READERS = {
    "flagembedding": TrainingReader(_groups, (".jsonl", ".json", ".ndjson", ".parquet"), _recognise),
}
