"""GPL's folder, or MS MARCO's hard negatives: ids, and the texts that they are of.

A file alone needs to be told where its texts are. What several systems found is joined, in their order.
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
from hardneg.read.training.sample import FOLDER, Sample
from hardneg.read.training.texts_by_id import (
    TextColumns,
    TextsById,
    corpus_texts,
    named_texts,
    query_texts,
    texts_beside,
)
from hardneg.read.training.values import as_ids
from hardneg.read.values import as_id, describe

_EXAMPLES = "hard-negatives.jsonl"


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    if path.is_dir():
        documents, questions = _of_folder(path, options)
        path = path / _EXAMPLES
    else:
        documents, questions = named_texts(path, options.file)
    return row_groups(path, options, partial(_parse, documents=documents, questions=questions))


def _of_folder(path: Path, options: ReadOptions) -> tuple[TextsById, TextsById]:
    """The folder's own documents and queries, unless others are named."""
    corpus, queries = options.file.corpus, options.file.queries
    own = [path / name for name in ("qgen-queries.jsonl", "queries.jsonl")]
    written = next((one for one in own if one.exists()), own[0])
    return (
        texts_beside(path / "corpus.jsonl", TextColumns("_id", title="title"), options)
        if corpus is None
        else corpus_texts(corpus),
        texts_beside(written, TextColumns("_id"), options) if queries is None else query_texts(queries),
    )


def _parse(row: Row, documents: TextsById, questions: TextsById) -> Group:
    for name in ("qid", "pos", "neg"):
        if name not in row:
            raise RowError("is not there", name)
    query_id = as_id(row["qid"], "qid")
    if not isinstance(row["neg"], dict):
        raise RowError(f"must be an object of systems, not {describe(row['neg'])}", "neg")
    found = [as_ids(ids, "neg") for ids in row["neg"].values() if ids is not None]
    negatives = dict.fromkeys(one for ids in found for one in ids)
    return Group(
        query=questions.text_of(query_id, "qid"),
        positives=documents.side(as_ids(row["pos"], "pos"), "pos"),
        negatives=documents.side(negatives, "neg"),
        query_id=query_id,
    )


def _recognise(sample: Sample) -> bool:
    if sample.kind == FOLDER:
        return _EXAMPLES in sample.files
    return {"qid", "pos", "neg"} <= sample.row.keys() and isinstance(sample.row["neg"], dict)


READERS = {
    "gpl": TrainingReader(_groups, (FOLDER, ".jsonl"), _recognise, options=frozenset({"corpus", "queries"}))
}
