"""diverse: high scores, but unlike those chosen before."""

from __future__ import annotations

import numpy as np

from hardneg.protocols import Vectors
from hardneg.records import NO_DOC, Block, Bool, Float32, Int32
from hardneg.select.draws import Float64

_BYTES = 64 << 20
"""So much memory for the vectors of the candidates looked at together."""


class Diverse:
    """Maximal marginal relevance: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for
    Reordering Documents and Producing Summaries", SIGIR 1998. Next comes the candidate with the highest

        (1 - diversity) * relevance - diversity * (highest similarity to one chosen before)

    Against the paper: its λ is 1 - diversity. Relevance is the score, scaled within each query so that its
    eligible candidates span 0 to 1 (all 1 where they score the same), since retrievers' scores have no common
    scale; similarity is the cosine of the stored document vectors. The first is the one that scores highest;
    ties go by place in the block.
    """

    def __init__(self, diversity: float, documents: Vectors) -> None:
        self.diversity, self.documents = diversity, documents

    def order(
        self,
        block: Block,
        eligible: Bool,
        value: Float32,
        reference: Float32,
        uniform: Float64,
        limit: int,
    ) -> Int32:
        rows, width = eligible.shape
        limit = min(limit, width)
        found = np.full((rows, limit), NO_DOC, np.int32)
        step = max(1, _BYTES // max(1, width * self.documents.shape[1] * 4))
        for start in range(0, rows, step):
            part = slice(start, start + step)
            vectors = self._vectors(block.doc[part], eligible[part])
            relevance = scaled(value[part], eligible[part])
            found[part] = marginal_order(relevance, vectors, eligible[part], self.diversity, limit)
        return found

    def _vectors(self, doc: Int32, eligible: Bool) -> Float32:
        """Unit vectors of the eligible candidates, zero elsewhere: float32 (rows, width, dimension)."""
        vectors = np.zeros((*doc.shape, self.documents.shape[1]), np.float32)
        rows, place = np.unique(doc[eligible], return_inverse=True)
        if len(rows):
            taken = self.documents.take(rows.astype(np.int32)).astype(np.float32)
            length = np.sqrt(np.square(taken, dtype=np.float64).sum(axis=1))
            taken /= np.where(length > 0, length, 1.0).astype(np.float32)[:, None]
            vectors[eligible] = taken[place]
        return vectors


def scaled(value: Float32, eligible: Bool) -> Float64:
    """Values of each row so that the eligible ones span 0 to 1: float64 (rows, width)."""
    wide = value.astype(np.float64)
    top = np.where(eligible, wide, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    bottom = np.where(eligible, wide, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    with np.errstate(invalid="ignore"):
        extent = top - bottom
        part: Float64 = np.where(extent > 0, (wide - bottom) / np.where(extent > 0, extent, 1.0), 1.0)
    return part


def marginal_order(
    relevance: Float64, vectors: Float32, eligible: Bool, diversity: float, limit: int
) -> Int32:
    """Places in the order of maximal marginal relevance: int32 (rows, limit), NO_DOC where none is left.

    relevance  float64 (rows, width)
    vectors    float32 (rows, width, dimension), of length 1
    """
    rows = np.arange(len(relevance))
    left = eligible.copy()
    nearest = np.zeros(relevance.shape, np.float64)
    found = np.full((len(relevance), limit), NO_DOC, np.int32)
    for number in range(limit):
        worth = np.where(left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        if number == 0:
            worth = np.where(left, relevance, -np.inf)
        best = worth.argmax(axis=1)
        more = left[rows, best]
        if not more.any():
            break
        found[more, number] = best[more]
        left[rows, best] = False
        # einsum sums each dot product in the same order whatever the number of rows and places.
        similar = np.einsum("rd,rwd->rw", vectors[rows, best], vectors).astype(np.float64)
        nearest = similar if number == 0 else np.maximum(nearest, similar)
    return found
