"""Candidates from the cut of their query's fold on are left out."""

from __future__ import annotations

import numpy as np

from hardneg.guard.fitted import LIKELY, LikelyPositive
from hardneg.records import Block


def test_from_the_cut_of_its_query_on() -> None:
    chance = np.array([[0.25, 0.24, np.nan], [0.25, 0.5, 0.75]], np.float32)
    query, doc = np.array([3, 1], np.int32), np.arange(6, dtype=np.int32).reshape(2, 3)
    block = Block(query, doc, {}, {}, np.zeros((2, 0), np.int32), {}, chance)
    rule = LikelyPositive(LIKELY, np.array([0.0, 0.5, 0.0, 0.25], np.float32))
    assert rule.code == "likely_positive"
    assert rule.exclude(block).tolist() == [[True, False, False], [False, True, True]]
