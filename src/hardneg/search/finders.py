"""Who finds candidates among blocks of documents, by approximate scores of a known largest error.

A finder is told blocks of documents one after the other and remembers the best for each query. What it says
is never taken as it is: `exact` scores it again, and proves by the error that nothing was missed.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hardneg.records import Float32, Int32
from hardneg.search.ordering import NOTHING, Keys, smallest, sort_keys, unpack


class Running(Protocol):
    """The best so far of some queries."""

    def add(self, start: int, vectors: Float32) -> None:
        """Look at a block of documents, float32 (rows, dimension), the first of which is row `start`."""
        ...

    def best(self) -> tuple[Int32, Float32]:
        """Rows and approximate scores, (queries, fetch) both, in no order; NO_DOC and NaN where there are
        fewer documents."""
        ...


class Finder(Protocol):
    """queries_at_once     how many queries go through the documents together
    candidates_at_once  and how many candidates, all queries' together, are held meanwhile
    block_bytes         float32 bytes of documents that are looked at together
    blocks_ahead        how many blocks of documents are read while one is looked at
    overfetch           documents to find beyond the depth, so that nearly every boundary is proved
    """

    queries_at_once: int
    candidates_at_once: int
    block_bytes: int
    blocks_ahead: int
    overfetch: int

    def relative_error(self, dimension: int) -> float:
        """How far a score may be from the dot product of the float32 vectors, for vectors of length 1.

        Of documents that differ in length, the longest counts.
        """
        ...

    def begin(self, queries: Float32, fetch: int) -> Running:
        """queries  float32 (queries, dimension)."""
        ...


HALF = 2.0**-11
"""How far rounding to half precision moves a number, as a part of it."""


def float32_error(dimension: int) -> float:
    """gamma_d of a float32 dot product, for some more operations than it has (module `exact`).

    They pay for the canonical score's own rounding to float32 and for computing the bound in float32.
    """
    operations = (dimension + 16) * 2.0**-24
    return operations / (1 - operations)


def half_error(dimension: int) -> float:
    """Of vectors rounded to half precision (11 bits), multiplied, and summed in float32.

    Both vectors are scaled first, so that their largest numbers lie in [1/2, 1): a power of two, which is
    exact, and nothing overflows. Rounding moves each number by at most 2^-11 of it, or by 2^-25 where it is
    subnormal, and so a vector by at most 2^-11 + 2^-24 sqrt(d) of its length (a document: of the longest's).
    Products of two halves are exact in float32. The sum may be rounded to half precision once more.
    """
    moved = HALF + 2.0**-24 * float(np.sqrt(dimension))
    return (1 + moved) ** 2 * (1 + gpu_sum_error(dimension)) * (1 + HALF) - 1 + 2.0**-22


def gpu_sum_error(dimension: int) -> float:
    """Tensor cores may cut off where others round, which costs a factor of two a step."""
    return 4 * float32_error(dimension)


def scaled_rows(vectors: Float32) -> tuple[Float32, Float32]:
    """Each vector with its largest number in [1/2, 1), and what gives it back: float32 (rows,)."""
    exponent = np.frexp(np.abs(vectors).max(axis=1, initial=0))[1]
    return np.ldexp(vectors, -exponent[:, None]), np.ldexp(np.float32(1), exponent)


def exponent_of(vectors: Float32) -> int:
    """Of the power of two that all are to be divided by, for the largest number to lie in [1/2, 1)."""
    return int(np.frexp(max(vectors.max(initial=0), -vectors.min(initial=0)))[1])


CANDIDATES_AT_ONCE = 1 << 21
"""On a CPU; 32 bytes each."""
BLOCK_BYTES = 256 << 20
"""On a CPU: FAISS looks for a threshold anew in each block, and what it finds is put together; with a quarter
of this it takes a tenth longer. Two blocks are held, one of them being read.
"""
BLOCK_BYTES_OF_A_GPU = 128 << 20


class Best:
    """The best so far, as keys (`ordering`)."""

    def __init__(self, queries: int, fetch: int) -> None:
        self.fetch = fetch
        self._keys: Keys = np.full((queries, 0), NOTHING, np.uint64)

    def add(self, score: Float32, row: NDArray[np.int64]) -> None:
        self._keys = smallest(np.concatenate([self._keys, sort_keys(score, row)], axis=1), self.fetch)

    def unpacked(self) -> tuple[Int32, Float32]:
        return unpack(self._keys)
