"""How alike two texts are: the Jaccard similarity of their sets of character 5-grams (queries: 3-grams).

The n-grams are those of the normalised text (`texts.normalise`), so Unicode form, case and spacing make no
difference; a text shorter than that is one shingle as a whole, an empty one has none and is like nothing.
One changed character changes five shingles: at 0.8, a text of 100 characters bears two typos, one of 1,000
characters about twenty; one of under 50 characters bears none inside, but a character more at the end.
Queries are that short, and one changed character changes three of their shingles: from 30 characters on they
bear a typo.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hardneg.records import Int64

UInt64 = NDArray[np.uint64]
Float64 = NDArray[np.float64]

DOCUMENT = 5
QUERY = 3
# An odd multiplier for the polynomial hash of a shingle's code points, and those of splitmix64's finaliser.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def shingle_hashes(texts: Sequence[str], length: int = DOCUMENT) -> tuple[UInt64, Int64]:
    """The shingles of normalised texts, repeated ones included, as 64-bit hashes.

    returns  uint64 (shingles,) and int64 (texts + 1,): those of text i stand from start[i] to start[i + 1]
    """
    padded = [text.ljust(length, "\0") if text else "" for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    start = np.concatenate([[0], np.cumsum(np.maximum(lengths - (length - 1), 0))])
    if len(points) < length:
        return np.zeros(0, np.uint64), start
    windows = len(points) - length + 1
    hashes = points[:windows].copy()
    for place in range(1, length):
        hashes *= _BASE
        hashes += points[place : place + windows]
    return mix(hashes[_inside(lengths, length)]), start


def _inside(lengths: Int64, length: int) -> NDArray[np.bool_]:
    """Which windows over the joined texts lie within one text."""
    inside = np.ones(int(lengths.sum()), np.bool_)
    ends = np.cumsum(lengths)[lengths > 0]
    for back in range(1, length):
        inside[ends - back] = False
    return inside[: len(inside) - length + 1]


def mix(hashes: UInt64) -> UInt64:
    """Spread every bit over all bits, in place (the finaliser of splitmix64)."""
    for shift, factor in _MIX:
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(31)
    return hashes


def similarities(texts: Sequence[str], left: Int64, right: Int64, length: int = DOCUMENT) -> Float64:
    """The exact Jaccard similarity of pairs of normalised texts (up to a clash of two 64-bit hashes).

    left, right  int64 (pairs,): places in `texts`
    length       characters of a shingle
    returns      float64 (pairs,)
    """
    from scipy import sparse

    hashes, start = shingle_hashes(texts, length)
    distinct, column = np.unique(hashes, return_inverse=True)
    shape = (len(texts), max(len(distinct), 1))
    sets = sparse.csr_array((np.ones(len(hashes), np.int32), column, start), shape=shape)
    sets.sum_duplicates()
    sets.data[:] = 1
    sizes = np.diff(sets.indptr).astype(np.int64)
    shared = np.asarray(sets[left].multiply(sets[right]).sum(axis=1)).reshape(-1)
    union = sizes[left] + sizes[right] - shared
    result: Float64 = np.divide(shared, union, out=np.zeros(len(left)), where=union > 0)
    return result
