"""Texts without ids take the id of a document that has one and holds the same text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.read.labels import rows_of
from hardneg.records import CORPUS
from hardneg.texts import document_texts, text_id

_BLOCK_ROWS = 32_768


def named_ids(loose: pa.Table, named: pa.Table) -> dict[str, str]:
    """id by text → lowest id of a named document that has this text, alone or behind its title.

    loose  documents whose ids `text_id` made
    named  documents sorted by id
    """
    renamed: dict[str, str] = {}
    for joined in (False, True):  # joined comes last and wins: it is the document as encoded
        row = rows_of(loose["doc_id"], pa.chunked_array([_text_ids(named, joined)]))
        found = np.flatnonzero(row >= 0)
        old = loose["doc_id"].take(pa.array(found)).to_pylist()
        renamed |= dict(zip(old, named["doc_id"].take(pa.array(row[found])).to_pylist(), strict=True))
    return renamed


def _text_ids(named: pa.Table, joined: bool) -> pa.Array:
    """The id that each text would get; blocks keep the copies in memory small."""
    ids: list[str] = []
    for start in range(0, named.num_rows, _BLOCK_ROWS):
        block = named.slice(start, _BLOCK_ROWS).select(CORPUS.names)
        texts = document_texts(block) if joined else block["text"]
        ids += [text_id(text or "", "d-") for text in texts.to_pylist()]
    return pa.array(ids, pa.string())
