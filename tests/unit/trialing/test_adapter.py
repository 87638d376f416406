"""The adapter: its gradient against autograd, its batches by hand, and that it learns what can be learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch

from hardneg.errors import ModelError
from hardneg.records import NO_DOC, Budget, Float32, Float64, Int32, Lesson, Pairs
from hardneg.trialing import NDCG, Adapter, Answers, adapter, measured
from hardneg.trialing import steps as steps_module
from hardneg.trialing.adapter import Side, _gradient
from hardneg.trialing.contrastive import Adam, schedule
from hardneg.trialing.steps import Steps

SIDES: tuple[Side, ...] = ("query", "document", "shared")


def unit(vectors: Float64 | Float32) -> Float32:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def normals(seed: int, *shape: int) -> Float64:
    return np.random.default_rng(seed).normal(size=shape)


# -- the gradient ---------------------------------------------------------------------------------


def by_autograd(
    query: Float32,
    document: Float32,
    bias: Float32,
    weight: Float32,
    side: Side,
    norm: bool,
    temperature: float,
) -> Float64:
    """Of cross_entropy, in float64."""
    one, other, add, map_ = (
        torch.tensor(part, dtype=torch.float64) for part in (query, document, bias, weight)
    )
    map_.requires_grad_()
    if side != "document":
        one = one @ map_
        one = torch.nn.functional.normalize(one, dim=1) if norm else one
    if side != "query":
        other = other @ map_
        other = torch.nn.functional.normalize(other, dim=1) if norm else other
    logits = one @ other.T / temperature + add
    torch.nn.functional.cross_entropy(logits, torch.arange(len(query))).backward()
    found: Float64 = map_.grad.numpy()
    return found


@pytest.mark.parametrize(("side", "of_length_1"), list(product(SIDES, (True, False))))
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_gradient_is_autograds(side: Side, of_length_1: bool, temperature: float) -> None:
    queries, documents, dimension = 5, 14, 8
    query, document = normals(1, queries, dimension), normals(2, documents, dimension)
    query, document = (unit(query), unit(document)) if of_length_1 else (query * 0.3, document * 0.3)
    weight = np.eye(dimension) + normals(3, dimension, dimension) * 0.2
    # Log-weights of some negatives, and masked columns, a whole one among them.
    draws = np.random.default_rng(4)
    bias = np.where(draws.random((queries, documents)) < 0.3, np.log(draws.random((queries, documents))), 0)
    bias[draws.random((queries, documents)) < 0.2] = -np.inf
    bias[:, -1] = -np.inf
    bias[np.arange(queries), np.arange(queries)] = 0
    parts = [part.astype(np.float32) for part in (query, document, bias, weight)]
    found = _gradient(*parts, side, of_length_1, temperature)
    expected = by_autograd(*parts, side, of_length_1, temperature)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5 * np.abs(expected).max())


def test_a_query_that_sees_its_answer_alone_has_no_gradient() -> None:
    query, document = unit(normals(5, 3, 4)), unit(normals(6, 3, 4))
    bias = np.where(np.eye(3, dtype=bool), 0, -np.inf).astype(np.float32)
    found = _gradient(query, document, bias, np.eye(4, dtype=np.float32), "shared", True, 0.05)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_a_vector_of_nothing_stays_nothing() -> None:
    query, document = unit(normals(5, 3, 4)), unit(normals(6, 5, 4))
    query[1], document[2], document[4] = 0, 0, 0
    found = _gradient(
        query, document, np.zeros((3, 5), np.float32), np.eye(4, dtype=np.float32), "shared", True, 1
    )
    assert np.isfinite(found).all()


# -- Adam and the rate ----------------------------------------------------------------------------


def test_steps_are_adams() -> None:
    start, gradients = normals(7, 6, 6), normals(8, 5, 6, 6) * np.array([1, 0.01, 3, 1e-3, 1])[:, None, None]
    rates = [0.01, 0.02, 0.02, 0.01, 0.005]
    weight = start.astype(np.float32)
    adam = Adam(weight)
    mean, square, expected = np.zeros((6, 6)), np.zeros((6, 6)), start.copy()
    for number, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        adam.step(gradient.astype(np.float32), rate, number)
        # As torch.optim.Adam has it.
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        expected -= rate * (mean / (1 - 0.9**number)) / (np.sqrt(square / (1 - 0.999**number)) + 1e-8)
        np.testing.assert_allclose(weight - start.astype(np.float32), expected - start, rtol=1e-3, atol=1e-6)


def test_the_first_step_by_hand() -> None:
    # Both means are corrected to the gradient itself: a step of the rate against its sign.
    weight = np.zeros((1, 3), np.float32)
    adam = Adam(weight)
    adam.step(np.array([[2.0, -0.5, 0.0]], np.float32), 0.1, 1)
    np.testing.assert_allclose(weight, [[-0.1, 0.1, 0.0]], rtol=1e-5)


def test_the_rate_rises_over_a_tenth_and_falls_to_nothing() -> None:
    assert [schedule(step, 20) for step in range(4)] == [1 / 2, 2 / 2, 18 / 18, 17 / 18]
    assert [schedule(step, 20) for step in (18, 19)] == [2 / 18, 1 / 18]
    assert schedule(0, 1) == 1
    for steps in (1, 2, 3, 7, 200):
        rates = [schedule(step, steps) for step in range(steps)]
        assert max(rates) == 1 and min(rates) > 0
        peak = rates.index(1)
        assert rates[: peak + 1] == sorted(rates[: peak + 1])
        assert rates[peak:] == sorted(rates[peak:], reverse=True)


# -- batches --------------------------------------------------------------------------------------


def pairs(documents: list[list[int]]) -> Pairs:
    query = np.array([row for row, some in enumerate(documents) for _ in some], np.int32)
    doc = np.array([doc for some in documents for doc in some], np.int32)
    return Pairs.from_rows(query, doc, len(documents))


BUDGET = Budget(steps=1, batch_size=8, learning_rate=1e-3, temperature=0.05, seed=0)


def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of all queries in their order, each with its first positive."""

    def batches(lesson: Lesson, steps: int, batch_size: int, seed: int) -> tuple[Int32, Int32]:
        place = np.arange(len(lesson.query), dtype=np.int32)[None, :].repeat(steps, axis=0)
        return place, lesson.positives[:, 0][place]

    monkeypatch.setattr(steps_module, "batches", batches)


def test_masks_and_weights_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    in_order(monkeypatch)
    # Queries 2, 4 and 5 of the trial. 10 is an answer of 2 and of 5; 13 answers 4, and is a negative of 2; 30
    # answers 5 but is not learned; 20 is its own negative and, wrongly, known of 4; 12 and 99 are in none.
    lesson = Lesson(
        np.array([2, 4, 5], np.int32),
        np.array([[10, 11], [13, NO_DOC], [10, NO_DOC]], np.int32),
        np.array([[13, 14], [20, 14], [30, NO_DOC]], np.int32),
        np.array([[0.5, 1.0], [0.25, 0.125], [0.5, 0.5]], np.float32),
        pairs([[13], [], [10, 11], [99], [13, 20], [10, 12, 30]]),
    )
    steps = Steps(lesson, BUDGET)
    assert len(steps) == 1
    assert steps.documents.tolist() == [10, 11, 13, 14, 20, 30]
    step = steps[0]
    assert step.query.tolist() == [0, 1, 2]
    # The positives 10, 13, 10; then 13, 14 | 20, 14 | 30 and nothing (the first document, masked).
    assert steps.documents[step.document].tolist() == [10, 13, 10, 13, 14, 20, 14, 30, 10]
    no = -np.inf
    expected = [
        [0, 0, no, np.log(0.5), 0, 0, 0, 0, no],
        [0, 0, 0, no, 0, no, np.log(0.125), 0, no],
        [no, 0, 0, 0, 0, 0, 0, no, no],
    ]
    np.testing.assert_allclose(step.bias, expected)
    assert step.bias.dtype == np.float32


def test_a_lesson_without_negatives_has_the_batch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    in_order(monkeypatch)
    none = np.zeros((3, 0), np.int32)
    positives = np.array([[4], [1], [4]], np.int32)
    known = pairs([[4], [1], [4]])
    step = Steps(
        Lesson(np.arange(3, dtype=np.int32), positives, none, none.astype(np.float32), known), BUDGET
    )[0]
    assert step.document.tolist() == [1, 0, 1]
    assert step.bias.tolist() == [[0, 0, -np.inf], [0, 0, 0], [-np.inf, 0, 0]]


# -- learning -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Toy:
    """`protocols.Studied` of vectors alone."""

    query: Float32
    document: Float32

    def query_texts(self, rows: Int32) -> list[str]:
        raise AssertionError("the adapter reads no text")

    document_texts = query_texts

    def query_vectors(self, rows: Int32) -> Float32:
        return self.query[rows]

    def document_vectors(self, rows: Int32) -> Float32:
        return self.document[rows]


QUERIES, DIMENSION = 240, 12
TRAIN, TEST = np.arange(160, dtype=np.int32), np.arange(160, QUERIES, dtype=np.int32)
POOL = np.arange(QUERIES, dtype=np.int32)
"""Document i answers query i."""
LONGER = replace(BUDGET, steps=120, batch_size=32, learning_rate=2e-2)


def rotated() -> Toy:
    """A query is its answer turned, and somewhat off."""
    document = normals(11, QUERIES, DIMENSION)
    turn = np.linalg.qr(np.eye(DIMENSION) + 0.4 * normals(12, DIMENSION, DIMENSION))[0]
    return Toy(unit(document @ turn + 0.3 * normals(13, QUERIES, DIMENSION)), unit(document))


def scaled() -> Toy:
    """Query and answer are alike in half of the dimensions; the others are loud and say nothing."""
    document = normals(14, QUERIES, DIMENSION)
    query = document + 0.2 * normals(15, QUERIES, DIMENSION)
    query[:, ::2] = normals(16, QUERIES, DIMENSION // 2)
    return Toy(unit(query), unit(document))


def lesson_of(
    negatives: Int32 | None = None, weights: Float32 | None = None, known: Pairs | None = None
) -> Lesson:
    if negatives is None:
        negatives = np.zeros((len(TRAIN), 0), np.int32)
    if weights is None:
        weights = np.ones_like(negatives, np.float32)
    known = known or pairs([[row] for row in range(QUERIES)])
    return Lesson(TRAIN, TRAIN[:, None], negatives, weights, known)


def ndcg(ranked: Int32) -> float:
    answers = Answers(TEST, TEST[:, None], np.ones((len(TEST), 1), np.float32))
    return float(measured(ranked, answers)[NDCG].mean())


@pytest.mark.parametrize(
    ("toy", "side", "least"),
    [
        (rotated, "query", 0.3),
        (rotated, "document", 0.3),
        (scaled, "query", 0.1),
        (scaled, "document", 0.1),
        (scaled, "shared", 0.1),
    ],
)
@pytest.mark.parametrize("length", [1, 2])
def test_it_learns_what_holds_for_unseen_queries(
    toy: type[Toy], side: Side, least: float, length: int
) -> None:
    data = toy()
    data = Toy(data.query * length, data.document * length)
    student = Adapter(side)
    budget = replace(LONGER, temperature=0.05 * length**2)
    before = ndcg(student.untrained(data)(TEST, POOL, 10))
    after = ndcg(student.train(data, lesson_of(), budget)(TEST, POOL, 10))
    assert after > before + least


def test_mapped_vectors_have_length_1_where_the_stored_ones_have() -> None:
    vectors, weight = unit(normals(21, 5, 4)), (2 * normals(22, 4, 4)).astype(np.float32)
    vectors[3] = 0
    mapped = adapter._mapped(vectors, weight, True)
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), [1, 1, 1, 0, 1], rtol=1e-5)
    rest = [0, 1, 2, 4]
    np.testing.assert_allclose(mapped[rest], unit(vectors[rest] @ weight), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(adapter._mapped(3 * vectors, weight, False), 3 * vectors @ weight)
    assert adapter._mapped(vectors, None, True) is vectors


def test_untrained_it_ranks_as_the_vectors_do() -> None:
    data = rotated()
    expected = np.argsort(-(data.query[TEST] @ data.document.T), axis=1, kind="stable")[:, :7]
    for side in SIDES:
        assert Adapter(side).untrained(data)(TEST, POOL, 7).tolist() == expected.tolist()
    some = POOL[::3]
    found = Adapter().untrained(data)(TEST, some, 200)
    assert found.shape == (len(TEST), len(some)) and (np.sort(found, axis=1) == some).all()


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> list[Float32]:
    """The maps that were trained, in their order."""
    found: list[Float32] = []
    train = adapter._trained

    def kept(*given: object) -> tuple[Float32, bool]:
        weight, unit = train(*given)  # type: ignore[arg-type]
        found.append(weight)
        return weight, unit

    monkeypatch.setattr(adapter, "_trained", kept)
    return found


def test_equal_lessons_give_equal_bytes_and_other_seeds_others(maps: list[Float32]) -> None:
    data, short = scaled(), replace(LONGER, steps=10)
    negatives = np.random.default_rng(17).integers(0, QUERIES, (len(TRAIN), 3)).astype(np.int32)
    for budget in (short, short, replace(short, seed=1), replace(short, temperature=0.1)):
        Adapter().train(data, lesson_of(negatives), budget)
    assert maps[0].tobytes() == maps[1].tobytes()
    assert len({found.tobytes() for found in maps}) == 3
    assert maps[0].dtype == np.float32 and maps[0].shape == (DIMENSION, DIMENSION)


def test_negatives_and_their_weights_count(maps: list[Float32]) -> None:
    data, short = scaled(), replace(LONGER, steps=10)
    negatives = np.random.default_rng(18).integers(0, QUERIES, (len(TRAIN), 3)).astype(np.int32)
    ones = np.ones_like(negatives, np.float32)
    nothing = np.full_like(negatives, NO_DOC)
    for lesson in (
        lesson_of(),
        lesson_of(negatives, ones),
        lesson_of(negatives, ones / 100),
        lesson_of(nothing, ones),
        lesson_of(np.concatenate([negatives, nothing], axis=1), np.concatenate([ones, ones / 2], axis=1)),
    ):
        Adapter().train(data, lesson, short)
    without, full, little, empty, wider = maps
    assert not np.allclose(without, full, atol=1e-3) and not np.allclose(little, full, atol=1e-3)
    # Places that hold no document count for nothing.
    np.testing.assert_allclose(empty, without, atol=1e-5)
    np.testing.assert_allclose(wider, full, atol=1e-5)


def test_a_known_positive_is_not_pushed_away(maps: list[Float32]) -> None:
    # Document 0 is the negative of all, and in fact an answer of all; each learns another answer.
    # The queries have a direction in common, without which no map could push it away from all of them.
    data = scaled()
    data = Toy(unit(data.query + unit(np.ones((1, DIMENSION)))), data.document)
    zero = np.zeros((len(TRAIN), 1), np.int32)
    answers = pairs([[0, row] if row else [0] for row in range(QUERIES)])
    own = pairs([[row] for row in range(QUERIES)])
    for negatives, known in ((zero, answers), (np.full_like(zero, NO_DOC), answers), (zero, own)):
        Adapter("query").train(data, lesson_of(negatives, known=known), replace(LONGER, temperature=0.3))
    masked, absent, pushed = maps
    np.testing.assert_allclose(masked, absent, atol=1e-5)
    near, far = (((data.query[1:] @ found) @ data.document[0]).mean() for found in (masked, pushed))
    assert far < near - 0.2


def test_a_map_that_is_no_number_names_the_rate() -> None:
    data = rotated()
    with (
        np.errstate(all="ignore"),
        pytest.raises(ModelError, match=r"learning rate 1e\+38; take a lower one"),
    ):
        Adapter().train(data, lesson_of(), replace(LONGER, steps=5, learning_rate=1e38))


def test_all_but_rate_and_lesson_is_in_the_fingerprint() -> None:
    found = [Adapter(side).fingerprint() for side in SIDES]
    assert found[SIDES.index("query")] == Adapter().fingerprint() == Adapter(at_once=7).fingerprint()
    assert len({tuple(one.items()) for one in found}) == 3
    assert Adapter().at_once >= 1 and Adapter().name == "adapter"
