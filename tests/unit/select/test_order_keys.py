"""Values and places in one key: the order is by value, ties by place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.errors import UsageError
from hardneg.records import NO_DOC
from hardneg.select.order_keys import first, smallest

FLOATS = st.floats(width=32, allow_nan=False)


@given(st.lists(st.tuples(FLOATS, st.booleans()), min_size=1, max_size=30), st.integers(0, 32))
def test_the_order_is_that_of_python(row: list[tuple[float, bool]], limit: int) -> None:
    value = np.array([[v for v, _ in row]], np.float32)
    eligible = np.array([[e for _, e in row]])
    expected = [place for _, place in sorted((v + 0.0, p) for p, (v, e) in enumerate(row) if e)]
    found = smallest(value, eligible, limit)
    limit = min(limit, len(row))
    assert found.shape == (1, limit)
    assert found[0].tolist() == (expected + [NO_DOC] * limit)[:limit]


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 32))
def test_first_takes_the_eligible_in_their_order(row: list[bool], limit: int) -> None:
    limit = min(limit, len(row))
    expected = ([place for place, e in enumerate(row) if e] + [NO_DOC] * limit)[:limit]
    assert first(np.array([row]), limit)[0].tolist() == expected


def test_more_than_a_million_candidates_are_refused() -> None:
    with pytest.raises(UsageError, match="lower the depth"):
        smallest(np.zeros((1, 1 << 20), np.float32), np.ones((1, 1 << 20), np.bool_), 1)
