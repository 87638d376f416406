"""The adapter: a linear map, from the identity on, over the vectors that are stored; no model is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hardneg.cores import usable_cores
from hardneg.errors import ModelError
from hardneg.protocols import Ranker, Studied
from hardneg.records import Budget, Float32, Int32, Lesson
from hardneg.trialing.contrastive import Adam, Directed, are_unit, schedule, slopes
from hardneg.trialing.distillation import Distilled
from hardneg.trialing.options import Side
from hardneg.trialing.ranking import ranked
from hardneg.trialing.steps import Steps


@dataclass(frozen=True)
class Adapter:
    """`protocols.Student` that maps vectors of queries, of documents, or both by one map.

    Mapped vectors have length 1 where those that the run searched with have.
    """

    side: Side = "query"
    name: str = "adapter"
    at_once: int = field(default_factory=usable_cores)

    def fingerprint(self) -> Mapping[str, Any]:
        return {"student": self.name, "side": self.side, "version": 1}

    def untrained(self, data: Studied) -> Ranker:
        return _ranker(data, self.side, None, unit=False)

    def train(self, data: Studied, lesson: Lesson, budget: Budget) -> Ranker:
        """Raises ModelError where the map becomes NaN or infinity."""
        weight, unit = _trained(data, lesson, budget, self.side)
        if not np.isfinite(weight).all():
            raise ModelError(
                f"the adapter's map became NaN or infinity at learning rate {budget.learning_rate:g}; take a "
                "lower one"
            )
        return _ranker(data, self.side, weight, unit)


def _ranker(data: Studied, side: Side, weight: Float32 | None, unit: bool) -> Ranker:
    def queries(rows: Int32) -> Float32:
        return _mapped(data.query_vectors(rows), weight if side != "document" else None, unit)

    def documents(rows: Int32) -> Float32:
        return _mapped(data.document_vectors(rows), weight if side != "query" else None, unit)

    def rank(query: Int32, pool: Int32, depth: int) -> Int32:
        return ranked(queries(query), documents, pool, depth)

    return rank


def _mapped(vectors: Float32, weight: Float32 | None, unit: bool) -> Float32:
    return vectors if weight is None else Directed.of(vectors @ weight, unit).out


def _trained(data: Studied, lesson: Lesson, budget: Budget, side: Side) -> tuple[Float32, bool]:
    """The map, float32 (dimension, dimension), and whether mapped vectors are brought to length 1."""
    steps = Steps(lesson, budget)
    query, document = data.query_vectors(lesson.query), data.document_vectors(steps.documents)
    unit = are_unit(query) and are_unit(document)
    weight = np.eye(query.shape[1], dtype=np.float32)
    adam = Adam(weight)
    for number in range(len(steps)):
        step = steps[number]
        gradient = _gradient(
            query[step.query],
            document[step.document],
            step.bias,
            weight,
            side,
            unit,
            budget.temperature,
            step.distilled,
        )
        adam.step(gradient, budget.learning_rate * schedule(number, len(steps)), number + 1)
    return weight, unit


def _gradient(
    query: Float32,
    document: Float32,
    bias: Float32,
    weight: Float32,
    side: Side,
    unit: bool,
    temperature: float,
    distilled: Distilled | None = None,
) -> Float32:
    """Of the mean loss of a batch by the map, float32 like it; row i's answer is document i."""
    one = Directed.of(query @ weight, unit) if side != "document" else Directed(query, None)
    other = Directed.of(document @ weight, unit) if side != "query" else Directed(document, None)
    by_query, by_document = slopes(one.out, other.out, bias, temperature, distilled)
    found = np.zeros_like(weight)
    if side != "document":
        found += query.T @ one.back(by_query)
    if side != "query":
        found += document.T @ other.back(by_document)
    return found
