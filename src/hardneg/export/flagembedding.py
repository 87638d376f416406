"""FlagEmbedding's training JSONL: `{"query": str, "pos": [str], "neg": [str], ...}`, a line a group.

Read by its embedder and reranker data sets from names that end in `.json` or `.jsonl`; any other name they
pass over without a word. They divide by the number of negatives, so a line always has one. `pos_scores` and
`neg_scores` serve knowledge distillation: aligned with `pos` and `neg`, every one a number.
"""

from __future__ import annotations

import pyarrow as pa

from hardneg.export.columns import lists, scores
from hardneg.export.examples import Examples
from hardneg.export.formats import Format
from hardneg.export.options import ExportOptions


def rows(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group: query, pos, neg, and what was asked for."""
    sides = examples.sides()
    columns = {"query": examples.query}
    columns |= {side: lists(examples.text.take(pa.array(at)), start) for side, (at, start) in sides.items()}
    if options.scores:
        for side, (at, start) in sides.items():
            columns[f"{side}_scores"] = lists(scores(examples.score[at]), start)
    if options.ids:
        columns["id"] = examples.query_id
        for side, (at, start) in sides.items():
            columns[f"{side}_id"] = lists(examples.doc_id.take(pa.array(at)), start)
    if examples.prompt is not None:
        columns["prompt"] = examples.prompt
    return pa.table(columns)


FORMATS = {
    "flagembedding": Format(
        rows=rows,
        kinds={".jsonl": "jsonl", ".json": "jsonl"},
        takes=frozenset({"scores", "ids", "prompts"}),
        each=True,
    )
}
