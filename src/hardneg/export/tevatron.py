"""Tevatron's training files: with the passages in them (`tevatron`), or ids and a corpus (`tevatron-ids`).

`tevatron`, which its versions 1 and 2 both read: `query_id`, `query`, `positive_passages` and
`negative_passages`, each a list of `{docid, title, text}`. `tevatron-ids`, of version 2: `query_id`,
`query_text`, `positive_document_ids`, `negative_document_ids`, and a corpus of `docid` and `text`.

Read in texttron/tevatron, `src/tevatron/retriever/dataset.py` (`TrainDataset`, `DistilTrainDataset`), and in
the package tevatron 0.1.0, `tevatron/datasets/preprocessor.py`. Both join `title + " " + text` wherever a
passage has a title, so a null title ends the training and every passage here has one, empty if need be; a
group without negatives does too, for they draw from it. `score` stands in a passage, where `train_distil`
looks for it; with ids it looks in the corpus, where a score cannot be a query's. Training takes the `text` of
such a corpus alone, while encoding puts its `title` before it: so the corpus here has the whole in `text`.
"""

from __future__ import annotations

import pyarrow as pa

from hardneg.export.columns import lists, objects, scores
from hardneg.export.examples import Examples
from hardneg.export.formats import FOLDER, FolderFile, Format
from hardneg.export.options import ExportOptions


def rows(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group: query_id, query, positive_passages, negative_passages."""
    columns = {"query_id": examples.query_id, "query": examples.query}
    names = {"pos": "positive_passages", "neg": "negative_passages"}
    for side, (at, start) in examples.sides().items():
        entries = pa.array(at)
        passage = {
            "docid": examples.doc_id.take(entries),
            "title": examples.titles.take(entries),
            "text": examples.bodies.take(entries),
        }
        if options.scores:
            passage["score"] = scores(examples.score[at])
        columns[names[side]] = lists(objects(**passage), start)
    return pa.table(columns)


def ids(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group: query_id, query_text, positive_document_ids, negative_document_ids."""
    columns = {"query_id": examples.query_id, "query_text": examples.query}
    names = {"pos": "positive_document_ids", "neg": "negative_document_ids"}
    for side, (at, start) in examples.sides().items():
        columns[names[side]] = lists(examples.doc_id.take(pa.array(at)), start)
    return pa.table(columns)


def corpus(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"docid": examples.doc_id, "text": examples.text})


FORMATS = {
    "tevatron": Format(
        rows=rows,
        kinds={".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"},
        takes=frozenset({"scores", "ids"}),
        each=True,
    ),
    "tevatron-ids": Format(
        rows=ids,
        kinds=FOLDER,
        takes=frozenset({"ids"}),
        each=True,
        folder={
            "train.jsonl": FolderFile(ids, "jsonl"),
            "corpus.jsonl": FolderFile(corpus, "jsonl", key="docid"),
        },
    ),
}
