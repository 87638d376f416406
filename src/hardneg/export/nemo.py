"""What NVIDIA NeMo AutoModel's retrieval recipes read.

`nemo-inline`: `question_id`, `question`, `pos_doc` and `neg_doc`, each a list of `{text}`. Read in the
package nemo-automodel 0.7.0, `components/datasets/llm/retrieval_dataset_inline.py`: a document's other keys,
such as `id` and `score`, are passed over there; empty `pos_doc` ends the training, and so does an empty
`neg_doc` where negatives are asked for (`n_passages` above 1). Too few negatives are repeated.
"""

from __future__ import annotations

import pyarrow as pa

from hardneg.export.columns import lists, objects, scores
from hardneg.export.examples import Examples
from hardneg.export.formats import Format
from hardneg.export.options import ExportOptions


def inline(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group: [question_id,] question, pos_doc, neg_doc."""
    columns = {"question_id": examples.query_id} if options.ids else {}
    columns["question"] = examples.query
    for side, (at, start) in examples.sides().items():
        entries = pa.array(at)
        document = {"id": examples.doc_id.take(entries)} if options.ids else {}
        document["text"] = examples.text.take(entries)
        if options.scores:
            document["score"] = scores(examples.score[at])
        columns[f"{side}_doc"] = lists(objects(**document), start)
    return pa.table(columns)


FORMATS = {
    "nemo-inline": Format(
        rows=inline,
        kinds={".jsonl": "jsonl", ".json": "jsonl"},
        takes=frozenset({"scores", "ids"}),
        each=True,
    ),
}
