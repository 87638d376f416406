"""Other queries' labels: looked up as plain Python would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.guard.fitted.others import Company, Others, near_weights
from hardneg.records import NO_DOC, Block, Pairs

QUERIES, DOCUMENTS = 6, 9
LABELS = st.lists(
    st.sets(st.integers(0, DOCUMENTS - 1), min_size=1, max_size=4), min_size=QUERIES, max_size=QUERIES
)


def company_of(labels: list[set[int]], near: np.ndarray, weight: np.ndarray) -> tuple[Company, Block]:
    query = np.repeat(np.arange(QUERIES, dtype=np.int32), [len(one) for one in labels])
    doc = np.array([doc for one in labels for doc in sorted(one)], np.int32)
    positives = Pairs.from_rows(query, doc, QUERIES)
    rows = np.arange(QUERIES, dtype=np.int32)
    every = np.tile(np.arange(DOCUMENTS, dtype=np.int32), (QUERIES, 1))
    every[:, -1] = NO_DOC
    nothing = np.full(every.shape, np.nan, np.float32)
    block = Block(rows, every, {}, {}, positives.padded(rows), {}, nothing)
    return Company(Others(positives, near, weight, DOCUMENTS)), block


@settings(max_examples=100)
@given(LABELS, st.integers(0, 2**31))
def test_as_plain_python_finds_it(labels: list[set[int]], seed: int) -> None:
    draws = np.random.default_rng(seed)
    near = np.stack(
        [draws.permutation([q for q in range(QUERIES) if q != row])[:3] for row in range(QUERIES)]
    )
    weight = (draws.integers(0, 1025, near.shape) / 1024).astype(np.float32)
    company, block = company_of(labels, near.astype(np.int32), weight)
    total, most = company.near(block)
    popular, (highest, together) = company.popularity(block), company.company(block)
    for q in range(QUERIES):
        for d in range(DOCUMENTS - 1):
            weights = [float(weight[q, n]) for n in range(3) if d in labels[near[q, n]]]
            assert total[q, d] == sum(weights) and most[q, d] == max(weights, default=0.0)
            others = {o for o in range(QUERIES) if o != q and d in labels[o]}
            assert popular[q, d] == len(others)
            cosines = []
            for p in labels[q]:
                theirs = {o for o in range(QUERIES) if o != q and p in labels[o]}
                shared = len(others & theirs)
                size = math.sqrt(len(others)) * math.sqrt(len(theirs))
                cosines.append(round(shared / max(size, 1.0) * 1024) / 1024)
            assert highest[q, d] == max(cosines) and together[q, d] == sum(cosines)
    assert (total[:, -1] == 0).all() and (popular[:, -1] == 0).all()


def test_the_last_neighbour_weighs_nothing() -> None:
    own = 1024.0 * 1024
    found = near_weights(np.array([[own, 0.75 * own, 0.5 * own]], np.float32))
    assert found.tolist() == [[1.0, 0.5, 0.0]]


def test_more_similar_than_itself_is_the_same() -> None:
    own = 1024.0 * 1024  # a vector on the grid is a little longer or shorter than 1024
    assert near_weights(np.array([[1.001 * own, 0.5 * own]], np.float32)).tolist() == [[1.0, 0.0]]


@settings(max_examples=100)
@given(LABELS)
def test_of_many_the_first_are_looked_at(labels: list[set[int]]) -> None:
    most, near = 2, np.array([[q for q in range(QUERIES) if q != row] for row in range(QUERIES)], np.int32)
    company, block = company_of(labels, near, np.ones(near.shape, np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hardneg.guard.fitted.others.MOST", most)
        total, _ = company.near(block)
        highest, together = company.company(block)
    looked_at = lambda d: [o for o in range(QUERIES) if d in labels[o]][:most]  # noqa: E731
    for q in range(QUERIES):
        for d in range(DOCUMENTS - 1):
            assert total[q, d] == sum(d in sorted(labels[o])[:most] for o in range(QUERIES) if o != q)
            others, cosines = {*looked_at(d)} - {q}, []
            for p in labels[q]:
                theirs = {*looked_at(p)} - {q}
                size = math.sqrt(len(others)) * math.sqrt(len(theirs))
                cosines.append(round(len(others & theirs) / max(size, 1.0) * 1024) / 1024)
            assert highest[q, d] == max(cosines) and together[q, d] == sum(cosines)
