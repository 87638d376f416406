"""The static student: texts are means of word vectors, and the gradient is that of autograd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardneg.errors import ModelError
from hardneg.protocols import Studied
from hardneg.records import NO_DOC, Budget, Lesson, TeacherScores
from hardneg.trialing import Static, Words
from hardneg.trialing.static import _gradient, bags

TABLE = np.random.default_rng(1).normal(size=(12, 6)).astype(np.float32)
TEXTS = [np.array(ids, np.int32) for ids in ([0, 1, 1], [5], [], [11, 3, 5, 7])]
POOL = np.arange(8 * 5, dtype=np.int32)


def test_a_text_is_the_mean_of_its_words_vectors() -> None:
    found = bags(TEXTS, 12) @ TABLE
    expected = [
        (TABLE[0] + 2 * TABLE[1]) / 3,
        TABLE[5],
        np.zeros(6),
        (TABLE[11] + TABLE[3] + TABLE[5] + TABLE[7]) / 4,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_gradient_is_that_of_autograd() -> None:
    import torch

    query, document = bags(TEXTS[:2], 12), bags([TEXTS[1], TEXTS[3], TEXTS[0]], 12)
    bias = np.array([[0, -0.5, 0], [-np.inf, 0, 0]], np.float32)
    words, gradient = _gradient(query, document, bias, TABLE, 0.1)
    assert words.tolist() == [0, 1, 3, 5, 7, 11]
    table = torch.tensor(TABLE, dtype=torch.float64, requires_grad=True)
    one, other = (
        torch.nn.functional.normalize(torch.tensor(of.toarray(), dtype=torch.float64) @ table, dim=1)
        for of in (query, document)
    )
    loss = torch.nn.functional.cross_entropy(one @ other.T / 0.1 + torch.tensor(bias), torch.arange(2))
    loss.backward()
    assert table.grad is not None
    np.testing.assert_allclose(gradient, table.grad[torch.tensor(words)].numpy(), rtol=1e-3, atol=1e-5)
    assert not table.grad[[2, 4, 6, 8, 9, 10]].any()


@pytest.fixture
def student(build: Callable[..., Any]) -> Static:
    model = build(seed=3)
    tokenizer = model.tokenizer

    def ids(texts: Any) -> list[list[int]]:
        return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]

    vectors = model[0].auto_model.get_input_embeddings().weight.detach().numpy().copy()
    return Static(lambda: Words(ids, vectors), {"model": "tiny"})


def test_training_brings_answers_to_the_top_twice_the_same(
    student: Static, words: Studied, toy: Lesson
) -> None:
    budget = Budget(steps=40, batch_size=4, learning_rate=0.1, temperature=0.1, seed=1)
    before = student.words().vectors.copy()
    wanted = toy.known.padded(toy.query)

    def found(rank: Any) -> float:
        order = rank(toy.query, POOL, 5)
        return float(np.mean([np.isin(row, one).mean() for row, one in zip(order, wanted, strict=True)]))

    assert found(student.untrained(words)) < 0.3
    trained = student.train(words, toy, budget)
    assert found(trained) > 0.7
    again = student.train(words, toy, budget)
    assert again(toy.query, POOL, 40).tolist() == trained(toy.query, POOL, 40).tolist()
    assert (student.words().vectors == before).all()


def test_a_teachers_scores_are_learned_and_missing_ones_are_not(
    student: Static, words: Studied, toy: Lesson
) -> None:
    budget = Budget(steps=3, batch_size=4, learning_rate=0.1, temperature=0.1, seed=1)
    scores = TeacherScores(
        np.where(toy.positives == NO_DOC, np.nan, 2).astype(np.float32),
        np.where(toy.negatives == NO_DOC, np.nan, toy.negatives % 3).astype(np.float32),
    )
    nobody = TeacherScores(scores.positives * np.nan, scores.negatives)
    plain, taught, unscored = (
        student._trained(words, replace(toy, teacher=teacher), budget) for teacher in (None, scores, nobody)
    )
    assert (taught != plain).any() and (unscored == plain).all()


def test_vectors_that_are_no_numbers_name_the_rate(student: Static, words: Studied, toy: Lesson) -> None:
    budget = Budget(steps=3, batch_size=4, learning_rate=1e39, temperature=0.1, seed=1)
    with np.errstate(all="ignore"), pytest.raises(ModelError, match=r"learning rate 1e\+39"):
        student.train(words, toy, budget)
