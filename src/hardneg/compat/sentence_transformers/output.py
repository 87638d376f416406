"""What was found as rows of a format: hardneg's writers for sentence-transformers, under the user's names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.compat.sentence_transformers.arguments import Format
from hardneg.compat.sentence_transformers.mining import Found
from hardneg.compat.sentence_transformers.pairs import MinedPairs
from hardneg.export.columns import decoded, offsets
from hardneg.export.examples import DOCUMENTS_A_BLOCK, Examples
from hardneg.export.options import ExportOptions
from hardneg.export.sentence_transformers import FORMATS
from hardneg.records import Float32, Int32, Int64
from hardneg.texts import take


@dataclass(frozen=True)
class Groups:
    """A query with positives and negatives, entries `start[g]` to `start[g + 1] - 1`, positives first.

    query          int32   (groups,)
    start          int64   (groups + 1,)
    num_positives  int64   (groups,)
    doc            int32   (entries,)
    score          float32 (entries,)
    """

    query: Int32
    start: Int64
    num_positives: Int64
    doc: Int32
    score: Float32

    @property
    def num_negatives(self) -> Int64:
        """int64 (groups,)."""
        negatives: Int64 = np.diff(self.start) - self.num_positives
        return negatives


def groups_of(pairs: MinedPairs, found: Found, to: Format, num_negatives: int) -> Groups:
    """A group a positive, but a query in pairs, each of whose negatives stands there once.

    Left out are groups without negatives, but for pairs; of n-tuples those that lack one.
    """
    positives = pairs.positives
    query = positives.query
    counts = np.bincount(found.query, minlength=len(pairs.queries))
    if to == "labeled-pair":
        return _grouped(np.arange(len(pairs.queries), dtype=np.int32), query, pairs, found, found.query)
    kept = counts[query] >= (num_negatives if to == "n-tuple" else 1)
    group = np.cumsum(kept) - 1
    negative, of = _of_each(query[kept], counts)
    return _grouped(query[kept], np.where(kept, group, -1), pairs, found, of, negative)


def _of_each(query: Int32, counts: Int64) -> tuple[Int64, Int64]:
    """The negatives of each group's query, and their groups: int64 (all of them,) both."""
    of = np.repeat(np.arange(len(query)), counts[query])
    begin = offsets(counts[query])
    return offsets(counts)[query][of] + np.arange(len(of)) - begin[of], of


def _grouped(
    query: Int32,
    group: Any,
    pairs: MinedPairs,
    found: Found,
    group_of_negative: Any,
    negative: Any = slice(None),
) -> Groups:
    """group: int (pairs,), -1 where the positive is left out; negative: which of them stand there."""
    kept = group >= 0
    of = np.concatenate([group[kept], group_of_negative])
    order = np.argsort(of, kind="stable")
    return Groups(
        query=query,
        start=offsets(np.bincount(of, minlength=len(query))),
        num_positives=np.bincount(group[kept], minlength=len(query)),
        doc=np.concatenate([pairs.positives.doc[kept], found.doc[negative]])[order],
        score=np.concatenate([found.positive_scores[kept], found.score[negative]])[order],
    )


def to_dataset(
    groups: Groups, pairs: MinedPairs, to: Format, names: tuple[str, str], scores: bool, num_negatives: int
) -> Any:
    """A `datasets.Dataset` with the columns and types that the original gives, whatever is in it."""
    from datasets import Dataset

    schema = _schema(to, names, scores, num_negatives)
    rows, options = FORMATS[f"st-{to}"].rows, ExportOptions(scores=scores)
    tables = [decoded(rows(block, options)) for block in _blocks(groups, pairs)]
    tables = [table.rename_columns(schema.names).cast(schema) for table in tables]
    return Dataset(pa.concat_tables([schema.empty_table(), *tables]))


def _schema(to: Format, names: tuple[str, str], scores: bool, num_negatives: int) -> pa.Schema:
    anchor, other = names
    number, count = pa.float64(), pa.int64()
    documents = pa.list_(pa.string()) if to == "labeled-list" else pa.string()
    fields = [(anchor, pa.string()), (other, documents)]
    if to == "triplet":
        fields.append(("negative", pa.string()))
    if to == "n-tuple":
        fields += [(f"negative_{place}", pa.string()) for place in range(1, num_negatives + 1)]
    if to == "labeled-pair":
        fields.append(("score", number) if scores else ("label", count))
    elif to == "labeled-list" and not scores:
        fields.append(("labels", pa.list_(count)))
    elif scores:
        fields.append(("scores", pa.list_(number)))
    return pa.schema(fields)


def _blocks(groups: Groups, pairs: MinedPairs) -> Iterator[Examples]:
    """As many groups at a time as DOCUMENTS_A_BLOCK allows, at least one."""
    begin = 0
    while begin < len(groups.query):
        room = groups.start[begin] + DOCUMENTS_A_BLOCK
        end = max(begin + 1, int(np.searchsorted(groups.start, room, "right")) - 1)
        entries = slice(int(groups.start[begin]), int(groups.start[end]))
        query = _dictionary(groups.query[begin:end], pairs.queries)
        text = _dictionary(groups.doc[entries], pairs.documents)
        yield Examples(
            query_id=query,
            query=query,
            prompt=None,
            start=groups.start[begin : end + 1] - groups.start[begin],
            num_positives=groups.num_positives[begin:end],
            doc_id=text,
            text=text,
            score=groups.score[entries],
            label=np.zeros(entries.stop - entries.start, np.float32),
        )
        begin = end


def _dictionary(rows: Int32, texts: pa.ChunkedArray) -> pa.DictionaryArray:
    used, place = np.unique(rows, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(place, pa.int32()), take(texts, used))
