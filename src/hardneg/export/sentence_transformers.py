"""What the trainers of sentence-transformers take: texts by the order of columns, the label by its name.

A loss gets every column but the label's in order, whatever their names; the label is the first of `label`,
`labels`, `score`, `scores` that is there. So there is one of them at most, it stands last, and no id column
may be in the file: it would be trained on as text.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.export.columns import lists, score_rows, scores
from hardneg.export.examples import Examples
from hardneg.export.formats import Format, Kind
from hardneg.export.options import ExportOptions


def triplet(examples: Examples, options: ExportOptions) -> pa.Table:
    """anchor, positive, negative [, scores]: every positive with every negative of its group."""
    group, positive, negative = examples.positives_by_negatives()
    columns = {
        "anchor": examples.query.take(pa.array(group)),
        "positive": examples.text.take(pa.array(positive)),
        "negative": examples.text.take(pa.array(negative)),
    }
    if options.scores:
        columns["scores"] = score_rows(examples.score[np.stack([positive, negative], axis=1)])
    return pa.table(columns)


def n_tuple(examples: Examples, options: ExportOptions) -> pa.Table:
    """anchor, positive, negative_1 ... negative_K [, scores]: a row a positive, K the same everywhere."""
    group, entries = examples.tuples()
    columns = {"anchor": examples.query.take(pa.array(group))}
    for place, at in enumerate(entries.T):
        name = f"negative_{place}" if place else "positive"
        columns[name] = examples.text.take(pa.array(at))
    if options.scores:
        columns["scores"] = score_rows(examples.score[entries])
    return pa.table(columns)


def labeled_pair(examples: Examples, options: ExportOptions) -> pa.Table:
    """query, document, label (1.0 or 0.0, or soft) or score: each positive once, then the negatives."""
    columns = {"query": examples.query.take(pa.array(examples.group)), "document": examples.text}
    columns |= _label(examples, options, "label", "score")
    return pa.table(columns)


def labeled_list(examples: Examples, options: ExportOptions) -> pa.Table:
    """query, documents, labels (1.0 or 0.0, or soft) or scores: a row a group, positives first."""
    columns = {"query": examples.query, "documents": lists(examples.text, examples.start)}
    label = _label(examples, options, "labels", "scores")
    columns |= {name: lists(values, examples.start) for name, values in label.items()}
    return pa.table(columns)


def _label(examples: Examples, options: ExportOptions, label: str, score: str) -> dict[str, pa.Array]:
    if options.scores:
        return {score: scores(examples.score)}
    hard = examples.is_positive.astype(np.float32)
    return {label: pa.array(examples.label if options.soft_labels else hard)}


KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".jsonl.gz": "jsonl.gz",
    ".jsonl.zst": "jsonl.zst",
    ".parquet": "parquet",
    ".csv": "csv",
}
_SCORES = frozenset({"scores"})
_LABELS = frozenset({"scores", "soft_labels"})

FORMATS = {
    "st-triplet": Format(rows=triplet, kinds=KINDS, takes=_SCORES, each=True),
    "st-n-tuple": Format(rows=n_tuple, kinds=KINDS, takes=_SCORES, each=True, rectangular=True),
    "st-labeled-pair": Format(rows=labeled_pair, kinds=KINDS, takes=_LABELS),
    "st-labeled-list": Format(rows=labeled_list, kinds=KINDS, takes=_LABELS, each=True),
}
