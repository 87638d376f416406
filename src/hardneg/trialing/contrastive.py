"""The contrastive loss's slopes, lengths of one, and Adam, in numpy: what students without a model learn by.

The loss is the cross-entropy of each query's positive among all documents of the batch (InfoNCE, van den Oord
et al. 2018), as sentence-transformers' MultipleNegativesRankingLoss has it, with two differences: a query's
other known positives are masked, and its own negatives count by their weights (their logits get log(weight)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Float32
from hardneg.trialing.distillation import Distilled, excess

BETAS, EPSILON = (0.9, 0.999), 1e-8
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; after them it falls to 0, both in a straight line."""


def slopes(
    query: Float32,
    document: Float32,
    bias: Float32,
    temperature: float,
    distilled: Distilled | None = None,
) -> tuple[Float32, Float32]:
    """The slopes of a batch's mean loss by the vectors of its queries and its documents.

    query     float32 (batch, dimension)
    document  float32 (documents, dimension); row i is query i's positive
    bias      float32 (batch, documents), added to the logits; -inf: masked
    distilled what a teacher says; its divergence is part of the loss
    """
    similar = query @ document.T / np.float32(temperature)
    logits = similar + bias
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    row = np.arange(len(query))
    chance[row, row] -= 1
    if distilled is not None:
        own = row[:, None], distilled.column
        chance[own] += excess(similar[own], distilled.target)
    chance /= np.float32(len(query) * temperature)
    return chance @ document, chance.T @ query


@dataclass(frozen=True)
class Directed:
    """Vectors brought to length 1 where `length` is there."""

    out: Float32
    length: Float32 | None

    @classmethod
    def of(cls, vectors: Float32, unit: bool) -> Directed:
        if not unit:
            return cls(vectors, None)
        length = lengths(vectors)
        return cls(vectors / length, length)

    def back(self, slope: Float32) -> Float32:
        """From a slope by `out` that by the vectors before."""
        if self.length is None:
            return slope
        along = (slope * self.out).sum(axis=1, keepdims=True)
        found: Float32 = (slope - along * self.out) / self.length
        return found


def lengths(vectors: Float32) -> Float32:
    """float32 (vectors, 1), above 0."""
    found: Float32 = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return found


def are_unit(vectors: Float32) -> bool:
    length = np.linalg.norm(vectors, axis=1)
    return bool(np.allclose(length[length > 0], 1, atol=1e-3))


class Adam:
    """Kingma and Ba 2015, algorithm 1, with the corrections of both means put into the rate (section 2).

    Rows without a gradient rest: their means stay as they are, unlike in the paper.
    """

    def __init__(self, weight: Float32) -> None:
        self._weight = weight
        self._mean, self._square = np.zeros_like(weight), np.zeros_like(weight)

    def step(
        self, gradient: Float32, rate: float, number: int, rows: slice | np.ndarray = slice(None)
    ) -> None:
        """Change these rows of the weight by the `number`-th gradient, from 1 on."""
        mean, square = self._mean[rows], self._square[rows]
        mean *= np.float32(BETAS[0])
        room = gradient * np.float32(1 - BETAS[0])
        mean += room
        np.multiply(gradient, gradient, out=room)
        room *= np.float32(1 - BETAS[1])
        square *= np.float32(BETAS[1])
        square += room
        np.sqrt(square, out=room)
        room += np.float32(EPSILON)
        np.divide(mean, room, out=room)
        room *= np.float32(rate * np.sqrt(1 - BETAS[1] ** number) / (1 - BETAS[0] ** number))
        self._weight[rows] -= room
        if not isinstance(rows, slice):  # a copy was changed
            self._mean[rows], self._square[rows] = mean, square


def schedule(step: int, steps: int) -> float:
    """The share of the learning rate at a step: up to 1 over WARM_UP of the steps, then down towards 0."""
    rising = max(1, round(steps * WARM_UP))
    if step < rising:
        return (step + 1) / rising
    return (steps - step) / max(1, steps - rising)
