"""Tevatron's rows with passages: `query_id`, `query`, `positive_passages`, `negative_passages`.

Or its folder of rows with ids (`train.jsonl`) and a corpus (`corpus.jsonl`), of which it trains on the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, row_groups
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.passages import passages, side_of
from hardneg.read.training.sample import FOLDER, Sample
from hardneg.read.training.texts_by_id import TextColumns, TextsById, texts_beside
from hardneg.read.training.values import as_ids, optional_id, text

_FILES = ("train.jsonl", "corpus.jsonl")
_KINDS = (".jsonl", ".json", ".ndjson", ".parquet")


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    return row_groups(path, options, _parse)


def _parse(row: Row) -> Group:
    for name in ("query", "positive_passages"):
        if name not in row:
            raise RowError("is not there", name)
    positives, negatives = (
        side_of(passages(row, column), column, ("docid",))
        for column in ("positive_passages", "negative_passages")
    )
    return Group(
        query=text(row["query"], "query"),
        positives=positives,
        negatives=negatives,
        query_id=optional_id(row.get("query_id"), "query_id"),
    )


def _recognise(sample: Sample) -> bool:
    return "query" in sample.row and "positive_passages" in sample.row


# -- with ids ----------------------------------------------------------------------------------------


def _groups_of_ids(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    examples, corpus = (path / name for name in _FILES)
    documents = texts_beside(corpus, TextColumns("docid"), options)
    return row_groups(examples, options, partial(_parse_ids, documents=documents))


def _parse_ids(row: Row, documents: TextsById) -> Group:
    for name in ("query_text", "positive_document_ids", "negative_document_ids"):
        if name not in row:
            raise RowError("is not there", name)
    positives, negatives = (
        documents.side(as_ids(row[column], column), column)
        for column in ("positive_document_ids", "negative_document_ids")
    )
    return Group(
        query=text(row["query_text"], "query_text"),
        positives=positives,
        negatives=negatives,
        query_id=optional_id(row.get("query_id"), "query_id"),
    )


def _recognise_ids(sample: Sample) -> bool:
    return sample.files >= set(_FILES)


READERS = {
    "tevatron": TrainingReader(_groups, _KINDS, _recognise),
    "tevatron-ids": TrainingReader(_groups_of_ids, (FOLDER,), _recognise_ids),
}
