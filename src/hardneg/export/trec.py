"""A TREC run of the negatives: `query_id Q0 doc_id rank score tag`, a line a negative.

Tools sort a run by its scores and pass over the ranks, so lines stand by falling score (ties: in the
selection's order) and ranks count them from 1: the retriever's raw ranks are in the selection's table.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.export.columns import scores
from hardneg.export.examples import Examples
from hardneg.export.formats import Format
from hardneg.export.identifiers import refuse_ids
from hardneg.export.options import ExportOptions

TAG = "hardneg"
WHITE_SPACE = r"[\s\pZ\x{0B}\x{1C}-\x{1F}\x{85}]|^$"
"""What `str.split` splits at, which is how runs are parsed; or nothing at all."""


def rows(examples: Examples, options: ExportOptions) -> pa.Table:
    negative = np.flatnonzero(~examples.is_positive)
    group = examples.group[negative]
    order = np.lexsort((-examples.score[negative], group))
    negative = negative[order]
    rank = np.arange(len(group)) - np.searchsorted(group, group, "left") + 1
    query_id = examples.query_id.take(pa.array(group))
    doc_id = examples.doc_id.take(pa.array(negative))
    return pa.table(
        {
            "query_id": query_id,
            "iteration": pa.repeat("Q0", len(group)),
            "doc_id": doc_id,
            "rank": pa.array(rank),
            "score": scores(examples.score[negative]),
            "tag": pa.repeat(TAG, len(group)),
        }
    )


def refuse(table: pa.Table) -> None:
    """Raises InputError for an id with white space in it, or none at all: the line could not be parsed."""
    for name in ("query_id", "doc_id"):
        refuse_ids(
            table[name].combine_chunks(),
            WHITE_SPACE,
            name,
            "white space cannot stand in a TREC run; use --to beir or another id",
        )


FORMATS = {
    "trec": Format(
        rows=rows,
        kinds={"": "lines"},
        takes=frozenset({"scores", "ids"}),
        needs_scores="negatives",
        separator=" ",
        refuse=refuse,
        needs_positives=False,
        holds_texts=False,
    )
}
