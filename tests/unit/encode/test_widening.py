"""Widening float16 gives what numpy's cast gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.encode.widening import widened

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def test_every_float16_there_is() -> None:
    """Zeros of both signs, subnormal numbers, infinities and NaN among them."""
    np.testing.assert_array_equal(widened(EVERY).view(np.uint32), EVERY.astype(np.float32).view(np.uint32))


def test_known_numbers() -> None:
    some = np.array([[1.0, -2.5, 2.0**-24], [-0.0, 65504.0, -(2.0**-14)]], np.float16)
    assert widened(some).tolist() == [[1.0, -2.5, 2.0**-24], [-0.0, 65504.0, -(2.0**-14)]]
    assert np.signbit(widened(some)[1, 0])


def test_finite_numbers_alone_many_at_a_time() -> None:
    finite = EVERY[np.isfinite(EVERY)]
    many = np.random.default_rng(0).choice(finite, (1000, 97))
    np.testing.assert_array_equal(widened(many).view(np.uint32), many.astype(np.float32).view(np.uint32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_other_types_empty_arrays_and_views(dtype: str) -> None:
    numbers = np.arange(24).astype(dtype).reshape(4, 6)
    for array in (numbers, numbers[:, ::2], numbers[:0], numbers[::2].T):
        found = widened(array)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, array.astype(np.float32))
