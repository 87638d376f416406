"""The canonical score: a dot product that comes out the same on every machine, in any batch.

Products of two float32 numbers are exact in float64. They are summed by a halving tree: with the dimension
filled up with zeros to a power of two, the upper half is added onto the lower half until one number is left.
Each step adds array to array, element by element, so that neither the shape of a batch, nor the number of
threads, nor a BLAS decides the order of a sum. The sum is rounded once, to float32.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from hardneg.cores import usable_cores
from hardneg.protocols import Vectors
from hardneg.records import NO_DOC, Float32, Int32, Int64

Float64 = NDArray[np.float64]

_SUM_ELEMENTS = 1 << 17
"""Products summed at once: 1 MiB of float64, which stays in a core's own cache."""
_GATHER_ELEMENTS = 1 << 21
"""Vector elements that a thread fetches at once: 8 MiB of float32."""
_TRANSPOSE_WIDTH = 32
"""From this width on numpy adds faster along the documents than along the dimension."""


def canonical_scores(query_vectors: Float32, document_vectors: Float32) -> Float32:
    """float32 (queries, k) from float32 vectors (queries, dimension) and (queries, k, dimension)."""
    queries, k, dimension = document_vectors.shape
    out = np.empty((queries, k), np.float32)
    left = query_vectors.astype(np.float64)
    step = max(1, _SUM_ELEMENTS // max(1, k * dimension))
    for start in range(0, queries, step):
        products = document_vectors[start : start + step].astype(np.float64)
        products *= left[start : start + step, None, :]
        sums = sum_in_fixed_order(products.reshape(len(products) * k, dimension))
        out[start : start + step] = sums.reshape(-1, k)
    return out


def canonical_pair_scores(
    query_vectors: Float32, query: Int64, document_vectors: Float32, doc: Int64
) -> Float32:
    """float32 (pairs,): the canonical score of `query_vectors[query]` with `document_vectors[doc]`."""
    out = np.empty(len(query), np.float32)
    step = max(1, _SUM_ELEMENTS // max(1, query_vectors.shape[1]))
    for start in range(0, len(query), step):
        part = slice(start, start + step)
        products = document_vectors[doc[part]].astype(np.float64)
        products *= query_vectors[query[part]]
        out[part] = sum_in_fixed_order(products)
    return out


def score_documents(query_vectors: Float32, documents: Vectors, doc: Int32) -> Float32:
    """float32 (queries, k): canonical scores of the documents `doc` (queries, k), NaN where NO_DOC."""
    queries, k = doc.shape
    dimension = query_vectors.shape[1]
    out = np.empty((queries, k), np.float32)
    step = max(1, _GATHER_ELEMENTS // max(1, k * dimension))

    def score(start: int) -> None:
        rows = np.maximum(doc[start : start + step], 0)
        vectors = documents.take(rows.reshape(-1)).reshape(*rows.shape, dimension)
        out[start : start + step] = canonical_scores(query_vectors[start : start + step], vectors)

    with ThreadPoolExecutor(usable_cores()) as threads:
        for _ in threads.map(score, range(0, queries, step)):
            pass
    out[doc == NO_DOC] = np.nan
    return out


def sum_in_fixed_order(products: Float64) -> Float64:
    """float64 (n,): the sum of each row of `products` (n, dimension), which is used up."""
    width = products.shape[1]
    if width == 0:
        return np.zeros(len(products))
    width = _halve(products, width, _TRANSPOSE_WIDTH)
    columns = np.ascontiguousarray(products[:, :width].T)
    while width > 1:
        half = _lower_half(width)
        columns[: width - half] += columns[half:width]
        width = half
    sums: Float64 = columns[0] + 0.0  # so that no sum is -0.0
    return sums


def _halve(products: Float64, width: int, until: int) -> int:
    """Fold the upper half of each row onto the lower one until at most `until` columns are left."""
    while width > until:
        half = _lower_half(width)
        products[:, : width - half] += products[:, half:width]
        width = half
    return width


def _lower_half(width: int) -> int:
    """Half of `width` filled up to a power of two; adding the zeros of the filling would change nothing."""
    return 1 << ((width - 1).bit_length() - 1)
