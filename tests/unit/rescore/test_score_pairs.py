"""Every pair gets its own score, each distinct pair of texts is scored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.errors import ModelError
from hardneg.records import Float32
from hardneg.rescore import CrossEncoderScorer, score_pairs

QUERIES = pa.chunked_array(
    [pa.array(["q zero", "q one"], pa.large_string()), pa.array(["q one"], pa.large_string())]
)
DOCUMENTS = pa.chunked_array(
    [
        pa.array(["short", "a document that is longer"], pa.large_string()),
        pa.array(["", "the same", "the same", "é" * 9], pa.large_string()),
    ]
)


class Recorder:
    """Scores a pair by numbers of its texts, and keeps what it was asked."""

    name = "recorder"

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, str]]] = []

    def fingerprint(self) -> Mapping[str, Any]:
        return {}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        self.calls.append(list(pairs))
        return np.array([value(*pair) for pair in pairs], np.float32)


def value(query: str, document: str) -> float:
    return sum(map(ord, query)) + sum(map(ord, document)) / 7


def scored(query: list[int], document: list[int], scorer: Recorder | None = None) -> Float32:
    rows = np.array(query, np.int32), np.array(document, np.int32)
    return score_pairs(*rows, scorer or Recorder(), QUERIES, DOCUMENTS)


def expected(query: list[int], document: list[int]) -> Float32:
    queries, documents = QUERIES.to_pylist(), DOCUMENTS.to_pylist()
    pairs = zip(query, document, strict=True)
    return np.array([value(queries[q], documents[d]) for q, d in pairs], np.float32)


def test_the_same_two_texts_are_scored_once() -> None:
    scorer = Recorder()
    # Queries 1 and 2 are one text, documents 3 and 4 are one.
    scored([1, 1, 2, 2, 1, 2], [3, 4, 4, 0, 3, 3], scorer)
    assert sorted(scorer.calls[0]) == [("q one", "short"), ("q one", "the same")]
    assert len(scorer.calls) == 1


def test_pairs_come_longest_first() -> None:
    scorer = Recorder()
    scored([0] * 5, [0, 1, 2, 5, 3], scorer)
    lengths = [len(query) + len(document) for query, document in scorer.calls[0]]
    assert lengths == [6 + 25, 6 + 9, 6 + 8, 6 + 5, 6 + 0]


def test_many_pairs_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardneg.rescore.rescore._PAIRS", 2)
    scorer = Recorder()
    query, document = [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3, 3, 5, 0, 4]
    assert scored(query, document, scorer).tolist() == expected(query, document).tolist()
    assert [len(call) for call in scorer.calls] == [2, 2, 2, 1]  # seven: 1's 3 and 4 are one text


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, len(DOCUMENTS) - 1)), max_size=12))
def test_any_pairs_in_any_order(pairs: list[tuple[int, int]]) -> None:
    query, document = [q for q, _ in pairs], [d for _, d in pairs]
    found = scored(query, document)
    assert found.dtype == np.float32
    assert found.tolist() == expected(query, document).tolist()


@pytest.mark.parametrize(("given", "message"), [([np.nan], "NaN"), ([1.0, 2.0], "shape")])
def test_a_scorer_that_breaks_its_promise_is_named(given: list[float], message: str) -> None:
    scorer = Recorder()
    scorer.score = lambda pairs: np.array(given, np.float32)  # type: ignore[method-assign]  # breaks it
    with pytest.raises(ModelError, match=f"'recorder' gave {message}"):
        scored([0], [0], scorer)


def test_a_cross_encoder_gets_the_texts(tiny_cross_encoder: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch import nn

    queries = pa.chunked_array([pa.array(["what is it", "who was it"], pa.large_string())])
    texts = ["a cat", "a very long sentence about nothing", "it was me", "me"]
    documents = pa.chunked_array([pa.array(texts, pa.large_string())])
    scorer = CrossEncoderScorer(tiny_cross_encoder, device="cpu")
    rows = np.array([0, 0, 1], np.int32), np.array([0, 1, 2], np.int32)
    model = CrossEncoder(str(tiny_cross_encoder), device="cpu")
    pairs = [("what is it", texts[0]), ("what is it", texts[1]), ("who was it", texts[2])]
    found = score_pairs(*rows, scorer, queries, documents)
    np.testing.assert_allclose(found, model.predict(pairs, activation_fn=nn.Identity()), atol=1e-6)
