"""What a text is called in the vector store: a hash of the prompt and the text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hardneg.records import Int64

HASH = np.dtype([("high", "<u8"), ("low", "<u8")])
"""16 bytes of blake2b as two numbers, which numpy sorts and searches without Python objects."""

Hashes = NDArray[np.void]


def text_hashes(texts: Any, prompts: str | Sequence[str]) -> Hashes:
    """HASH (len(texts),): blake2b over the prompt's length, the prompt and the text, all UTF-8.

    texts    pa.ChunkedArray of strings, or a sequence of str
    prompts  one for all, or one for each text

    The length in front keeps ("a", "bc") and ("ab", "c") apart whatever bytes they hold: a model may treat
    the prompt's tokens otherwise than the text's.
    """
    column = as_column(texts)
    out = bytearray(len(column) * HASH.itemsize)
    states: dict[str, Any] = {}
    for place, data in enumerate(_utf8(column)):
        prompt = prompts if isinstance(prompts, str) else prompts[place]
        state = states.get(prompt)
        if state is None:
            state = states[prompt] = _prompt_state(prompt)
        text_state = state.copy()
        text_state.update(data)
        out[place * 16 : place * 16 + 16] = text_state.digest()
    return np.frombuffer(out, HASH)


def _prompt_state(prompt: str) -> Any:
    data = prompt.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(len(data).to_bytes(8, "little") + data, digest_size=16)


def as_column(texts: Any) -> pa.ChunkedArray:
    """The texts as one column of large strings."""
    if isinstance(texts, pa.Array):
        texts = pa.chunked_array([texts])
    if not isinstance(texts, pa.ChunkedArray):
        return pa.chunked_array([pa.array(texts, pa.large_string())])
    return texts.cast(pa.large_string())


def byte_lengths(column: pa.ChunkedArray) -> Int64:
    """UTF-8 bytes of each text, int64 (texts,)."""
    parts = [np.diff(_offsets(chunk)) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def first_places(hashes: Hashes) -> tuple[Int64, Int64]:
    """Where each distinct hash occurs first (ascending), and for each hash which of those is its own."""
    order = np.lexsort((hashes["low"], hashes["high"]))
    ordered = hashes[order]
    new = np.ones(len(hashes), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    # lexsort is stable: the first of each group is the group's first occurrence.
    group = np.cumsum(new) - 1
    first = order[new]
    by_occurrence = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[by_occurrence] = np.arange(len(first))
    own = np.empty(len(hashes), np.int64)
    own[order] = rank[group] if len(first) else 0
    return first[by_occurrence], own


def _offsets(chunk: pa.Array) -> Int64:
    if len(chunk) == 0:
        return np.zeros(1, np.int64)
    offsets: Int64 = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    return offsets


def _utf8(column: pa.ChunkedArray) -> Iterator[memoryview]:
    """Each text's bytes where they lie in the Arrow buffers: no str is made."""
    for chunk in column.chunks:
        data = chunk.buffers()[2] if len(chunk) else None
        view = memoryview(b"" if data is None else data)
        offsets = _offsets(chunk).tolist()
        for start, stop in pairwise(offsets):
            yield view[start:stop]
