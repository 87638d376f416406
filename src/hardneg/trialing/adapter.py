"""The adapter: a linear map, from the identity on, over the vectors that are stored; no model is called.

The loss is the cross-entropy of each query's positive among all documents of the batch (InfoNCE, van den Oord
et al. 2018), as sentence-transformers' MultipleNegativesRankingLoss has it, with two differences: a query's
other known positives are masked, and its own negatives count by their weights (their logits get log(weight)).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hardneg.errors import ModelError
from hardneg.protocols import Ranker, Studied
from hardneg.records import Budget, Float32, Int32, Lesson
from hardneg.trialing.ranking import ranked
from hardneg.trialing.steps import Steps

Side = Literal["query", "document", "shared"]
BETAS, EPSILON = (0.9, 0.999), 1e-8
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; after them it falls to 0, both in a straight line."""


@dataclass(frozen=True)
class Adapter:
    """`protocols.Student` that maps vectors of queries, of documents, or both by one map.

    Mapped vectors have length 1 where those that the run searched with have.
    """

    side: Side = "shared"
    name: str = "adapter"
    at_once: int = field(default_factory=lambda: os.cpu_count() or 1)

    def fingerprint(self) -> Mapping[str, Any]:
        return {"student": self.name, "side": self.side, "version": 1}

    def untrained(self, data: Studied) -> Ranker:
        return _ranker(data, self.side, None)

    def train(self, data: Studied, lesson: Lesson, budget: Budget) -> Ranker:
        """Raises ModelError where the map becomes NaN or infinity."""
        weight = _trained(data, lesson, budget, self.side)
        if not np.isfinite(weight).all():
            raise ModelError(
                f"the adapter's map became NaN or infinity at learning rate {budget.learning_rate:g}; take a "
                "lower one"
            )
        return _ranker(data, self.side, weight)


def _ranker(data: Studied, side: Side, weight: Float32 | None) -> Ranker:
    def queries(rows: Int32) -> Float32:
        return _mapped(data.query_vectors(rows), weight if side != "document" else None)

    def documents(rows: Int32) -> Float32:
        return _mapped(data.document_vectors(rows), weight if side != "query" else None)

    def rank(query: Int32, pool: Int32, depth: int) -> Int32:
        return ranked(queries(query), documents, pool, depth)

    return rank


def _mapped(vectors: Float32, weight: Float32 | None) -> Float32:
    if weight is None:
        return vectors
    mapped = vectors @ weight
    # Only those of length 1 are compared by their direction.
    return mapped / _length(mapped) if _unit(vectors) else mapped


def _length(vectors: Float32) -> Float32:
    found: Float32 = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return found


def _unit(vectors: Float32) -> bool:
    length = np.linalg.norm(vectors, axis=1)
    return bool(np.allclose(length[length > 0], 1, atol=1e-3))


def _trained(data: Studied, lesson: Lesson, budget: Budget, side: Side) -> Float32:
    """The map, float32 (dimension, dimension), by Adam (Kingma and Ba 2015)."""
    steps = Steps(lesson, budget)
    query, document = data.query_vectors(lesson.query), data.document_vectors(steps.documents)
    unit = _unit(query) and _unit(document)
    weight = np.eye(query.shape[1], dtype=np.float32)
    adam = _Adam(np.zeros_like(weight), np.zeros_like(weight), np.empty_like(weight))
    for number in range(len(steps)):
        step = steps[number]
        gradient = _gradient(
            query[step.query], document[step.document], step.bias, weight, side, unit, budget.temperature
        )
        adam.step(weight, gradient, budget.learning_rate * schedule(number, len(steps)), number + 1)
    return weight


def _gradient(
    query: Float32,
    document: Float32,
    bias: Float32,
    weight: Float32,
    side: Side,
    unit: bool,
    temperature: float,
) -> Float32:
    """Of the mean loss of a batch by the map, float32 like it; row i's answer is document i."""
    one = _Mapped.of(query, weight if side != "document" else None, unit)
    other = _Mapped.of(document, weight if side != "query" else None, unit)
    logits = one.out @ other.out.T / np.float32(temperature) + bias
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    row = np.arange(len(query))
    chance[row, row] -= 1
    chance /= np.float32(len(query) * temperature)
    found = np.zeros_like(weight)
    if side != "document":
        found += one.back(chance @ other.out)
    if side != "query":
        found += other.back(chance.T @ one.out)
    return found


@dataclass(frozen=True)
class _Adam:
    """Kingma and Ba 2015, algorithm 1, with the corrections of both means put into the rate (section 2).

    mean, square  of the gradients so far; changed in place, as `room` is
    """

    mean: Float32
    square: Float32
    room: Float32

    def step(self, weight: Float32, gradient: Float32, rate: float, number: int) -> None:
        """Change the weight by the `number`-th gradient, from 1 on."""
        mean, square, room = self.mean, self.square, self.room
        mean *= np.float32(BETAS[0])
        np.multiply(gradient, np.float32(1 - BETAS[0]), out=room)
        mean += room
        np.multiply(gradient, gradient, out=room)
        room *= np.float32(1 - BETAS[1])
        square *= np.float32(BETAS[1])
        square += room
        np.sqrt(square, out=room)
        room += np.float32(EPSILON)
        np.divide(mean, room, out=room)
        room *= np.float32(rate * np.sqrt(1 - BETAS[1] ** number) / (1 - BETAS[0] ** number))
        weight -= room


@dataclass(frozen=True)
class _Mapped:
    """Vectors mapped, and brought to length 1 where `length` is there."""

    vectors: Float32
    out: Float32
    length: Float32 | None

    @classmethod
    def of(cls, vectors: Float32, weight: Float32 | None, unit: bool) -> _Mapped:
        if weight is None:
            return cls(vectors, vectors, None)
        mapped = vectors @ weight
        if not unit:
            return cls(vectors, mapped, None)
        length = _length(mapped)
        return cls(vectors, mapped / length, length)

    def back(self, slope: Float32) -> Float32:
        """From the loss's slope by `out` that by the map."""
        if self.length is not None:
            along = (slope * self.out).sum(axis=1, keepdims=True)
            slope = (slope - along * self.out) / self.length
        found: Float32 = self.vectors.T @ slope
        return found


def schedule(step: int, steps: int) -> float:
    """The share of the learning rate at a step: up to 1 over WARM_UP of the steps, then down towards 0."""
    rising = max(1, round(steps * WARM_UP))
    if step < rising:
        return (step + 1) / rising
    return (steps - step) / max(1, steps - rising)
