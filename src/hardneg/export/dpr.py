"""DPR's training JSON: one array of questions with `positive_ctxs`, `negative_ctxs`, `hard_negative_ctxs`.

Read in facebookresearch/DPR, `dpr/data/biencoder_data.py` (`JsonQADataset`), `dpr/utils/data_utils.py`
(`read_data_from_json_files`) and `README.md`: the whole file is one JSON value; a context is
`{title, text}`, and further keys, such as the `passage_id` and `score` of its own files, are passed over.
The title is joined to the text by the tokenizer, which takes an empty one. By default it trains on the first
positive of a question alone.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.export.columns import lists, objects, scores
from hardneg.export.examples import Examples
from hardneg.export.formats import Format
from hardneg.export.options import ExportOptions
from hardneg.records import Int64


def rows(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group. What was mined or given is hard; `answers` and `negative_ctxs` are empty."""
    nothing = np.zeros(len(examples.num_positives) + 1, np.int64)
    columns = {"query_id": examples.query_id} if options.ids else {}
    columns |= {"question": examples.query, "answers": lists(pa.array([], pa.large_string()), nothing)}
    (positives, positive_start), (negatives, negative_start) = examples.sides().values()
    columns["positive_ctxs"] = lists(_contexts(examples, options, positives), positive_start)
    columns["negative_ctxs"] = lists(pa.array([], pa.large_string()), nothing)
    columns["hard_negative_ctxs"] = lists(_contexts(examples, options, negatives), negative_start)
    return pa.table(columns)


def _contexts(examples: Examples, options: ExportOptions, at: Int64) -> pa.StructArray:
    entries = pa.array(at)
    context = {"title": examples.titles.take(entries), "text": examples.bodies.take(entries)}
    if options.scores:
        context["score"] = scores(examples.score[at])
    if options.ids:
        context["passage_id"] = examples.doc_id.take(entries)
    return objects(**context)


FORMATS = {
    "dpr": Format(rows=rows, kinds={".json": "json"}, takes=frozenset({"scores", "ids"}), each=True),
}
