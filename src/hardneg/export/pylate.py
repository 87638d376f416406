"""What PyLate trains ColBERT models on: texts by the order of columns, or ids and a teacher's scores.

Read in the package pylate 1.6.0, `pylate/utils/collator.py` (`ColBERTCollator`) and
`pylate/losses/contrastive.py`: a column is a query's where `query` or `anchor` is in its name, else a
document's; the first document is the positive; columns with `_id` in their names are not tokenised, so ids
may stay; the loss looks at no label.

`pylate-distillation` is three tables, which `KDProcessing` of `pylate/utils/processing.py` joins: of a row it
takes the first 32 documents (`n_ways`); one that is not in the table of documents is an empty text there, and
no error. The scores of a batch become one tensor, so that every row needs the same number of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from hardneg.export.columns import lists, score_rows
from hardneg.export.examples import Examples
from hardneg.export.formats import FOLDER, FolderFile, Format
from hardneg.export.options import ExportOptions
from hardneg.export.sentence_transformers import KINDS, n_tuple, triplet


def triplets(examples: Examples, options: ExportOptions) -> pa.Table:
    """query, positive, negative [, their ids]: every positive with every negative of its group."""
    table = triplet(examples, options)
    return _named(table, triplet(_of_ids(examples), options) if options.ids else None)


def n_tuples(examples: Examples, options: ExportOptions) -> pa.Table:
    """query, positive, negative_1 ... negative_K [, their ids]: a row a positive, K the same everywhere."""
    table = n_tuple(examples, options)
    return _named(table, n_tuple(_of_ids(examples), options) if options.ids else None)


def _of_ids(examples: Examples) -> Examples:
    """With ids where the texts are, so that they fall into the same places."""
    return replace(examples, query=examples.query_id, text=examples.doc_id)


def _named(texts: pa.Table, ids: pa.Table | None) -> pa.Table:
    names = ["query", *texts.column_names[1:]]
    columns = dict(zip(names, texts.columns, strict=True))
    if ids is not None:
        columns |= {f"{name}_id": column for name, column in zip(names, ids.columns, strict=True)}
    return pa.table(columns)


def distillation(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a positive, which is first: query_id, document_ids, scores."""
    group, entries = examples.tuples()
    start = np.arange(len(group) + 1) * entries.shape[1]
    return pa.table(
        {
            "query_id": examples.query_id.take(pa.array(group)),
            "document_ids": lists(examples.doc_id.take(pa.array(entries.ravel())), start),
            "scores": score_rows(examples.score[entries]),
        }
    )


def queries(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"query_id": examples.query_id, "text": examples.query})


def documents(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"document_id": examples.doc_id, "text": examples.text})


_KINDS = {suffix: kind for suffix, kind in KINDS.items() if kind != "csv"}
_TAKES = frozenset({"ids"})

FORMATS = {
    "pylate-triplet": Format(rows=triplets, kinds=_KINDS, takes=_TAKES, each=True),
    "pylate-n-tuple": Format(rows=n_tuples, kinds=_KINDS, takes=_TAKES, each=True, rectangular=True),
    "pylate-distillation": Format(
        rows=distillation,
        kinds=FOLDER,
        takes=frozenset({"scores", "ids"}),
        each=True,
        rectangular=True,
        needs_scores="all",
        folder={
            "train.parquet": FolderFile(distillation, "parquet"),
            "queries.parquet": FolderFile(queries, "parquet", key="query_id"),
            "documents.parquet": FolderFile(documents, "parquet", key="document_id"),
        },
    ),
}
