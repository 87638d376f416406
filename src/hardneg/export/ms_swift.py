"""What ms-swift trains embedding models and rerankers on: chat messages, and those of the documents.

`messages`, `positive_messages`, `negative_messages`; each document is a conversation of its own, so that the
last two are lists of lists. Read in the package ms-swift 4.6.0, `swift/template/base.py`
(`_embedding_encode`, `_reranker_encode`), `swift/dataset/preprocessor/core.py` and
`swift/dataset/dataset/llm.py` (`StsbPreprocessor`, `MTEBRerankPreprocessor`). A document is what a `user`
says to an embedding model, of whose positives only the first is trained on (so here a row has one), and what
the `assistant` answers of a reranker, which draws from all of them. Other columns are dropped on loading.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.export.columns import constant, lists, objects, offsets
from hardneg.export.examples import Examples
from hardneg.export.formats import Format, Kind
from hardneg.export.options import ExportOptions
from hardneg.records import Int64


def embedding(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a positive, with all negatives of its group."""
    positive = np.flatnonzero(examples.is_positive)
    group = examples.group[positive]
    negative = examples.positives_by_negatives()[2]
    return pa.table(
        {
            "messages": _questions(examples, group),
            "positive_messages": _documents(examples, positive, np.arange(len(group) + 1), "user"),
            "negative_messages": _documents(
                examples, negative, offsets(examples.num_negatives[group]), "user"
            ),
        }
    )


def reranker(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group."""
    sides = examples.sides()
    columns = {"messages": _questions(examples, np.arange(len(examples.query)))}
    for side, name in (("pos", "positive_messages"), ("neg", "negative_messages")):
        columns[name] = _documents(examples, *sides[side], "assistant")
    return pa.table(columns)


def _questions(examples: Examples, group: Int64) -> pa.ListArray:
    """The query of each of these groups as what a user says, after its prompt, if any, as the system's."""
    query = examples.query.take(pa.array(group))
    if examples.prompt is None:
        return lists(objects(role=constant("user", len(group)), content=query), np.arange(len(group) + 1))
    prompt = examples.prompt.take(pa.array(group))
    texts = pa.concat_arrays([_plain(prompt), _plain(query)])
    roles = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat([0, 1], len(group)), pa.int32()), pa.array(["system", "user"], pa.large_string())
    )
    there = pc.not_equal(_plain(prompt), "").to_numpy(zero_copy_only=False)
    place = np.stack([np.arange(len(group)), np.arange(len(group)) + len(group)], axis=1)
    kept = pa.array(place[np.stack([there, np.ones_like(there)], axis=1)])
    messages = objects(role=roles.take(kept), content=texts.take(kept).dictionary_encode())
    return lists(messages, offsets(1 + there.astype(np.int64)))


def _plain(texts: pa.DictionaryArray) -> pa.Array:
    return texts.dictionary.take(texts.indices)


def _documents(examples: Examples, at: Int64, start: Int64, role: str) -> pa.ListArray:
    messages = objects(role=constant(role, len(at)), content=examples.text.take(pa.array(at)))
    return lists(lists(messages, np.arange(len(at) + 1)), start)


_KINDS: dict[str, Kind] = {".jsonl": "jsonl", ".json": "jsonl"}

FORMATS = {
    "ms-swift-embedding": Format(rows=embedding, kinds=_KINDS, takes=frozenset({"prompts"}), each=True),
    "ms-swift-reranker": Format(rows=reranker, kinds=_KINDS, takes=frozenset({"prompts"}), each=True),
}
