"""What NVIDIA NeMo AutoModel's retrieval recipes read.

`nemo`: `train.json` with the ids of documents, and the folder `corpus` that it names, with their texts and
what AutoModel wants to know of it (`merlin_metadata.json`). Read in the package nemo-automodel 0.7.0,
`components/datasets/llm/retrieval_dataset.py` (`load_datasets`, `TextQADataset`), and, for the scores,
`recipes/retrieval/mine_hard_negatives.py`. Where several such folders are trained on together, each needs a
`corpus_id` of its own, or AutoModel ends.

`nemo-inline`: `question_id`, `question`, `pos_doc` and `neg_doc`, each a list of `{text}`. Read in
`components/datasets/llm/retrieval_dataset_inline.py`: a document's other keys,
such as `id` and `score`, are passed over there; empty `pos_doc` ends the training, and so does an empty
`neg_doc` where negatives are asked for (`n_passages` above 1). Too few negatives are repeated.
"""

from __future__ import annotations

import pyarrow as pa

from hardneg.export.columns import constant, lists, objects, scores
from hardneg.export.examples import Examples
from hardneg.export.formats import FOLDER, FolderFile, Format
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


CORPUS_ID = "corpus"
_BEFORE = b'{"corpus": [{"path": "corpus"}], "data": [\n'
_METADATA = b'{"class": "TextQADataset", "corpus_id": "corpus"}\n'


def by_id(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group: question_id, question, corpus_id, pos_doc, neg_doc."""
    columns = {
        "question_id": examples.query_id,
        "question": examples.query,
        "corpus_id": constant(CORPUS_ID, len(examples.query)),
    }
    for side, (at, start) in examples.sides().items():
        document = {"id": examples.doc_id.take(pa.array(at))}
        if options.scores:
            document["score"] = scores(examples.score[at])
        columns[f"{side}_doc"] = lists(objects(**document), start)
    return pa.table(columns)


def corpus(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"id": examples.doc_id, "text": examples.text})


def _nothing(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"id": examples.doc_id[:0]})


FORMATS = {
    "nemo": Format(
        rows=by_id,
        kinds=FOLDER,
        takes=frozenset({"scores", "ids"}),
        each=True,
        folder={
            "train.json": FolderFile(by_id, "json", frame=(_BEFORE, b"\n]}\n")),
            "corpus/train.parquet": FolderFile(corpus, "parquet", key="id"),
            "corpus/merlin_metadata.json": FolderFile(_nothing, "json", frame=(b"", _METADATA)),
        },
    ),
    "nemo-inline": Format(
        rows=inline,
        kinds={".jsonl": "jsonl", ".json": "jsonl"},
        takes=frozenset({"scores", "ids"}),
        each=True,
    ),
}
