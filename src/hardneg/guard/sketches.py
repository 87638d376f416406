"""The sketches of a corpus, kept in files: what says in a moment which documents may be near copies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hardneg.files import mapped_array, open_mapped
from hardneg.guard.minhash import BUCKETS, DEVIATIONS, UInt16, densified, plausible, sketches
from hardneg.guard.portions import NormalisedTexts
from hardneg.guard.shingles import UInt64
from hardneg.progress import Silent
from hardneg.protocols import Progress
from hardneg.records import Bool, Int32

GLANCED = 16
"""Buckets compared at first, 32 bytes a document, empty ones filled from others. At the default threshold
five must be equal: a copy at the threshold itself has fewer 3 times in a million, and next to no other text
has so many."""
_MARKED_AT_ONCE = 1 << 16
_FILES = ("sketches-first.npy", "sketches.npy")


@dataclass(frozen=True)
class Sketches:
    """first  uint16 (documents, GLANCED): the first buckets of each sketch, empty ones filled
    whole  uint16 (documents, BUCKETS)
    """

    first: UInt16
    whole: UInt16

    @classmethod
    def of(cls, corpus: pa.Table, join_title: bool = True) -> Sketches:
        """In memory."""
        first, whole = (np.empty((corpus.num_rows, width), np.uint16) for width in (GLANCED, BUCKETS))
        _fill(first, whole, corpus, join_title, Silent())
        return cls(first, whole)

    @staticmethod
    def write(corpus: pa.Table, folder: Path, mark: str, join_title: bool, progress: Progress) -> None:
        """Into files of this folder, marked as of this corpus, some thousand texts in memory at a time."""
        first_path, whole_path = (folder / name for name in _FILES)
        with (
            mapped_array(first_path, np.uint16, (corpus.num_rows, GLANCED), mark) as first,
            mapped_array(whole_path, np.uint16, (corpus.num_rows, BUCKETS), mark) as whole,
        ):
            _fill(first, whole, corpus, join_title, progress)

    @classmethod
    def open(cls, folder: Path, mark: str) -> Sketches:
        """What `write` wrote, mapped. Raises DamagedError where it is not as it was written."""
        return cls(*(open_mapped(folder / name, mark) for name in _FILES))

    @staticmethod
    def written(folder: Path) -> bool:
        return all((folder / name).exists() for name in _FILES)

    @cached_property
    def marks(self) -> UInt64:
        """uint64 (documents,): four bits of each of the first buckets; equal buckets have equal bits."""
        marks = np.empty(len(self.first), np.uint64)
        for start in range(0, len(marks), _MARKED_AT_ONCE):
            four = (self.first[start : start + _MARKED_AT_ONCE] & np.uint16(15)).astype(np.uint8)
            both = four[:, ::2] | four[:, 1::2] << np.uint8(4)
            marks[start : start + len(both)] = np.ascontiguousarray(both).view(np.uint64)[:, 0]
        return marks

    def glance(self, doc: Int32) -> UInt16:
        """uint16 (..., GLANCED) of these documents."""
        # NO_DOC (-1) gives some document's: it is the caller's to leave out.
        return self.first.take(doc, axis=0, mode="wrap")

    def plausible(self, left: Int32, right: Int32, threshold: float) -> Bool:
        """Which of these pairs of documents may reach the threshold: bool (pairs,)."""
        return plausible(self.whole, left, self.whole, right, threshold)


def equal_at_first(one: UInt16, other: UInt16) -> NDArray[np.uint8]:
    """In how many of the first buckets two sketches are equal."""
    halves = np.bitwise_count((one == other).view(np.uint64))  # a true byte has one bit
    equal: NDArray[np.uint8] = halves[..., 0] + halves[..., 1]
    return equal


def marks_equal(one: UInt64, other: UInt64) -> NDArray[np.uint8]:
    """How many of the first buckets two `marks` allow to be equal, at least as many as are: 16 less those
    that differ."""
    differ = one ^ other
    differ |= differ >> np.uint64(2)
    differ |= differ >> np.uint64(1)
    differ &= np.uint64(0x1111111111111111)  # a bit for each four of which any differ
    equal: NDArray[np.uint8] = np.uint8(GLANCED) - np.bitwise_count(differ)
    return equal


def least_at_first(threshold: float) -> int:
    """So many of the first buckets are equal at least where the threshold is reached (see `minhash`)."""
    spread = math.sqrt(GLANCED * threshold * (1 - threshold))
    return max(math.ceil(GLANCED * threshold - DEVIATIONS * spread - 1e-9), 0)


def _fill(first: UInt16, whole: UInt16, corpus: pa.Table, join_title: bool, progress: Progress) -> None:
    rows = np.arange(corpus.num_rows, dtype=np.int64)
    with progress.track("near duplicates", len(rows), "documents") as advance:
        for some, texts in NormalisedTexts(corpus, join_title).portions(rows):
            sketch = sketches(texts)
            first[some], whole[some] = densified(sketch)[:, :GLANCED], sketch
            advance(len(some))
