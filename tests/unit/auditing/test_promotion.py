"""Which candidates promotion would take."""

from __future__ import annotations

import numpy as np

from hardneg.auditing import BARS, likeliest


def test_bars_are_chances_and_places() -> None:
    chance = np.array([[0.95, 0.2, np.nan, 0.5], [np.nan, np.nan, np.nan, 0.1]], np.float32)
    found = dict(zip(BARS, likeliest(chance), strict=True))
    assert found["p from 0.9 on"].tolist() == [[True, False, False, False], [False] * 4]
    assert found["p from 0.5 on"].tolist() == [[True, False, False, True], [False] * 4]
    assert found["likeliest of a query"].tolist() == [[True, False, False, False], [False] * 3 + [True]]
    assert found["likeliest 3 of a query"].tolist() == [[True, True, False, True], [False] * 3 + [True]]
