"""NeMo AutoModel's rows: with the documents in them, each an object with a text, or a text; or with ids.

Those with ids are a JSON file, or the folder that holds it as `train.json`, and the corpora that it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg.errors import InputError
from hardneg.read.bad_rows import RowError
from hardneg.read.json_array import json_array_rows, json_member
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, Side, row_groups
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.passages import passages, side_of
from hardneg.read.training.sample import FOLDER, Sample
from hardneg.read.training.texts_by_id import TextColumns, TextsById, texts_beside
from hardneg.read.training.values import as_ids, number, optional_id, text
from hardneg.read.values import as_id

_EXAMPLES = "train.json"
_METADATA = "merlin_metadata.json"


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    return row_groups(path, options, _parse)


def _parse(row: Row) -> Group:
    query = "query" if "query" in row else "question"
    for name in (query, "pos_doc"):
        if name not in row:
            raise RowError("is not there", name)
    identifier = "question_id" if "question_id" in row else "id"
    return Group(
        query=text(row[query], query),
        positives=_side(row, "pos_doc"),
        negatives=_side(row, "neg_doc"),
        query_id=optional_id(row.get(identifier), identifier),
    )


def _side(row: Row, column: str) -> Side:
    value = row.get(column)
    several: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
    objects = [{"text": one} if isinstance(one, str) else one for one in several]
    return side_of(passages({column: objects}, column), column, ("id",))


def _recognise(sample: Sample) -> bool:
    return "pos_doc" in sample.row and ("query" in sample.row or "question" in sample.row)


# -- with ids ----------------------------------------------------------------------------------------


def _groups_of_ids(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    path = path / _EXAMPLES if path.is_dir() else path
    corpora = dict(_corpora(path, options))
    return row_groups(path, options, partial(_parse_ids, corpora=corpora), json_array_rows(path, "data"))


def _corpora(path: Path, options: ReadOptions) -> Iterator[tuple[str, TextsById]]:
    """The corpora by their ids. A path that is not absolute begins where the JSON file is."""
    named = json_member(path, "corpus")
    for one in named if isinstance(named, list) else [named]:
        if not isinstance(one, dict) or not isinstance(one.get("path"), str):
            raise InputError('must name folders: {"path": ...}', file=path, column="corpus")
        folder = path.parent / one["path"]
        corpus_id = json_member(folder / _METADATA, "corpus_id")
        files = sorted(folder.glob("*.parquet"))
        if not files:
            raise InputError("holds no Parquet file", file=folder)
        yield str(corpus_id), texts_beside(files, TextColumns("id"), options)


def _parse_ids(row: Row, corpora: Mapping[str, TextsById]) -> Group:
    for name in ("question", "corpus_id", "pos_doc", "neg_doc"):
        if name not in row:
            raise RowError("is not there", name)
    corpus_id = as_id(row["corpus_id"], "corpus_id")
    if corpus_id not in corpora:
        raise RowError(f"{corpus_id!r} is none of the corpora ({', '.join(corpora)})", "corpus_id")
    positives, negatives = (
        _side_of_ids(row, column, corpora[corpus_id]) for column in ("pos_doc", "neg_doc")
    )
    return Group(
        query=text(row["question"], "question"),
        positives=positives,
        negatives=negatives,
        query_id=optional_id(row.get("question_id"), "question_id"),
    )


def _side_of_ids(row: Row, column: str, corpus: TextsById) -> Side:
    value = row[column]
    several: list[Any] = value if isinstance(value, list) else [value]
    objects = [one if isinstance(one, dict) else {"id": one} for one in several]
    scores = [number(one.get("score"), column) for one in objects]
    ids = as_ids([one.get("id") for one in objects], column)
    return corpus.side(ids, column, scores if any(score is not None for score in scores) else None)


def _recognise_ids(sample: Sample) -> bool:
    begins = "".join(sample.lines)
    return _EXAMPLES in sample.files or (
        begins.startswith("{") and '"corpus"' in begins and '"path"' in begins
    )


READERS = {
    "nemo": TrainingReader(_groups_of_ids, (FOLDER, ".json"), _recognise_ids),
    "nemo-inline": TrainingReader(_groups, (".jsonl", ".json", ".ndjson", ".parquet"), _recognise),
}
