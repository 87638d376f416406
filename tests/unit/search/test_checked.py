"""A retriever of anybody's, whose rankings are looked at before they become tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardneg.errors import ModelError
from hardneg.records import NO_DOC, Ranking
from hardneg.search.checked import checked

NAN, INFINITY = np.nan, np.inf
GOOD = Ranking(
    "mine",
    np.array([[3, 1, NO_DOC], [0, 2, 9]], np.int32),
    np.array([[2, 1, NAN], [3, 3, -1]], np.float32),
    np.array([[1.0], [NAN]], np.float32),
)
POSITIVES = np.array([[1], [5]], np.int32)


def check(**changes: Any) -> Ranking:
    return checked(replace(GOOD, **changes), "mine", POSITIVES, 3, 10, lambda row: f"q{row}")


def test_what_is_right_passes_in_the_types_of_a_ranking() -> None:
    found = check(doc=GOOD.doc.astype(np.int64), score=GOOD.score.astype(np.float64))
    assert (found.doc.dtype, found.score.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(found.doc, GOOD.doc)
    np.testing.assert_array_equal(found.score, GOOD.score)


def test_scores_where_there_is_nothing_do_not_count() -> None:
    found = check(score=np.array([[2, 1, 7], [3, 3, -1]], np.float32))
    assert np.isnan(found.score[0, 2])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"doc": [[3, 1, -1], [0, 2, 10]]}, "'mine', query 'q1', rank 3: document row 10, of a corpus of 10"),
        ({"doc": [[3, 1, -2], [0, 2, 9]]}, "query 'q0', rank 3: document row -2"),
        ({"doc": [[3, -1, 1], [0, 2, 9]]}, "query 'q0', rank 2: nothing, but a document after it"),
        ({"doc": [[3, 1, -1], [0, 2, 0]]}, "query 'q1', rank 3: document row 0, which it has found"),
        ({"score": [[2, NAN, NAN], [3, 3, -1]]}, "query 'q0', rank 2: a score of document row 1"),
        ({"score": [[INFINITY, 1, NAN], [3, 3, -1]]}, "query 'q0', rank 1: a score of document row 3"),
        ({"score": [[1e39, 1, NAN], [3, 3, -1]]}, "query 'q0', rank 1: a score of document row 3"),
        ({"score": [[2, 1, NAN], [3, 4, -1]]}, "query 'q1', rank 1: a score below the next"),
        ({"positive_score": [[1.0], [INFINITY]]}, "query 'q1': a score of a positive beyond"),
        ({"positive_score": [[1.0]]}, r"scores of positives of shape \(1, 1\), not \(2, 1\)"),
        ({"doc": [[3, 1, -1]], "score": [[2, 1, NAN]]}, r"shape \(1, 3\).*\(2, 3\) was asked for"),
        ({"doc": [[0.5, 1, -1], [0, 2, 9]]}, "documents are float64"),
        ({"score": [["a", "b", "c"]] * 2}, "scores <U1"),
        ({"retriever": "yours"}, "calls what it found 'yours'"),
    ],
)
def test_what_is_wrong_is_named_with_retriever_and_query(changes: dict[str, Any], said: str) -> None:
    arrays = {name: np.array(v) if isinstance(v, list) else v for name, v in changes.items()}
    with pytest.raises(ModelError, match=said) as caught:
        check(**arrays)
    assert "\n" not in str(caught.value)
