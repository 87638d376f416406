"""Texts that are the same but for Unicode form, case and spacing: one class number each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hardneg.guard.members import NOTHING, is_in
from hardneg.records import Int32
from hardneg.texts import blank, document_texts, normalise

UInt64 = NDArray[np.uint64]
_ROWS = 16384


@dataclass(frozen=True)
class TextClasses:
    """Two texts have the same class where `texts.normalise` makes them equal.

    document            int32 (documents,): class of the encoded text
    document_text_only  int32 (documents,): class of the text without its title
    query               int32 (queries,)
    characters          int32 (documents,): length of the encoded text, trimmed; 0 where it shows nothing
    keys                uint64 (classes,): hash of each class's normalised text, ascending. 64 bits: among a
                        hundred million texts two share a hash with a probability of 3 in 10,000
    """

    document: Int32
    document_text_only: Int32
    query: Int32
    characters: Int32
    keys: UInt64

    @classmethod
    def build(cls, corpus: pa.Table, queries: pa.Table, join_title: bool = True) -> TextClasses:
        """From the tables, some thousand texts in memory at a time; `join_title` as for encoding."""
        starts = range(0, corpus.num_rows, _ROWS)
        parts = [_read(corpus.slice(start, _ROWS), join_title) for start in starts]
        parts = parts or [(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int32))]
        encoded, alone, characters = (np.concatenate(column) for column in zip(*parts, strict=True))
        query = _hashes(queries["text"])
        keys, place = np.unique(np.concatenate([encoded, alone, query]), return_inverse=True)
        document, only, question = np.split(place.astype(np.int32), [len(encoded), 2 * len(encoded)])
        return cls(document, only, question, characters, keys)

    @property
    def representatives(self) -> Int32:
        """The first document of each class that has documents, ascending: int32 (distinct texts,)."""
        return np.sort(np.unique(self.document, return_index=True)[1]).astype(np.int32)

    def of(self, texts: Iterable[str]) -> Int32:
        """The classes of other texts, int32 (texts,); NOTHING where no document or query has that text."""
        wanted = np.fromiter((_hash(normalise(text)) for text in texts), np.uint64)
        place = np.searchsorted(self.keys, wanted)
        return np.where(is_in(wanted, self.keys), place, NOTHING).astype(np.int32)

    def to_table(self) -> pa.Table:
        """One row, one list column a field: a table that Parquet keeps."""
        return pa.table(
            {
                name: pa.LargeListArray.from_arrays(
                    pa.array([0, len(getattr(self, name))], pa.int64()), pa.array(getattr(self, name))
                )
                for name in _FIELDS
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> TextClasses:
        return cls(**{name: table[name].combine_chunks().flatten().to_numpy() for name in _FIELDS})


_FIELDS = ("document", "document_text_only", "query", "characters", "keys")


def _read(corpus: pa.Table, join_title: bool) -> tuple[UInt64, UInt64, Int32]:
    """Of some documents: hash of the encoded text, of the text alone, and the encoded text's length."""
    text = document_texts(corpus, join_title)
    alone = document_texts(corpus, join_title=False)
    encoded = _hashes(text)
    titled = np.asarray(pc.not_equal(text, alone), np.bool_)
    alone_hash = encoded.copy()
    alone_hash[titled] = _hashes(alone.filter(pa.array(titled)))
    characters = pc.if_else(blank(text), 0, pc.utf8_length(text))
    return encoded, alone_hash, np.asarray(characters).astype(np.int32)


def _hashes(texts: pa.ChunkedArray) -> UInt64:
    each = (
        text or "" for start in range(0, len(texts), _ROWS) for text in texts.slice(start, _ROWS).to_pylist()
    )
    return np.fromiter((_hash(normalise(text)) for text in each), np.uint64, len(texts))


def _hash(normalised: str) -> int:
    data = normalised.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
