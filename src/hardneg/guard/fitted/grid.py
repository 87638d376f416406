"""Unit vectors on a grid of whole numbers: their dot products are exact, so nothing decides their last bit.

A coordinate is a whole number of 1/GRID. Every partial sum of a dot product of two such vectors is a whole
number below 2**24, which float32 holds exactly (Cauchy-Schwarz), in whatever order it is summed: block
sizes, threads and devices change no byte, at the full speed of a float32 matrix product. The price is an
error of about 0.4 / GRID in a cosine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hardneg.records import NO_DOC, Bool, Float32, Float64, Int32

GRID = 1024


def on_grid(vectors: Float32) -> Float32:
    """float32 (..., dimension) → the same directions with length GRID, whole numbers; zero stays zero."""
    norm = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    scale = np.divide(np.float32(GRID), norm, out=np.zeros_like(norm), where=norm > 0)
    whole: Float32 = vectors * scale
    return np.rint(whole, out=whole)


class Space:
    """Vectors of one kind, for queries and documents: what similarities are taken in.

    query, document  int32 rows (n,) → float32 (n, dimension), any length
    whole            they are whole numbers of one length already, no longer than GRID
    """

    def __init__(
        self,
        name: str,
        query: Callable[[Int32], Float32],
        document: Callable[[Int32], Float32],
        whole: bool = False,
    ) -> None:
        self.name, self._query, self._document = name, query, document
        self._on_grid: Callable[[Float32], Float32] = (lambda vectors: vectors) if whole else on_grid

    def queries(self, rows: Int32) -> Float32:
        return self._on_grid(self._query(rows))

    def documents(self, rows: Int32) -> Float32:
        """int32 (...) → float32 (..., dimension) on the grid; NO_DOC gives zeros."""
        found = rows != NO_DOC
        if found.all():
            taken = self._on_grid(self._document(rows.ravel()))
            return taken.reshape(*rows.shape, taken.shape[1])
        some = self._on_grid(self._document(rows[found]))
        out = np.zeros((*rows.shape, some.shape[1]), np.float32)
        out[found] = some
        return out


def cosines(left: Float32, right: Float32) -> Float32:
    """float32 (queries, n, dimension) × (queries, m, dimension) on the grid → (queries, n, m), whole numbers
    of 1 / GRID²: exact."""
    product: Float32 = np.matmul(left, np.swapaxes(right, 1, 2))
    return product


def standardised(values: Float64, present: Bool) -> Float64:
    """Values of whole numbers (queries, width) less their row's mean, over its standard deviation.

    Sums of whole numbers are exact in float64, so the width of the block changes nothing. 0 where nothing is
    present or all are equal.
    """
    mean, deviation = moments(values, present)
    out: Float64 = np.where(present, (values - mean) / deviation, 0.0)
    return out


def moments(values: Float64, present: Bool) -> tuple[Float64, Float64]:
    """Mean and standard deviation of the whole numbers of each row; 1 where all are equal."""
    count = np.maximum(present.sum(axis=1, keepdims=True), 1)
    kept = np.where(present, values, 0.0)
    mean = kept.sum(axis=1, keepdims=True) / count
    variance = (kept * kept).sum(axis=1, keepdims=True) / count - mean * mean
    return mean, np.sqrt(np.where(variance > 0, variance, 1.0))
