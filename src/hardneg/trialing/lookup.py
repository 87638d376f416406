"""What is known of documents, found by query and document."""

from __future__ import annotations

import numpy as np

from hardneg.records import NO_DOC, Float32, Int32, Int64


def looked_up(doc: Int32, listed: Int32, value: Float32, nothing: float) -> Float32:
    """The value of each document at its first place in the same row of `listed`: float32 like doc.

    doc      int32 (rows, any), NO_DOC filled
    listed   int32 (rows, any), NO_DOC filled
    value    float32 like listed
    nothing  of documents that are not there
    """
    row, column = np.nonzero(listed != NO_DOC)
    keys = row << 32 | listed[row, column]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    wanted: Int64 = np.arange(len(doc))[:, None] << 32 | doc.astype(np.int64)
    place = np.searchsorted(keys, wanted)
    there = (doc != NO_DOC) & (place < len(keys))
    there[there] = keys[place[there]] == wanted[there]
    out = np.full(doc.shape, nothing, np.float32)
    out[there] = value[row, column][order][place[there]]
    return out
