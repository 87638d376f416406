"""A dataset of pairs and a corpus → distinct queries and documents, in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.compat.sentence_transformers.arguments import ArgumentError
from hardneg.errors import InputError
from hardneg.records import GIVEN, QRELS, Collection, Int32, Int64, Pairs, ReadReport


@dataclass(frozen=True)
class MinedPairs:
    """What is mined for, and from.

    queries    distinct texts, by first occurrence
    documents  distinct texts: the corpus by first occurrence, then positives that are not in it
    positives  of each query, in the dataset's order and not ascending
    rows       int64 (queries,): the dataset's rows of each query, repeated pairs counted
    """

    queries: pa.ChunkedArray
    documents: pa.ChunkedArray
    positives: Pairs
    rows: Int64

    @property
    def max_positives(self) -> int:
        return int(self.rows.max())

    def collection(self) -> Collection:
        """As the guard takes it: ids are places, so that they lie in the order of the texts."""
        queries, documents = _ids(len(self.queries)), _ids(len(self.documents))
        return Collection(
            corpus=pa.table({"doc_id": documents, "text": self.documents}),
            queries=pa.table({"query_id": queries, "text": self.queries}),
            qrels=QRELS.empty_table(),
            given=GIVEN.empty_table(),
            report=ReadReport("a dataset"),
        )


def read_pairs(dataset: Any, anchor: str, positive: str, corpus: Iterable[str] | None) -> MinedPairs:
    """Raises InputError for a text that is none."""
    table = dataset.with_format("arrow").select_columns([anchor, positive])[:]
    asked, query_of = _numbered(_texts(table[anchor], anchor))
    answers = _texts(table[positive], positive)
    pool = answers if corpus is None else _with(_corpus(corpus), answers)
    documents, doc_of = _numbered(pool)
    doc_of = doc_of[len(pool) - len(answers) :]
    return MinedPairs(
        queries=asked,
        documents=documents,
        positives=_in_order(query_of, doc_of, len(asked)),
        rows=np.bincount(query_of, minlength=len(asked)),
    )


def _texts(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError(f"holds {column.type}; texts are needed", column=name)
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise InputError(f"row {row} has no text; leave such rows out", column=name)
    return column.cast(pa.large_string())


def _corpus(corpus: Iterable[str]) -> pa.ChunkedArray:
    if isinstance(corpus, str):
        raise ArgumentError("corpus: one text; give a list of them")
    try:
        texts = pa.array(list(corpus), pa.large_string())
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise InputError(f"corpus: holds what is no text ({error})") from error
    return _texts(pa.chunked_array([texts]), "corpus")


def _with(corpus: pa.ChunkedArray, answers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([*corpus.chunks, *answers.chunks], pa.large_string())


def _numbered(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Int32]:
    """The distinct texts by first occurrence, and the place of each among them."""
    encoded = texts.dictionary_encode().unify_dictionaries()
    numbers = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return pa.chunked_array([encoded.chunk(0).dictionary]), numbers.astype(np.int32)


def _in_order(query: Int32, doc: Int32, queries: int) -> Pairs:
    """Distinct pairs by query, and within one in the dataset's order."""
    key = query.astype(np.int64) << 32 | doc
    first = np.sort(np.unique(key, return_index=True)[1])
    first = first[np.argsort(query[first], kind="stable")]
    start = np.searchsorted(query[first], np.arange(queries + 1))
    return Pairs(start.astype(np.int64), doc[first])


def _ids(count: int) -> pa.Array:
    """Places as texts of one length."""
    return pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.string()), width=10, padding="0")
