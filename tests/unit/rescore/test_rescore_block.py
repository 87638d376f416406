"""Every candidate and every positive gets its own pair's score, each distinct pair is scored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.errors import ModelError, UsageError
from hardneg.progress import Silent
from hardneg.records import NO_DOC, Block, Float32
from hardneg.rescore import CrossEncoderScorer, rescore_block

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


def block(query: list[int], doc: list[list[int]], positive: list[list[int]]) -> Block:
    documents = np.array(doc, np.int32)
    scores = np.zeros(documents.shape, np.float32)
    return Block(
        query=np.array(query, np.int32),
        doc=documents,
        ranks={"dense": np.ones(documents.shape, np.int32)},
        scores={"dense": scores},
        positive=np.array(positive, np.int32),
        positive_scores={"dense": np.zeros(np.shape(positive), np.float32)},
        p_false_negative=np.full(documents.shape, np.nan, np.float32),
    )


def check(scored: Block) -> None:
    queries, documents = QUERIES.to_pylist(), DOCUMENTS.to_pylist()
    for places, scores in (
        (scored.doc, scored.scores["recorder"]),
        (scored.positive, scored.positive_scores["recorder"]),
    ):
        assert scores.shape == places.shape
        assert scores.dtype == np.float32
        for (row, column), document in np.ndenumerate(places):
            if document == NO_DOC:
                assert np.isnan(scores[row, column])
            else:
                expected = value(queries[scored.query[row]], documents[document])
                assert scores[row, column] == np.float32(expected)


def test_every_candidate_and_every_positive_is_scored() -> None:
    scored = rescore_block(
        block([0, 2], [[0, 1, 2], [5, 3, NO_DOC]], [[1, 3], [5, NO_DOC]]),
        Recorder(),
        QUERIES,
        DOCUMENTS,
        Silent(),
    )
    check(scored)
    assert scored.scorers == ("recorder",)
    assert set(scored.positive_scores) == {"dense", "recorder"}


def test_the_same_two_texts_are_scored_once() -> None:
    scorer = Recorder()
    # Queries 1 and 2 are one text, documents 3 and 4 are one, and 3 is candidate and positive.
    rescore_block(block([1, 2], [[3, 4], [4, 0]], [[3], [3]]), scorer, QUERIES, DOCUMENTS, Silent())
    assert sorted(scorer.calls[0]) == [("q one", "short"), ("q one", "the same")]
    assert len(scorer.calls) == 1


def test_pairs_come_longest_first() -> None:
    scorer = Recorder()
    rescore_block(block([0], [[0, 1, 2, 5]], [[3]]), scorer, QUERIES, DOCUMENTS, Silent())
    lengths = [len(query) + len(document) for query, document in scorer.calls[0]]
    assert lengths == [6 + 25, 6 + 9, 6 + 8, 6 + 5, 6 + 0]


def test_a_large_block_goes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardneg.rescore.rescore._PAIRS", 2)
    scorer = Recorder()
    check(
        rescore_block(block([0, 1], [[0, 1, 2], [3, 5, 0]], [[3], [4]]), scorer, QUERIES, DOCUMENTS, Silent())
    )
    assert [len(call) for call in scorer.calls] == [2, 2, 2, 1]  # seven pairs: 1's 3 and 4 are one text


@given(st.data())
def test_any_block_in_any_order(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 4))
    document = st.integers(NO_DOC, len(DOCUMENTS) - 1)

    def places(width: int) -> list[list[int]]:
        return data.draw(
            st.lists(st.lists(document, min_size=width, max_size=width), min_size=rows, max_size=rows)
        )

    query = data.draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    doc, positive = places(3), places(2)
    if rows:
        check(rescore_block(block(query, doc, positive), Recorder(), QUERIES, DOCUMENTS, Silent()))


def test_nothing_to_score() -> None:
    empty = block([0], [[NO_DOC]], [[NO_DOC]])
    check(rescore_block(empty, Recorder(), QUERIES, DOCUMENTS, Silent()))


def test_a_name_that_is_taken_is_refused() -> None:
    scorer = Recorder()
    scorer.name = "dense"
    with pytest.raises(UsageError, match="'dense' already"):
        rescore_block(block([0], [[0]], [[1]]), scorer, QUERIES, DOCUMENTS, Silent())


@pytest.mark.parametrize(("given", "message"), [([np.nan], "NaN"), ([1.0, 2.0], "shape")])
def test_a_scorer_that_breaks_its_promise_is_named(given: list[float], message: str) -> None:
    scorer = Recorder()
    scorer.score = lambda pairs: np.array(given, np.float32)  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=f"'recorder' gave {message}"):
        rescore_block(block([0], [[0]], [[0]]), scorer, QUERIES, DOCUMENTS, Silent())


def test_a_cross_encoder_is_called_without_any_threshold(tiny_cross_encoder: Path) -> None:
    """field.md: a cross-encoder with no threshold is never called by its peer, which says nothing."""
    from sentence_transformers import CrossEncoder
    from torch import nn

    queries = pa.chunked_array([pa.array(["what is it", "who was it"], pa.large_string())])
    texts = ["a cat", "a very long sentence about nothing", "it was me", "me"]
    documents = pa.chunked_array([pa.array(texts, pa.large_string())])
    given_block = block([0, 1], [[0, 1], [2, NO_DOC]], [[3], [3]])
    scorer = CrossEncoderScorer(tiny_cross_encoder, device="cpu")
    scored = rescore_block(given_block, scorer, queries, documents, Silent())

    model = CrossEncoder(str(tiny_cross_encoder), device="cpu")
    expected = model.predict(
        [("what is it", texts[0]), ("what is it", texts[1]), ("who was it", texts[2])],
        activation_fn=nn.Identity(),
    )
    candidates = scored.scores["cross_encoder"]
    np.testing.assert_allclose(candidates[scored.present], expected, atol=1e-6)
    assert np.isnan(candidates[1, 1])
    assert np.isfinite(scored.positive_scores["cross_encoder"]).all()
