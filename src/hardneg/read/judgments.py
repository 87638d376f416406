"""Labels as row numbers: unknown ids refused, pairs unique, negatives of the source told from positives."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from hardneg.config import ReadConfig
from hardneg.quantities import counted
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.labels import is_positive, rows_of
from hardneg.read.parsed import FILE, LINE
from hardneg.records import Bool, Float32, Int32, Int64
from hardneg.texts import blank_documents

_LAST = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Labels:
    """Pairs of query and document rows.

    query, doc  int32 (pairs,)
    relevance   float32 (pairs,)
    score       float32 (pairs,), what the source says of the pair; NaN where it says nothing
    """

    query: Int32
    doc: Int32
    relevance: Float32
    score: Float32

    def __len__(self) -> int:
        return len(self.query)

    @property
    def key(self) -> Int64:
        key: Int64 = self.query.astype(np.int64) << 32 | self.doc.astype(np.int64)
        return key

    def filter(self, keep: Bool) -> Labels:
        return Labels(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def take(self, order: Int64) -> Labels:
        return Labels(**{field.name: getattr(self, field.name)[order] for field in fields(self)})

    def table(
        self, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray, *, with_relevance: bool
    ) -> pa.Table:
        """query_id, doc_id, relevance where asked for, and score where the source gave one."""
        columns = {
            "query_id": query_ids.take(pa.array(self.query)),
            "doc_id": doc_ids.take(pa.array(self.doc)),
        }
        if with_relevance:
            columns["relevance"] = pa.array(self.relevance)
        if not np.isnan(self.score).all():
            columns["score"] = pa.array(self.score, from_pandas=True)
        return pa.table(columns)


def canonical_judgments(
    table: pa.Table,
    query_ids: pa.ChunkedArray,
    corpus: pa.Table,
    config: ReadConfig,
    counts: dict[str, int],
    notes: list[str],
    bad: BadRows,
) -> Labels:
    """Sorted by query and document; of one pair's judgments the highest stays.

    Refused are those of ids that are not there, and positives without text: nobody can learn from them.
    """
    labels, known = _labels(table, query_ids, corpus["doc_id"])
    _refuse_unknown(table, labels, known, bad)
    empty = known & is_positive(labels.relevance, config.min_relevance)
    empty[empty] = _without_text(corpus, labels.doc[empty])
    for row in table.take(pa.array(np.flatnonzero(empty))).to_pylist():
        error = RowError("the document of this id is a positive and has no text", row_id=row["doc_id"])
        bad.refuse_numbered(error, row[FILE], row[LINE])
    labels = labels.filter(known & ~empty)
    order = np.lexsort((-labels.score, -labels.relevance, labels.doc, labels.query))
    labels = labels.take(order)
    first = np.ones(len(labels), bool)
    first[1:] = labels.key[1:] != labels.key[:-1]
    other = ~first
    other[1:] &= labels.relevance[1:] != labels.relevance[:-1]
    counts["duplicate judgments merged"] = int((~first).sum())
    if other.any():
        those = counted(int(other.sum()), "judgment contradicts", "judgments contradict")
        notes.append(f"{those} another of the same pair: the highest stays")
    return labels.filter(first)


def canonical_given(
    table: pa.Table,
    judged: Labels,
    query_ids: pa.ChunkedArray,
    doc_ids: pa.ChunkedArray,
    config: ReadConfig,
    counts: dict[str, int],
    notes: list[str],
) -> Labels:
    """Sorted by query and the place in the row's list, then document; each pair once, positives left out.

    Several rows of one query are so laid into each other, whatever their order in the source.
    """
    labels, known = _labels(table, query_ids, doc_ids)
    place = table["place"].to_numpy().astype(np.int32)
    labels, place = labels.filter(known), place[known]
    positive = is_positive(judged.relevance, config.min_relevance)
    if config.trust_judged_negatives:
        trusted = judged.filter(~positive & (judged.relevance <= 0))
        labels = _joined(labels, trusted)
        place = np.concatenate([place, np.full(len(trusted), _LAST, np.int32)])
    clash = np.isin(labels.key, judged.filter(positive).key)
    if clash.any():
        notes.append(f"{int(clash.sum()):,} given negatives are positives of the same query: left out")
    labels, place = labels.filter(~clash), place[~clash]
    order = np.lexsort((-labels.score, labels.doc, place, labels.query))
    labels = labels.take(order)
    first = np.zeros(len(labels), bool)
    first[np.unique(labels.key, return_index=True)[1]] = True
    counts["duplicate given negatives merged"] = int((~first).sum())
    return labels.filter(first)


def _labels(table: pa.Table, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> tuple[Labels, Bool]:
    """The labels, -1 for an id that is not there, and which of them have both."""
    names = table.column_names
    count = table.num_rows
    labels = Labels(
        query=rows_of(table["query_id"], query_ids),
        doc=rows_of(table["doc_id"], doc_ids),
        relevance=table["relevance"].to_numpy() if "relevance" in names else np.zeros(count, np.float32),
        score=table["score"].to_numpy().astype(np.float32),
    )
    return labels, (labels.query >= 0) & (labels.doc >= 0)


def _refuse_unknown(table: pa.Table, labels: Labels, known: Bool, bad: BadRows) -> None:
    unknown = np.flatnonzero(~known)
    for row, place in zip(table.take(pa.array(unknown)).to_pylist(), unknown, strict=True):
        what, name = ("query", "query_id") if labels.query[place] < 0 else ("document", "doc_id")
        where = "queries" if what == "query" else "corpus"
        reason = f"the {where} {'hold' if what == 'query' else 'holds'} no {what} of this id"
        bad.refuse_numbered(RowError(reason, row_id=row[name]), row[FILE], row[LINE])


def _without_text(corpus: pa.Table, docs: Int32) -> Bool:
    """bool (docs,): neither title nor text."""
    rows, place = np.unique(docs, return_inverse=True)
    return blank_documents(corpus.select(["title", "text"]).take(pa.array(rows)))[place]


def _joined(first: Labels, second: Labels) -> Labels:
    return Labels(
        **{
            field.name: np.concatenate([getattr(first, field.name), getattr(second, field.name)])
            for field in fields(first)
        }
    )
