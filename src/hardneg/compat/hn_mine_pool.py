"""Which documents are searched: all texts of the training file, or those of a candidate pool alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.compat.training_rows import training_rows
from hardneg.config import Index
from hardneg.encode import VectorStore, encode_texts
from hardneg.errors import InputError
from hardneg.protocols import Encoder, Progress
from hardneg.quantities import counted
from hardneg.read.bad_rows import MEND, BadRows
from hardneg.read.row_files import jsonl_rows
from hardneg.read.values import describe
from hardneg.records import Collection, Int32
from hardneg.search.choice import finders
from hardneg.search.exact import DenseRetriever
from hardneg.search.within import Within
from hardneg.texts import document_texts, is_blank, mended, normalise, text_id, text_number

_ROWS_AT_ONCE = 4096
_TRAINING = pa.schema(
    [
        ("query", pa.large_string()),
        ("pos", pa.large_list(pa.large_string())),
        ("neg", pa.large_list(pa.large_string())),
    ]
)


def training_table(path: Path) -> pa.Table:
    """Queries, positives and negatives of a training file, for `hardneg.load`; ids and all else aside."""
    rows = training_rows(path)
    batches = []
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        columns = [
            [mended(row.query) for row in part],
            [[mended(text) for text in row.positives] for row in part],
            [[mended(text) for text in row.negatives] for row in part],
        ]
        arrays = [pa.array(column, kind.type) for column, kind in zip(columns, _TRAINING, strict=True)]
        batches.append(pa.record_batch(arrays, schema=_TRAINING))
    if not batches:
        raise InputError("holds no row", file=path)
    return pa.Table.from_batches(batches)


@dataclass(frozen=True)
class Pool:
    """table  one column, `text`: distinct texts
    ids    of those texts, as `hardneg.load` names them
    """

    table: pa.Table
    ids: pa.Array


def read_pool(path: Path, progress: Progress) -> Pool:
    """JSON lines with `text`, whatever the file is called; repeats are one document.

    Raises InputError, with the line, for a line without text.
    """
    texts: list[str] = []
    seen: set[str] = set()
    empty = 0
    for text in _pool_texts(path):
        if is_blank(text):
            empty += 1
            continue
        name = text_id(text, "d-")
        if name not in seen:
            seen.add(name)
            texts.append(text)
    if not texts:
        raise InputError("holds no text", file=path)
    if empty:
        progress.say(f"{path}: {counted(empty, 'empty text')} left out")
    ids = pa.array([text_id(text, "d-") for text in texts], pa.string())
    return Pool(pa.table({"text": pa.array(texts, pa.large_string())}), ids)


def _pool_texts(path: Path) -> Iterator[str]:
    for line, row in jsonl_rows(path).read(BadRows(hint=MEND)):
        if not isinstance(row.get("text"), str):
            said = describe(row["text"]) if "text" in row else "no `text`"
            raise InputError(f'holds {said}; write {{"text": ...}} in each line', file=path, line=line)
        yield mended(row["text"])


def searching_within(
    collection: Collection,
    pool: Pool,
    encoder: Encoder,
    folder: Path,
    progress: Progress,
    *,
    index: Index,
    device: str | None,
) -> dict[str, Any]:
    """Settings of `hardneg.mine` by which nothing but the pool is searched and drawn from.

    folder  where the list of other documents is put
    """
    corpus = collection.corpus
    inside = np.asarray(pc.is_in(corpus["doc_id"], value_set=pool.ids), np.bool_)
    rows = np.flatnonzero(inside).astype(np.int32)
    settings: dict[str, Any] = {
        "retriever": (_retriever(collection, rows, encoder, progress, index, device),)
    }
    outside = _outside(corpus, inside)
    if outside:
        listed = folder / "not-in-the-pool.txt"
        listed.write_text("".join(f"{name}\n" for name in outside), encoding="utf-8")
        settings["exclude_docs"] = str(listed)
    return settings


def _retriever(
    collection: Collection,
    rows: Int32,
    encoder: Encoder,
    progress: Progress,
    index: Index,
    device: str | None,
) -> Within:
    store = VectorStore(None, "float32")
    documents = document_texts(collection.corpus.take(pa.array(rows)), join_title=False)
    queries = encode_texts(encoder, collection.queries["text"], "query", store=store, progress=progress)
    found = encode_texts(encoder, documents, "document", store=store, progress=progress)
    progress.say(
        f"encode: {counted(found.encoded, 'text')} of the pool encoded, {found.reused:,} in the store already"
    )
    dense = DenseRetriever("dense", queries.vectors, found.vectors, finders=finders(index, device))
    return Within(dense, rows)


def _outside(corpus: pa.Table, inside: Any) -> list[str]:
    """Ids of the documents that random ones may not be drawn from.

    The list takes a document's twins along (the same text but for case and spacing), so a twin of a document
    of the pool is not named.
    """
    others = corpus.filter(pa.array(~inside))
    number = {text_number(normalise(text)): None for text in others["text"].to_pylist()}
    for chunk in corpus.filter(pa.array(inside))["text"].chunks:
        for text in chunk.to_pylist():
            number.pop(text_number(normalise(text)), None)
    pairs = zip(others["doc_id"].to_pylist(), others["text"].to_pylist(), strict=True)
    return [name for name, text in pairs if text_number(normalise(text)) in number]
