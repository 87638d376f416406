"""The student that a trial's options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardneg.config import Config
from hardneg.plan.retrievers import NOTHING_OWN
from hardneg.plan.trial_students import opened
from hardneg.records import Float32, Int32
from hardneg.trialing import TrialOptions

# Equally long, since the library encodes the longest first.
ALIKE_AT_FIRST = ["heart drug drug drug", "heart gene gene gene"]


class Texts:
    """`Studied`: one query and some documents."""

    def __init__(self, documents: Sequence[str]) -> None:
        self.documents = documents

    def query_texts(self, rows: Int32) -> list[str]:
        return ["heart"] * len(rows)

    def document_texts(self, rows: Int32) -> list[str]:
        return [self.documents[row] for row in rows.tolist()]

    def query_vectors(self, rows: Int32) -> Float32:
        raise AssertionError(rows)

    document_vectors = query_vectors


@pytest.mark.parametrize(("student", "one_word"), [("full", 3), ("static", 1)])  # full: between two marks
def test_texts_are_cut_at_the_longest_that_the_trial_allows(student: Any, one_word: int, tiny: Path) -> None:
    def order(longest: int | None, documents: Sequence[str]) -> list[int]:
        options = TrialOptions(student=student, trial_model=str(tiny), trial_max_length=longest)
        rank = opened(options, Config(), NOTHING_OWN).untrained(Texts(documents))
        return rank(np.array([0], np.int32), np.array([0, 1], np.int32), 2)[0].tolist()

    assert order(None, ALIKE_AT_FIRST) != order(None, ALIKE_AT_FIRST[::-1])
    # Cut they are one text, so which comes first hangs on their places alone.
    assert order(one_word, ALIKE_AT_FIRST) == order(one_word, ALIKE_AT_FIRST[::-1])
