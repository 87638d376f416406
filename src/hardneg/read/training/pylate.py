"""PyLate's contrastive rows: a query, a positive, negatives, by the order of columns; ids in `..._id`.

Or its three tables for distillation, in a folder.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, Side, group_tables, parsed_rows
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.runs import positives_joined, triplets_joined
from hardneg.read.training.sample import FOLDER, Sample
from hardneg.read.training.texts_by_id import TextColumns, TextsById, texts_beside
from hardneg.read.training.values import as_ids, optional_id, optional_numbers, text
from hardneg.read.values import as_id

_FILES = ("train.parquet", "queries.parquet", "documents.parquet")
_KINDS = (".jsonl", ".json", ".ndjson", ".parquet")
_LABELS = ("label", "scores", "dataset_name")


def _triplets(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    rows = parsed_rows(file_rows(path), options, _parse)
    return group_tables(positives_joined(triplets_joined(rows)))


def _n_tuples(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    return group_tables(positives_joined(parsed_rows(file_rows(path), options, _parse)))


def _parse(row: Row) -> Group:
    columns = _texts(row)
    if len(columns) < 2:
        raise RowError("has no column for a query and one for a positive")
    query, positive, *negatives = columns
    return Group(
        query=text(row[query], query),
        positives=_side(row, [positive]),
        negatives=_side(row, negatives),
        query_id=optional_id(row.get(f"{query}_id"), f"{query}_id"),
    )


def _side(row: Row, columns: list[str]) -> Side:
    ids = [optional_id(row.get(f"{name}_id"), f"{name}_id") for name in columns]
    return Side([text(row[name], name) for name in columns], ids if any(ids) else None)


def _texts(row: Row) -> list[str]:
    """The columns that PyLate tokenises."""
    return [name for name in row if "_id" not in name and name not in _LABELS]


def _recognise(sample: Sample, several: bool) -> bool:
    """By the ids: without them such columns are sentence-transformers', and are read the same."""
    names = _texts(sample.row)
    if not any(f"{name}_id" in sample.row for name in names):
        return False
    numbered = names == ["query", "positive", *(f"negative_{place + 1}" for place in range(len(names) - 2))]
    return numbered and len(names) > 2 if several else names == ["query", "positive", "negative"]


# -- distillation ------------------------------------------------------------------------------------


def _groups_of_ids(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    examples, queries, documents = (path / name for name in _FILES)
    parse = partial(
        _parse_ids,
        queries=texts_beside(queries, TextColumns("query_id"), options),
        documents=texts_beside(documents, TextColumns("document_id"), options),
    )
    return group_tables(positives_joined(parsed_rows(file_rows(examples), options, parse)))


def _parse_ids(row: Row, queries: TextsById, documents: TextsById) -> Group:
    """The first document is the positive. Lists may be written as text, which PyLate reads too."""
    query_id = as_id(row.get("query_id"), "query_id")
    ids = as_ids(_listed(row.get("document_ids"), "document_ids"), "document_ids")
    scores = optional_numbers({"scores": _listed(row.get("scores"), "scores")}, "scores") or []
    if not ids:
        raise RowError("names no document", "document_ids")
    if len(scores) != len(ids):
        raise RowError(f"has {len(scores)} scores for {len(ids)} documents", "scores")
    return Group(
        query=queries.text_of(query_id, "query_id"),
        positives=documents.side(ids[:1], "document_ids", scores[:1]),
        negatives=documents.side(ids[1:], "document_ids", scores[1:]),
        query_id=query_id,
    )


def _listed(value: Any, column: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise RowError("must be a list", column) from error


def _recognise_ids(sample: Sample) -> bool:
    return sample.files >= set(_FILES)


READERS = {
    "pylate-distillation": TrainingReader(_groups_of_ids, (FOLDER,), _recognise_ids),
    "pylate-triplet": TrainingReader(_triplets, _KINDS, partial(_recognise, several=False)),
    "pylate-n-tuple": TrainingReader(_n_tuples, _KINDS, partial(_recognise, several=True)),
}
