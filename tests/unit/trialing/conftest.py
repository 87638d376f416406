"""Lessons written as lists, and texts of a few words for the rows of a trial."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from hardneg.records import NO_DOC, Float32, Int32, Lesson, Pairs

ASKED = "cell gene drug heart blood virus causes lowers".split()
ANSWERS = "raises a b c d e in is".split()
OTHERS = "the of and not passage".split()


@pytest.fixture(scope="session")
def quick_trainings() -> None:
    """Every training ends with a full garbage collection: spare it the libraries' own objects."""
    import datasets
    import sentence_transformers

    assert datasets and sentence_transformers
    gc.freeze()


class Words:
    """`Studied`: query r is word r, documents r, r + 8, r + 16, ... begin with word r of those that answer.

    Which answers which has to be learned. Nobody may ask for vectors.
    """

    def query_texts(self, rows: Int32) -> list[str]:
        return [ASKED[row] for row in rows.tolist()]

    def document_texts(self, rows: Int32) -> list[str]:
        return [f"{ANSWERS[row % 8]} {OTHERS[row // 8 % 5]}" for row in rows.tolist()]

    def query_vectors(self, rows: Int32) -> Float32:
        raise AssertionError(rows)

    def document_vectors(self, rows: Int32) -> Float32:
        raise AssertionError(rows)


@pytest.fixture(scope="session")
def words() -> Words:
    return Words()


@pytest.fixture(scope="session")
def toy(lesson_of: Callable[..., Lesson]) -> Lesson:
    """8 queries of two positives and two wrong documents each; query 3 is short of one of those."""
    query = list(range(8))
    positives = [[row, row + 16] for row in query]
    negatives = [[(row + 1) % 8, (row + 4) % 8] for row in query]
    del negatives[3][1]
    known = [(row, row + 8 * block) for row in query for block in range(5)]
    return lesson_of(query, positives, negatives, known)


@pytest.fixture(scope="session")
def lesson_of() -> Callable[..., Lesson]:
    """lesson_of(query, positives, negatives=None, known=()) → Lesson of weights 1; known: (query, doc)."""

    def make(
        query: Sequence[int],
        positives: Sequence[Sequence[int]],
        negatives: Sequence[Sequence[int]] | None = None,
        known: Sequence[tuple[int, int]] = (),
    ) -> Lesson:
        rows = np.array(query, np.int32)
        chosen = _filled(negatives or [[]] * len(rows))
        pairs = np.array(known, np.int32).reshape(-1, 2)
        return Lesson(
            rows,
            _filled(positives),
            chosen,
            np.ones(chosen.shape, np.float32),
            Pairs.from_rows(pairs[:, 0], pairs[:, 1], max([0, *query]) + 1),
        )

    return make


def _filled(rows: Sequence[Sequence[int]]) -> Int32:
    out = np.full((len(rows), max([0, *map(len, rows)])), NO_DOC, np.int32)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row
    return out
