"""The folder that GPL trains from when it has nothing left to generate and mine.

`hard-negatives.jsonl` is MS MARCO's: `qid`, `pos`, and `neg`, where each system names its passages. Beside it
stand the texts as BEIR has them. Read in the package gpl 0.1.4, `gpl/toolkit/dataset.py`
(`HardNegativeDataset`), `gpl/toolkit/mine.py` and `gpl/train.py`: what is there is not made again; it joins
title and text itself; ids are texts; a line without positives or negatives is passed over.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.export import beir
from hardneg.export.columns import lists, objects
from hardneg.export.examples import Examples
from hardneg.export.formats import FOLDER, FolderFile, Format
from hardneg.export.options import ExportOptions

SYSTEM = "hardneg"


def hard_negatives(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a query: qid, pos, neg."""
    sides = {
        side: lists(examples.doc_id.take(pa.array(at)), start)
        for side, (at, start) in examples.sides().items()
    }
    negatives = objects(**{SYSTEM: sides["neg"]})
    return pa.table({"qid": examples.query_id, "pos": sides["pos"], "neg": negatives})


def queries(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"_id": examples.query_id, "text": examples.query})


def corpus(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"_id": examples.doc_id, "title": examples.titles, "text": examples.bodies})


def judgments(examples: Examples, options: ExportOptions) -> pa.Table:
    """The positives, with relevance 1."""
    at = np.flatnonzero(examples.is_positive)
    return pa.table(
        {
            "query-id": examples.query_id.take(pa.array(examples.group[at])),
            "corpus-id": examples.doc_id.take(pa.array(at)),
            "score": pa.array(np.ones(len(at), np.int64)),
        }
    )


FORMATS = {
    "gpl": Format(
        rows=hard_negatives,
        kinds=FOLDER,
        takes=frozenset({"ids"}),
        folder={
            "hard-negatives.jsonl": FolderFile(hard_negatives, "jsonl"),
            "qgen-queries.jsonl": FolderFile(queries, "jsonl", key="_id"),
            "corpus.jsonl": FolderFile(corpus, "jsonl", key="_id"),
            "qgen-qrels/train.tsv": FolderFile(judgments, "lines", header=True, refuse=beir.refuse),
        },
    )
}
