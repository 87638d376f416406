"""Cosines on the grid: exact in any order, near the true ones, and standardised by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.guard.fitted.grid import GRID, Space, cosines, on_grid, standardised
from hardneg.records import NO_DOC


def vectors(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 900))
def test_products_are_whole_and_the_same_in_any_order(seed: int, dimension: int) -> None:
    left, right = on_grid(vectors(seed, 1, 7, dimension)), on_grid(vectors(seed + 1, 1, 9, dimension))
    found = cosines(left, right)
    exact = left.astype(np.int64)[0] @ right.astype(np.int64)[0].T
    assert (found[0].astype(np.int64) == exact).all()
    turned = np.random.default_rng(seed).permutation(dimension)
    assert (cosines(left[..., turned], right[..., turned]) == found).all()
    assert (cosines(left[:, :1], right)[0, 0] == found[0, 0]).all()


def test_they_are_near_the_true_cosines() -> None:
    one, other = vectors(0, 50, 384), vectors(1, 50, 384)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
    true = np.einsum("ij,ij->i", unit(one.astype(np.float64)), unit(other.astype(np.float64)))
    found = np.einsum("ij,ij->i", on_grid(one), on_grid(other)) / GRID**2
    assert np.abs(found - true).max() < 2e-3


def test_a_vector_of_zeros_stays_one() -> None:
    assert (on_grid(np.zeros((2, 3), np.float32)) == 0).all()


def test_a_place_without_a_document_is_zeros() -> None:
    held = vectors(2, 5, 4)
    space = Space("own", lambda rows: held[rows], lambda rows: held[rows])
    rows = np.array([[3, NO_DOC], [0, 3]], np.int32)
    found = space.documents(rows)
    assert (found[0, 1] == 0).all()
    assert (found[0, 0] == found[1, 1]).all() and (found[1, 0] == on_grid(held[:1])[0]).all()


def test_standardised_by_hand() -> None:
    values = np.array([[1.0, 3.0, 99.0], [5.0, 5.0, 5.0]])
    present = np.array([[True, True, False], [True, True, True]])
    assert standardised(values, present).tolist() == [[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_whole_vectors_are_taken_as_they_are() -> None:
    held = np.array([[3.0, 4.0], [0.0, 5.0]], np.float32)
    space = Space("own", lambda rows: held[rows], lambda rows: held[rows], whole=True)
    rows = np.array([1, 0], np.int32)
    assert (space.documents(rows) == held[rows]).all() and (space.queries(rows) == held[rows]).all()
