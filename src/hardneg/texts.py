"""How texts are joined and compared: one definition for encoding, guarding and export."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

RULES: tuple[int | str, ...] = (2, unicodedata.unidata_version)
"""Of what `normalise` and `blank` give: another number or Unicode table means that it may be another."""
_SHOWS_NOTHING = "\0\ufeff\u200b"
_ROWS = 16384


def document_texts(corpus: pa.Table, join_title: bool = True) -> pa.ChunkedArray:
    """The text of each document as it is encoded: `title + " " + text`, trimmed, as BEIR joins them."""
    text = pc.fill_null(corpus["text"], "")
    if not join_title or "title" not in corpus.column_names:
        return pc.utf8_trim_whitespace(text)
    title = pc.fill_null(corpus["title"], "")
    space = pa.scalar(" ", pa.large_string())
    return pc.utf8_trim_whitespace(pc.binary_join_element_wise(title, text, space))


def normalise(text: str) -> str:
    """Unicode NFKC, case folded, runs of white space made one space, trimmed."""
    return single_spaced(unicodedata.normalize("NFKC", text).casefold())


def single_spaced(text: str) -> str:
    """Runs of white space made one space, trimmed."""
    return " ".join(text.split())


def is_blank(text: str) -> bool:
    """Nothing but white space and characters that show nothing."""
    return not text or (not text[0].isalnum() and not text.strip().strip(_SHOWS_NOTHING).strip())


def blank(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """`is_blank` of each, null of null."""
    bare = pc.utf8_trim(pc.utf8_trim_whitespace(texts), characters=_SHOWS_NOTHING)
    return pc.equal(pc.utf8_trim_whitespace(bare), "")


def blank_documents(corpus: pa.Table) -> npt.NDArray[np.bool_]:
    """bool (documents,): neither title nor text shows anything. Some thousand texts are copied at a time."""
    found = np.zeros(corpus.num_rows, np.bool_)
    for start in range(0, corpus.num_rows, _ROWS):
        part = corpus.slice(start, _ROWS)
        first = (pc.utf8_slice_codeunits(part[name], 0, 1) for name in ("title", "text"))
        seen = pc.or_kleene(*map(pc.utf8_is_alnum, first))
        suspect = np.flatnonzero(~np.asarray(pc.fill_null(seen, False), np.bool_))
        found[start + suspect] = np.asarray(blank(document_texts(part.take(pa.array(suspect)))), np.bool_)
    return found


def text_id(text: str, prefix: str) -> str:
    """The id of a text that brought none: the same text, the same id, whatever the row it stands on."""
    return prefix + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def text_number(text: str) -> int:
    """A text as a number of 64 bits: the same text, the same number, in every process."""
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


def take(texts: pa.ChunkedArray, rows: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """The texts of these rows, in their order, without the copy of the whole column that Arrow's makes."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
        return pa.concat_arrays(texts.slice(int(rows[0]), len(rows)).chunks)
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    bounds = np.cumsum([0, *(len(chunk) for chunk in texts.chunks)])
    cuts = np.searchsorted(ascending, bounds)
    parts = [
        chunk.take(pa.array(ascending[cuts[place] : cuts[place + 1]] - bounds[place]))
        for place, chunk in enumerate(texts.chunks)
        if cuts[place] < cuts[place + 1]
    ]
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return pa.concat_arrays(parts).take(pa.array(back)) if parts else pa.array([], texts.type)


def mended(text: str) -> str:
    """The text as tables hold it: each half of a surrogate pair is U+FFFD."""
    if text.isascii() or not has_half_pair(text):
        return text
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def has_half_pair(text: str) -> bool:
    """Whether half a surrogate pair is in it, which no UTF-8 holds: from JSON, or from a file's name."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
