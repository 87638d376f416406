"""A teacher's scores: probabilities by hand, slopes of a loss written out in float64, who adds nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardneg.records import NO_DOC, Budget, Float32, Float64, Int32, Lesson, Pairs, TeacherScores
from hardneg.trialing import Adapter, adapter, static
from hardneg.trialing.distillation import divergence, excess, group_scores, targets
from hardneg.trialing.options import Side
from hardneg.trialing.static import bags
from hardneg.trialing.steps import Step, Steps
from hardneg.trialing.training_rows import training_rows

NONE = np.nan
BUDGET = Budget(steps=1, batch_size=4, learning_rate=1e-2, temperature=0.2, seed=0)


def float32(*rows: Any) -> Float32:
    return np.array(rows, np.float32)


# -- by hand --------------------------------------------------------------------------------------

SCORE = float32([2, 0, NONE, 1], [NONE, 0, 1, 2], [3, NONE, NONE, 2], [5, 4, 3, 2], [0, 0, 0, 0])
COUNTS = np.ones((5, 4), np.bool_)
COUNTS[0, 3] = COUNTS[2, 3] = False


def test_probabilities_by_hand_and_who_takes_no_part() -> None:
    found = targets(SCORE, COUNTS)
    assert found.dtype == np.float32
    two = np.exp(2) + 1
    four = np.exp([5, 4, 3, 2]).sum()
    wanted = [
        [np.exp(2) / two, 1 / two, NONE, NONE],  # the third has no score, the fourth is masked
        [NONE] * 4,  # the positive has no score
        [NONE] * 4,  # no negative has one and counts
        list(np.exp([5, 4, 3, 2]) / four),
        [0.25] * 4,
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_slopes_and_divergence_by_hand() -> None:
    import torch

    target = targets(SCORE, COUNTS)[:2]
    logits = float32([1, 0, 9, -9], [1, 2, 3, 4])
    student = np.array([np.e, 1]) / (np.e + 1)
    teacher = np.array([np.exp(2), 1]) / (np.exp(2) + 1)
    slope = student - teacher
    np.testing.assert_allclose(excess(logits, target), [[*slope, 0, 0], [0] * 4], rtol=1e-5)
    of_first = (teacher * np.log(teacher / student)).sum()
    tensor = torch.tensor(logits, requires_grad=True)
    found = divergence(tensor, target)
    assert found.item() == pytest.approx(of_first / 2, rel=1e-5)  # the mean of both rows
    found.backward()
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), excess(logits, target) / 2, atol=1e-7)


def test_a_student_that_agrees_with_the_teacher_has_no_slope() -> None:
    import torch

    score = float32([7, -3, 2])
    target = targets(score, np.ones((1, 3), np.bool_))
    np.testing.assert_allclose(excess(score + 4, target), 0, atol=1e-6)
    assert divergence(torch.tensor(score + 4), target).item() == pytest.approx(0, abs=1e-6)


def test_scores_of_any_size_are_numbers_yet() -> None:
    import torch

    score = float32([1e38, -1e38, 0], [-1e4, 1e4, NONE])
    target = targets(score, np.ones((2, 3), np.bool_))
    np.testing.assert_array_equal(target, [[1, 0, 0], [0, 1, NONE]])
    logits = torch.tensor([[1.0, 2, 3], [1, 2, 3]], requires_grad=True)
    divergence(logits, target).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    np.testing.assert_allclose(logits.grad.numpy(), excess(logits.detach().numpy(), target) / 2, atol=1e-6)


def test_a_row_has_the_same_slopes_in_whatever_batch_it_comes() -> None:
    logits = np.random.default_rng(0).normal(size=SCORE.shape).astype(np.float32)
    whole, target = excess(logits, targets(SCORE, COUNTS)), targets(SCORE, COUNTS)
    for order in ([4, 3, 2, 1, 0], [3], [0, 4]):
        np.testing.assert_array_equal(targets(SCORE[order], COUNTS[order]), target[order])
        np.testing.assert_array_equal(excess(logits[order], target[order]), whole[order])


# -- a lesson -------------------------------------------------------------------------------------


def taught(known: list[tuple[int, int]] | None = None) -> Lesson:
    """Queries 1, 3, 4, 6. Query 4 has no scored negative, 6 no score of its positive; 21 answers 1."""
    pairs = np.array(known or [(1, 10), (1, 21), (3, 11), (3, 12), (4, 13), (6, 14)], np.int32)
    return Lesson(
        np.array([1, 3, 4, 6], np.int32),
        np.array([[10, NO_DOC], [11, 12], [13, NO_DOC], [14, NO_DOC]], np.int32),
        np.array([[20, 21, 22], [20, 13, NO_DOC], [23, NO_DOC, NO_DOC], [24, 25, 20]], np.int32),
        np.full((4, 3), 0.5, np.float32),
        Pairs.from_rows(pairs[:, 0], pairs[:, 1], 8),
        TeacherScores(
            float32([4, NONE], [3, 1], [2, NONE], [NONE, NONE]),
            float32([1, 9, 2], [-1, 2, NONE], [NONE] * 3, [0, 1, 2]),
        ),
    )


def scores_of(lesson: Lesson) -> dict[tuple[int, int], float]:
    """(query, document) → score, where there is one."""
    assert lesson.teacher is not None
    found = {}
    for docs, scores in (
        (lesson.positives, lesson.teacher.positives),
        (lesson.negatives, lesson.teacher.negatives),
    ):
        for query, of_query, some in zip(lesson.query.tolist(), docs.tolist(), scores.tolist(), strict=True):
            found |= {(query, doc): one for doc, one in zip(of_query, some, strict=True) if not np.isnan(one)}
    return found


def by_hand(
    lesson: Lesson, batch: list[tuple[int, int]], query: Float64, document: Float64, temperature: float
) -> float:
    """The mean divergence of a batch of (query, positive), one pair after the other.

    query  float64 (trial queries, dimension), document  float64 (documents, dimension): by rows
    """
    scores = scores_of(lesson)
    total = 0.0
    for row, positive in batch:
        known = lesson.known.doc[lesson.known.start[row] : lesson.known.start[row + 1]].tolist()
        negatives = lesson.negatives[lesson.query.tolist().index(row)].tolist()
        own = [doc for doc in negatives if doc not in known and (row, doc) in scores]
        if not own or (row, positive) not in scores:
            continue
        documents = [positive, *own]
        teacher = np.exp([scores[row, doc] for doc in documents])
        student = np.exp([query[row] @ document[doc] / temperature for doc in documents])
        teacher, student = teacher / teacher.sum(), student / student.sum()
        total += float((teacher * np.log(teacher / student)).sum())
    return total / len(batch)


def batch_of(lesson: Lesson, steps: Steps, step: Step) -> list[tuple[int, int]]:
    positives = steps.documents[step.document[: len(step.query)]]
    return list(zip(lesson.query[step.query].tolist(), positives.tolist(), strict=True))


def finite_differences(loss: Any, at: Float64) -> Float64:
    """The slopes of a function of one float64 array."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = 1e-5
        found[place] = (loss(at + step) - loss(at - step)) / 2e-5
    return found


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("side", ["query", "document", "shared"])
@pytest.mark.parametrize("of_length_1", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_adapters_slopes_are_those_of_the_loss_written_out(
    side: Side, of_length_1: bool, seed: int
) -> None:
    lesson, draws = taught(), np.random.default_rng(3)
    queries, documents = draws.normal(size=(8, 5)), draws.normal(size=(30, 5))
    queries, documents = unit(queries), unit(documents)
    weight = np.eye(5) + 0.3 * draws.normal(size=(5, 5))
    steps = Steps(lesson, replace(BUDGET, seed=seed))
    step = steps[0]

    def loss(map_: Float64) -> float:
        one = queries @ map_ if side != "document" else queries
        other = documents @ map_ if side != "query" else documents
        if of_length_1:
            one, other = unit(one), unit(other)
        return by_hand(lesson, batch_of(lesson, steps, step), one, other, BUDGET.temperature)

    parts = [
        part.astype(np.float32)
        for part in (
            queries[lesson.query[step.query]],
            documents[steps.documents[step.document]],
            step.bias,
            weight,
        )
    ]
    without = adapter._gradient(*parts, side, of_length_1, BUDGET.temperature)
    whole = adapter._gradient(*parts, side, of_length_1, BUDGET.temperature, step.distilled)
    wanted = finite_differences(loss, weight)
    assert np.abs(wanted).max() > 0.05
    np.testing.assert_allclose(whole - without, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_the_static_students_slopes_are_those_of_the_loss_written_out() -> None:
    lesson, draws = taught(), np.random.default_rng(4)
    table = draws.normal(size=(12, 4))
    query_bags = bags([draws.integers(0, 12, 3).astype(np.int32) for _ in range(8)], 12)
    document_bags = bags([draws.integers(0, 12, 4).astype(np.int32) for _ in range(30)], 12)
    steps = Steps(lesson, BUDGET)
    step = steps[0]

    def loss(vectors: Float64) -> float:
        one, other = unit(query_bags @ vectors), unit(document_bags @ vectors)
        return by_hand(lesson, batch_of(lesson, steps, step), one, other, BUDGET.temperature)

    parts: Any = (
        query_bags[lesson.query[step.query]],
        document_bags[steps.documents[step.document]],
        step.bias,
        table.astype(np.float32),
        BUDGET.temperature,
    )
    words, without = static._gradient(*parts)
    same_words, whole = static._gradient(*parts, step.distilled)
    assert words.tolist() == same_words.tolist()
    wanted = finite_differences(loss, table)
    assert not np.delete(wanted, words, axis=0).any()
    np.testing.assert_allclose(whole - without, wanted[words], rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_the_drawn_positives_score_stands_first() -> None:
    lesson = taught()
    place, positive = np.array([1, 1, 0, 3], np.int32), np.array([12, 11, 10, 14], np.int32)
    found = group_scores(lesson, place, positive)
    wanted = [[1, -1, 2, NONE], [3, -1, 2, NONE], [4, 1, 9, 2], [NONE, 0, 1, 2]]
    np.testing.assert_array_equal(found, wanted)  # type: ignore[arg-type]  # never None here
    assert group_scores(replace(lesson, teacher=None), place, positive) is None


def test_rows_of_a_training_have_no_score_where_they_were_filled_up() -> None:
    lesson = taught()
    rows = training_rows(lesson, replace(BUDGET, steps=3))
    scores = scores_of(lesson)
    assert rows.score is not None
    for query, docs, found in zip(rows.query.tolist(), rows.doc.tolist(), rows.score.tolist(), strict=True):
        own = lesson.negatives[lesson.query.tolist().index(query)].tolist()
        for column, (doc, one) in enumerate(zip(docs, found, strict=True)):
            filled_up = column > 0 and own[column - 1] == NO_DOC
            wanted = NONE if filled_up else scores.get((query, doc), NONE)
            np.testing.assert_equal(one, wanted)
    assert training_rows(replace(lesson, teacher=None), BUDGET).score is None


# -- the fine-tuned student's loss ------------------------------------------------------------------


def full_loss(lesson: Lesson, order: Int32, vectors: tuple[Float64, Float64]) -> float:
    """Of these rows of a training as one batch."""
    import torch

    from hardneg.trialing.masked_loss import contrastive_loss

    model = torch.nn.Identity()
    model.similarity_fn_name = "cosine"
    rows = training_rows(lesson, BUDGET)
    loss = contrastive_loss(model, rows, lesson.known, 1 / BUDGET.temperature)
    query, document = (torch.tensor(part, dtype=torch.float32) for part in vectors)
    columns = [document[rows.doc[order, column]] for column in range(rows.doc.shape[1])]
    found: float = loss.compute_loss_from_embeddings(
        [query[rows.query[order]], *columns], torch.tensor(order)
    ).item()
    return found


@pytest.fixture
def vectors() -> tuple[Float64, Float64]:
    draws = np.random.default_rng(7)
    return unit(draws.normal(size=(8, 5))), unit(draws.normal(size=(30, 5)))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [1, 2], [0]])
def test_the_full_students_loss_is_the_one_written_out(
    order: list[int], vectors: tuple[Float64, Float64]
) -> None:
    lesson, places = taught(), np.array(order)
    rows = training_rows(lesson, BUDGET)
    batch = list(zip(rows.query[order].tolist(), rows.doc[order, 0].tolist(), strict=True))
    added = full_loss(lesson, places, vectors) - full_loss(replace(lesson, teacher=None), places, vectors)
    assert added == pytest.approx(by_hand(lesson, batch, *vectors, BUDGET.temperature), abs=2e-6)


def test_the_numpy_students_and_the_full_one_have_the_same_slopes(vectors: tuple[Float64, Float64]) -> None:
    """One batch of the same queries and positives: torch's gradient by the queries, and that of `slopes`."""
    import torch

    from hardneg.trialing.contrastive import slopes
    from hardneg.trialing.masked_loss import contrastive_loss

    lesson = taught()
    whole = replace(lesson, negatives=np.where(lesson.negatives == NO_DOC, 26, lesson.negatives))
    steps, rows = Steps(whole, BUDGET), training_rows(whole, BUDGET)
    step = steps[0]
    query, document = (part.astype(np.float32) for part in vectors)
    of_query = torch.tensor(query[rows.query], requires_grad=True)
    model = torch.nn.Identity()
    model.similarity_fn_name = "dot"
    columns = [torch.tensor(document[rows.doc[:, column]]) for column in range(rows.doc.shape[1])]
    loss = contrastive_loss(model, rows, whole.known, 1 / BUDGET.temperature)
    loss.compute_loss_from_embeddings([of_query, *columns], torch.arange(4)).backward()
    found, _ = slopes(
        query[whole.query[step.query]],
        document[steps.documents[step.document]],
        step.bias,
        BUDGET.temperature,
        step.distilled,
    )
    assert of_query.grad is not None
    np.testing.assert_allclose(found, of_query.grad.numpy(), rtol=1e-4, atol=1e-6)


# -- who adds nothing -------------------------------------------------------------------------------


def test_a_lesson_without_any_score_is_learned_as_if_there_were_no_teacher(
    vectors: tuple[Float64, Float64],
) -> None:
    lesson = taught()
    assert lesson.teacher is not None
    nobody = TeacherScores(lesson.teacher.positives * NONE, lesson.teacher.negatives * NONE)
    unscored, without = replace(lesson, teacher=nobody), replace(lesson, teacher=None)
    data: Any = Vectors(*vectors)
    budget = replace(BUDGET, steps=5)
    for side in ("query", "document", "shared"):
        maps = [adapter._trained(data, one, budget, side)[0] for one in (unscored, without, lesson)]
        np.testing.assert_array_equal(maps[0], maps[1])
        assert (maps[2] != maps[1]).any()
    order = np.arange(4)
    assert full_loss(unscored, order, vectors) == full_loss(without, order, vectors)


class Vectors:
    """`protocols.Studied` of vectors alone."""

    def __init__(self, query: Float64, document: Float64) -> None:
        self._query, self._document = query.astype(np.float32), document.astype(np.float32)

    def query_vectors(self, rows: Int32) -> Float32:
        return self._query[rows]

    def document_vectors(self, rows: Int32) -> Float32:
        return self._document[rows]


def test_scores_of_masked_documents_change_nothing(vectors: tuple[Float64, Float64]) -> None:
    """21 is a negative of query 1, and known to answer it."""
    lesson = taught()
    assert lesson.teacher is not None
    other = lesson.teacher.negatives.copy()
    other[0, 1] = -50
    changed = replace(lesson, teacher=replace(lesson.teacher, negatives=other))
    data: Any = Vectors(*vectors)
    np.testing.assert_array_equal(
        adapter._trained(data, lesson, BUDGET, "shared")[0],
        adapter._trained(data, changed, BUDGET, "shared")[0],
    )
    order = np.arange(4)
    assert full_loss(lesson, order, vectors) == full_loss(changed, order, vectors)


def test_the_order_of_a_lessons_queries_changes_nothing(vectors: tuple[Float64, Float64]) -> None:
    lesson, order = taught(), np.array([2, 0, 3, 1])
    assert lesson.teacher is not None
    turned = replace(
        lesson,
        query=lesson.query[order],
        positives=lesson.positives[order],
        negatives=lesson.negatives[order],
        weights=lesson.weights[order],
        teacher=TeacherScores(lesson.teacher.positives[order], lesson.teacher.negatives[order]),
    )
    data: Any = Vectors(*vectors)
    budget = replace(BUDGET, steps=4, batch_size=2)
    np.testing.assert_array_equal(
        adapter._trained(data, lesson, budget, "shared")[0],
        adapter._trained(data, turned, budget, "shared")[0],
    )


# -- learning ---------------------------------------------------------------------------------------


def test_the_adapter_comes_to_order_negatives_as_the_teacher_does() -> None:
    """Document q + 30 is the positive of query q; of its two negatives the teacher finds the first closer."""
    draws = np.random.default_rng(8)
    rows = np.arange(30, dtype=np.int32)
    document = unit(draws.normal(size=(90, 16)))
    query = unit(document[30:60] + 0.5 * draws.normal(size=(30, 16)))
    near = np.argsort(-(query @ document[60:].T), axis=1)[:, :2].astype(np.int32) + 60
    lesson = Lesson(
        rows,
        rows[:, None] + 30,
        near[:, ::-1],  # the teacher's order is not that of the vectors
        np.ones((30, 2), np.float32),
        Pairs.from_rows(rows, rows + 30, 30),
        TeacherScores(np.full((30, 1), 4, np.float32), np.tile(float32([3, -3]), (30, 1))),
    )
    data: Any = Vectors(query, document)
    budget = Budget(steps=200, batch_size=15, learning_rate=2e-2, temperature=0.1, seed=0)

    def agreement(one: Lesson) -> float:
        ranker = Adapter("query").train(data, one, budget)
        place = np.argsort(ranker(rows, np.arange(90, dtype=np.int32), 90), axis=1)
        first, second = (place[rows, lesson.negatives[:, column]] for column in (0, 1))
        return float((first < second).mean())

    assert agreement(lesson) > agreement(replace(lesson, teacher=None)) + 0.2
