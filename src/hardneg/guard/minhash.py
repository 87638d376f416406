"""Telling texts that may be alike from those that are not: MinHash sketches, and bands to look them up.

A sketch is a one-permutation MinHash (Li, Owen and Zhang, "One Permutation Hashing", NIPS 2012): every
shingle's hash falls into one of 128 buckets, and a bucket keeps its smallest. For two texts of similarity J a
bucket that either of them fills is equal with probability J; buckets that neither fills are left out of the
estimate. A pair is dropped where its estimate lies five standard deviations under the threshold. Of each
bucket 16 bits are kept: two unlike ones are equal by chance once in 65,535 times.

Where all pairs of two sets are asked for, sketches are compared only where a whole band is equal. With bands
of r buckets the chance to find a pair of similarity J is 1 - (1 - J^r)^(128 / r): for the default threshold r
is 4, and that is 0.99999995 at 0.8 and more than 1 - 1e-10 at 0.85. r is chosen so that it is at least 0.999
at the threshold, whatever that is. For the bands, empty buckets borrow from others chosen by a fixed hash,
the same for all texts (Shrivastava, "Optimal Densification for Fast and Accurate Minwise Hashing", ICML
2017): without that, the bands of short texts hold single shingles, and a common phrase makes thousands of
them candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardneg.guard.portions import slices
from hardneg.guard.shingles import DOCUMENT, UInt64, mix, shingle_hashes
from hardneg.records import Bool, Int64

UInt16 = NDArray[np.uint16]
Int = NDArray[np.integer]

BUCKETS = 128
RECALL = 0.999
EMPTY = np.uint16(0xFFFF)
_NOTHING = np.uint32(0xFFFFFFFF)
_MOST_PAIRS = 1 << 21  # pairs looked up at a time
_MOST_COMPARED = 1 << 14  # pairs whose sketches are compared at a time
DEVIATIONS = 5.0
_FOLD = np.uint32(0x9E3779B1)  # odd: spreads the smallest of many hashes over all 16 bits that are kept


def rows_per_band(threshold: float) -> int:
    """The widest band that still finds a pair at the threshold with probability RECALL."""
    fitting = [rows for rows in (2, 4, 8, 16) if 1 - (1 - threshold**rows) ** (BUCKETS // rows) >= RECALL]
    return max(fitting, default=1)


def sketches(texts: Sequence[str], length: int = DOCUMENT) -> UInt16:
    """uint16 (texts, BUCKETS) of normalised texts, EMPTY where no shingle of that length fell."""
    hashes, start = shingle_hashes(texts, length)
    owner = np.repeat(np.arange(len(texts), dtype=np.int64), np.diff(start))
    bucket = (hashes >> np.uint64(57)).astype(np.int64)
    least = np.full(len(texts) * BUCKETS, _NOTHING, np.uint32)
    np.minimum.at(least, owner * BUCKETS + bucket, hashes.astype(np.uint32))
    folded = np.minimum((least * _FOLD) >> np.uint32(16), np.uint32(EMPTY - 1)).astype(np.uint16)
    return np.where(least == _NOTHING, EMPTY, folded).reshape(len(texts), BUCKETS)


def plausible(left: UInt16, here: Int, right: UInt16, there: Int, threshold: float) -> Bool:
    """Where the share of equal buckets does not speak against the threshold.

    left, right  uint16 (texts, BUCKETS)
    here, there  rows of left and of right: (pairs,)
    returns      bool (pairs,)
    """
    passes = np.zeros(len(here), np.bool_)
    for start in range(0, len(here), _MOST_COMPARED):
        part = slice(start, start + _MOST_COMPARED)
        ours, theirs = left[here[part]], right[there[part]]
        filled = (ours != EMPTY) | (theirs != EMPTY)
        buckets = np.maximum(np.count_nonzero(filled, axis=1), 1)
        share = np.count_nonzero((ours == theirs) & filled, axis=1) / buckets
        slack = DEVIATIONS * np.sqrt(threshold * (1 - threshold) / buckets)
        passes[part] = share >= threshold - slack - 1e-9
    return passes


@dataclass(frozen=True)
class Bands:
    """The bands of some sketches, to look up others.

    sketch  uint16 (texts, BUCKETS)
    key     uint64 (bands,), ascending
    owner   int64 (bands,): the text that has this band
    """

    threshold: float
    sketch: UInt16
    key: UInt64
    owner: Int64

    @classmethod
    def of(cls, sketch: UInt16, threshold: float) -> Bands:
        owner, key = _band_keys(sketch, rows_per_band(threshold))
        order = np.argsort(key, kind="stable")
        return cls(threshold, sketch, key[order], owner[order])

    def alike(self, other: UInt16) -> Iterator[tuple[Int64, Int64]]:
        """Pairs (place here, place among `other`) that may reach the threshold, some at a time, each once."""
        owner, key = _band_keys(other, rows_per_band(self.threshold))
        first = np.searchsorted(self.key, key, "left")
        count = np.searchsorted(self.key, key, "right") - first
        per_text = np.bincount(owner, count, len(other)).astype(np.int64)
        for texts in slices(per_text, _MOST_PAIRS):
            part = slice(*np.searchsorted(owner, [texts.start, texts.stop]))
            here = self.owner[_ranges(first[part], count[part])]
            there = np.repeat(owner[part], count[part])
            pair = np.sort(here << 32 | there)  # np.unique hashes, and is many times slower
            pair = pair[np.diff(pair, prepend=-1) != 0]
            here, there = pair >> 32, pair & 0xFFFFFFFF
            keep = plausible(self.sketch, here, other, there, self.threshold)
            yield here[keep], there[keep]


def densified(sketch: UInt16) -> UInt16:
    """Empty buckets filled from others of the same text; a text without shingles stays empty."""
    dense = sketch.copy()
    row, column = np.nonzero((sketch == EMPTY) & (sketch != EMPTY).any(axis=1)[:, None])
    attempt = np.uint64(0)
    while len(row):
        attempt += np.uint64(BUCKETS)
        source = (mix(column.astype(np.uint64) + attempt) % np.uint64(BUCKETS)).astype(np.int64)
        value = sketch[row, source]
        dense[row, column] = value
        missing = value == EMPTY
        row, column = row[missing], column[missing]
    return dense


def _band_keys(sketch: UInt16, rows: int) -> tuple[Int64, UInt64]:
    """Owner and key of every band, by owner; texts without shingles have none."""
    bands = densified(sketch).reshape(len(sketch), BUCKETS // rows, rows)
    key = np.broadcast_to(np.arange(BUCKETS // rows, dtype=np.uint64), bands.shape[:2]).copy()
    for place in range(rows):
        key = mix(key + bands[:, :, place])
    owner, band = np.nonzero((bands != EMPTY).any(axis=2))
    return owner, key[owner, band]


def _ranges(first: Int64, count: Int64) -> Int64:
    """first[0], first[0] + 1, ... count[0] of them, then those of the next."""
    before = np.concatenate([[0], np.cumsum(count)[:-1]])
    ranges: Int64 = np.arange(count.sum(), dtype=np.int64) + np.repeat(first - before, count)
    return ranges
