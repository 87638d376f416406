"""Real trainings of a random model of two layers, on words that it has to learn to connect."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardneg.errors import MissingExtraError, ModelError, UsageError
from hardneg.protocols import Ranker, Studied
from hardneg.records import NO_DOC, Budget, Float32, Int32, Lesson, Pairs, TeacherScores
from hardneg.trialing.batches import batches
from hardneg.trialing.fine_tuned import FineTuned, LossName
from hardneg.trialing.training_rows import training_rows

pytestmark = pytest.mark.usefixtures("quick_trainings")

LONG = Budget(steps=60, batch_size=4, learning_rate=1e-2, temperature=0.1, seed=1)
SHORT = replace(LONG, steps=3)
POOL = np.arange(8 * 5, dtype=np.int32)
LessonMaker = Callable[..., Lesson]


@pytest.fixture(scope="module")
def model(build: Callable[..., Any]) -> Any:
    """Of cosine similarity, without a Normalize module; its layers are small, else it hardly learns."""
    model = build(seed=3)
    for name, weights in model[0].auto_model.encoder.named_parameters():
        if "LayerNorm" not in name:
            weights.data *= 0.2
    return model


def student_of(model: Any, loss: LossName = "mnrl", **settings: Any) -> FineTuned:
    return FineTuned(model, "the tiny one", loss=loss, device="cpu", **settings)


def mean_rank(rank: Ranker, lesson: Lesson) -> float:
    """Of the known answers of a lesson's queries in the pool."""
    found = rank(lesson.query, POOL, len(POOL))
    places = [
        np.flatnonzero(np.isin(order, lesson.known.padded(lesson.query[row : row + 1])))
        for row, order in enumerate(found)
    ]
    return float(np.mean(np.concatenate(places)))


@pytest.fixture(scope="module")
def trained(model: Any, words: Studied, toy: Lesson) -> Ranker:
    return student_of(model).train(words, toy, LONG)


def test_training_brings_answers_to_the_top(model: Any, trained: Ranker, words: Studied, toy: Lesson) -> None:
    untrained = mean_rank(student_of(model).untrained(words), toy)
    assert untrained > 15  # 5 answers in 40: 19.5 by chance, 2 at best
    assert mean_rank(trained, toy) < 10


def test_twice_the_same_and_the_model_stays_as_it_was(
    model: Any, trained: Ranker, words: Studied, toy: Lesson
) -> None:
    before = _state(model)
    student = student_of(model)
    untouched = student.untrained(words)(toy.query, POOL, 40).tolist()
    again = student.train(words, toy, LONG)(toy.query, POOL, 40).tolist()
    assert again == trained(toy.query, POOL, 40).tolist()
    assert student.untrained(words)(toy.query, POOL, 40).tolist() == untouched
    assert student.train(words, toy, SHORT)(toy.query, POOL, 40).tolist() == (
        student.train(words, toy, SHORT)(toy.query, POOL, 40).tolist()
    )
    assert all(np.array_equal(value, before[name]) for name, value in _state(model).items())


def _state(model: Any) -> dict[str, Any]:
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


# -- what the model sees -------------------------------------------------------------------------------


@dataclass
class Seen:
    """The texts of each call of a model's `preprocess` while it learns, with prompt and task."""

    calls: list[tuple[list[str], Any, Any]] = field(default_factory=list)

    @property
    def texts(self) -> list[list[str]]:
        return [texts for texts, _, _ in self.calls]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    from sentence_transformers import SentenceTransformer

    seen, original = Seen(), SentenceTransformer.preprocess

    def preprocess(self: Any, inputs: list[str], prompt: Any = None, task: Any = None) -> Any:
        seen.calls.append((list(inputs), prompt, task))
        return original(self, inputs, prompt=prompt, task=task)

    monkeypatch.setattr(SentenceTransformer, "preprocess", preprocess)
    return seen


def test_it_goes_through_the_batches_in_order_column_by_column(
    model: Any, words: Studied, toy: Lesson, seen: Seen
) -> None:
    student_of(model).train(words, toy, SHORT)
    rows = training_rows(toy, SHORT)
    wanted = []
    for step in range(3):
        batch = slice(4 * step, 4 * (step + 1))
        wanted.append(words.query_texts(rows.query[batch]))
        wanted += [words.document_texts(rows.doc[batch, column]) for column in range(3)]
    assert seen.texts == wanted
    places, _ = batches(toy, 3, 4, SHORT.seed)
    assert seen.texts[::4] == [words.query_texts(toy.query[place]) for place in places]


def test_few_queries_make_small_batches_but_as_many_steps(
    model: Any, words: Studied, toy: Lesson, seen: Seen
) -> None:
    few = replace(
        toy,
        query=toy.query[:2],
        positives=toy.positives[:2],
        negatives=toy.negatives[:2],
        weights=toy.weights[:2],
    )
    student_of(model).train(words, few, SHORT)
    assert [len(texts) for texts in seen.texts] == [2] * 3 * 4


def test_queries_and_documents_get_their_prompts_when_learned_and_when_ranked(
    model: Any, words: Studied, toy: Lesson, seen: Seen
) -> None:
    student = student_of(model, query_prompt="query : ", document_prompt="passage : ")
    rank = student.train(words, toy, replace(SHORT, steps=1))
    query, document = ("query : ", "query"), ("passage : ", "document")
    assert [call[1:] for call in seen.calls] == [query, document, document, document]
    seen.calls.clear()
    rank(toy.query, POOL, 2)
    assert {call[1:] for call in seen.calls} == {query, document}


def test_without_negatives_a_batch_is_queries_and_positives(
    model: Any, words: Studied, toy: Lesson, seen: Seen
) -> None:
    rank = student_of(model).train(words, _pairs_of(toy), SHORT)
    assert len(seen.calls) == 3 * 2
    assert rank(toy.query, POOL, 4).shape == (8, 4)


def _pairs_of(lesson: Lesson) -> Lesson:
    return replace(lesson, negatives=lesson.negatives[:, :0], weights=lesson.weights[:, :0])


def test_known_answers_of_others_and_weights_reach_the_loss(model: Any, words: Studied, toy: Lesson) -> None:
    def after(lesson: Lesson) -> list[Any]:
        return student_of(model).train(words, lesson, SHORT)(toy.query, POOL, 40).tolist()

    nothing_known = Pairs(np.zeros(9, np.int64), np.zeros(0, np.int32))
    light = np.full(toy.weights.shape, 0.01, np.float32)
    whole = replace(toy, negatives=np.where(toy.negatives == NO_DOC, 4, toy.negatives).astype(np.int32))
    as_it_is = after(whole)
    assert after(replace(whole, known=nothing_known)) != as_it_is
    assert after(replace(whole, weights=light)) != as_it_is


# -- losses --------------------------------------------------------------------------------------------


class Lengths:
    """A Scorer that counts letters, and is asked for each pair once."""

    name = "lengths"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def fingerprint(self) -> Mapping[str, Any]:
        return {"teacher": "lengths"}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        self.asked += pairs
        return np.array([100 * len(query) + len(document) for query, document in pairs], np.float32)


@pytest.mark.parametrize("negatives", [True, False], ids=["two negatives", "none"])
@pytest.mark.parametrize("loss", ["cached-mnrl", "gist"])
def test_the_librarys_contrastive_losses(
    loss: LossName, negatives: bool, model: Any, words: Studied, toy: Lesson
) -> None:
    lesson = toy if negatives else _pairs_of(toy)
    student = student_of(model, loss)
    if negatives:
        assert mean_rank(student.train(words, lesson, LONG), toy) < 14
    first, second = (student.train(words, lesson, SHORT) for _ in range(2))
    assert first(toy.query, POOL, 40).tolist() == second(toy.query, POOL, 40).tolist()


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "loss", ["mnrl", pytest.param("cached-mnrl", marks=SLOW), pytest.param("gist", marks=SLOW)]
)
def test_the_negatives_matter(loss: LossName, model: Any, words: Studied, toy: Lesson) -> None:
    def after(lesson: Lesson) -> list[list[int]]:
        return student_of(model, loss).train(words, lesson, LONG)(toy.query, POOL, 40).tolist()  # type: ignore[no-any-return]

    other = replace(toy, negatives=((toy.negatives + 7) % 40).astype(np.int32))
    assert after(toy) != after(_pairs_of(toy)) and after(toy) != after(other)


def test_margin_mse_learns_the_teachers_margins(
    model: Any, words: Studied, toy: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss

    labels: list[Any] = []
    compute = MarginMSELoss.compute_loss_from_embeddings

    def spy(self: Any, embeddings: Any, given: Any) -> Any:
        labels.append(given.tolist())
        return compute(self, embeddings, given)

    monkeypatch.setattr(MarginMSELoss, "compute_loss_from_embeddings", spy)
    teacher = Lengths()
    student = student_of(model, "margin-mse", teacher=teacher)
    student.train(words, toy, SHORT)
    length = [[len(text) for text in words.document_texts(doc)] for doc in training_rows(toy, SHORT).doc]
    assert np.concatenate(labels).tolist() == [[row[0] - row[1], row[0] - row[2]] for row in length]
    asked = len(teacher.asked)
    student.train(words, toy, SHORT)
    assert len(teacher.asked) == len(set(teacher.asked)) == asked


def test_margin_mse_learns_from_one_negative(model: Any, words: Studied, toy: Lesson) -> None:
    one = replace(toy, negatives=toy.negatives[:, :1], weights=toy.weights[:, :1])
    rank = student_of(model, "margin-mse", teacher=Lengths()).train(words, one, SHORT)
    assert rank(toy.query, POOL, 4).shape == (8, 4)


def test_margin_mse_takes_the_scores_that_are_there_and_asks_for_the_rest(
    model: Any, words: Studied, toy: Lesson
) -> None:
    """The lesson has the teacher's own scores of all but two pairs, and none of what fills it up."""
    lesson = taught_by(Lengths(), words, toy)
    assert lesson.teacher is not None
    lesson.teacher.positives[5, 1] = lesson.teacher.negatives[2, 0] = np.nan
    asked_of, lacking = student_of(model, "margin-mse", teacher=Lengths()), Lengths()
    student, budget = student_of(model, "margin-mse", teacher=lacking), replace(SHORT, steps=20)
    rows = training_rows(lesson, budget)
    assert rows.score is not None and 5 in rows.query[rows.doc[:, 0] == 21]
    np.testing.assert_array_equal(student._margins(words, rows), asked_of._margins(words, rows))
    documents = np.concatenate([[toy.positives[5, 1], toy.negatives[2, 0]], rows.doc[rows.query == 3][:1, 2]])
    queries = words.query_texts(np.array([5, 2, 3], np.int32))
    wanted = list(zip(queries, words.document_texts(documents.astype(np.int32)), strict=True))
    assert sorted(lacking.asked) == sorted(wanted)
    student.train(words, lesson, SHORT)


def taught_by(teacher: Lengths, words: Studied, lesson: Lesson) -> Lesson:
    """The lesson with all of the teacher's scores."""

    def scores(docs: Int32) -> Float32:
        found = np.full(docs.shape, np.nan, np.float32)
        row, column = np.nonzero(docs != NO_DOC)
        queries, documents = words.query_texts(lesson.query[row]), words.document_texts(docs[row, column])
        found[row, column] = teacher.score(list(zip(queries, documents, strict=True)))
        return found

    return replace(lesson, teacher=TeacherScores(scores(lesson.positives), scores(lesson.negatives)))


def test_a_teachers_scores_reach_the_loss(model: Any, words: Studied, toy: Lesson) -> None:
    def after(lesson: Lesson) -> list[Any]:
        return student_of(model).train(words, lesson, SHORT)(toy.query, POOL, 40).tolist()

    lesson = taught_by(Lengths(), words, toy)
    assert lesson.teacher is not None
    nobody = TeacherScores(lesson.teacher.positives * np.nan, lesson.teacher.negatives * np.nan)
    assert after(lesson) != after(toy)
    assert after(replace(lesson, teacher=nobody)) == after(toy)


@pytest.mark.parametrize("loss", ["cached-mnrl", "gist"])
def test_losses_that_take_no_teacher_scores_say_so(
    loss: LossName, model: Any, words: Studied, toy: Lesson
) -> None:
    with pytest.raises(UsageError, match=f"loss {loss} takes no teacher scores; mnrl does"):
        student_of(model, loss).train(words, taught_by(Lengths(), words, toy), SHORT)


def test_a_loss_that_cannot_be_is_refused(model: Any, words: Studied, toy: Lesson) -> None:
    with pytest.raises(UsageError, match="needs a teacher"):
        student_of(model, "margin-mse")
    with pytest.raises(UsageError, match="no loss 'triplet'; there are mnrl, cached-mnrl, gist, margin-mse"):
        FineTuned(model, "", loss="triplet")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="learns from negatives, and this lesson has none"):
        student_of(model, "margin-mse", teacher=Lengths()).train(words, _pairs_of(toy), SHORT)


def test_what_the_library_says_against_a_loss_is_passed_on(model: Any, words: Studied, toy: Lesson) -> None:
    """Bags of words are not for losses that go through a batch in parts."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    bag = SentenceTransformer(modules=[StaticEmbedding(model.tokenizer.backend_tokenizer, embedding_dim=8)])
    with pytest.raises(UsageError, match="cannot be trained with loss gist .*StaticEmbedding.*; try mnrl"):
        student_of(bag, "gist").train(words, toy, SHORT)


# -- what goes wrong -----------------------------------------------------------------------------------


def test_weights_that_run_away_are_refused_with_the_learning_rate(
    model: Any, words: Studied, toy: Lesson
) -> None:
    with pytest.raises(ModelError, match=r"learning rate .*1e\+30"):
        student_of(model).train(words, toy, replace(SHORT, learning_rate=1e30))(toy.query, POOL, 3)


def test_a_loss_that_is_no_number_is_refused_with_the_learning_rate(
    model: Any, words: Studied, toy: Lesson
) -> None:
    with pytest.raises(ModelError, match="learning rate of 0.01 gave a loss that is NaN") as caught:
        student_of(model).train(words, toy, replace(SHORT, temperature=1e-40))
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers_are_refused(model: Any, words: Studied, toy: Lesson) -> None:
    damaged = copy.deepcopy(model)
    damaged[0].auto_model.encoder.layer[1].output.dense.bias.data[0] = np.nan
    with pytest.raises(ModelError, match="'full' gave NaN or infinity for 8 of 8 texts.*damaged"):
        student_of(damaged).untrained(words)(toy.query, POOL, 3)


def test_a_training_that_fails_says_why(model: Any, words: Studied, toy: Lesson) -> None:
    class LongTexts(type(words)):  # type: ignore[misc]
        def document_texts(self, rows: Int32) -> list[str]:
            return [f"{text} " * 40 for text in super().document_texts(rows)]

    greedy = copy.deepcopy(model)
    greedy.max_seq_length = 100  # it has positions for fewer
    with pytest.raises(ModelError, match="training failed .*; try a smaller batch size or max_length"):
        student_of(greedy).train(LongTexts(), toy, SHORT)


# -- the model itself ----------------------------------------------------------------------------------


def test_no_trace_is_left(
    model: Any,
    words: Studied,
    toy: Lesson,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    student_of(model).train(words, toy, SHORT)(toy.query, POOL, 40)
    assert capfd.readouterr() == ("", "")
    assert list(Path().iterdir()) == []


def test_cosine_compares_vectors_of_length_one_and_dot_does_not(
    words: Studied, toy: Lesson, build: Callable[..., Any]
) -> None:
    for similarity in ("cosine", "dot"):
        made = build(seed=3, similarity=similarity)
        queries = made.encode_query(words.query_texts(toy.query)).astype(np.float64)
        documents = made.encode_document(words.document_texts(POOL)).astype(np.float64)
        if similarity == "cosine":
            queries /= np.linalg.norm(queries, axis=1, keepdims=True)
            documents /= np.linalg.norm(documents, axis=1, keepdims=True)
        wanted = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, 0]
        assert student_of(made).untrained(words)(toy.query, POOL, 1)[:, 0].tolist() == wanted.tolist()


def test_the_learning_rate_rises_for_a_tenth_of_the_steps_and_falls(
    model: Any, words: Studied, toy: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    rates: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: Any, *given: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    student_of(model).train(words, toy, replace(LONG, steps=20))
    rising = [0.0, 0.5]
    falling = [1 - done / 18 for done in range(18)]
    assert rates == pytest.approx([1e-2 * share for share in rising + falling])


def test_the_fingerprint_holds_what_decides_and_looks_at_no_model() -> None:
    plain = FineTuned("no/model", "content")
    others = [
        FineTuned("no/model", "other"),
        FineTuned("no/model", "content", query_prompt="q"),
        FineTuned("no/model", "content", document_prompt="q"),
        FineTuned("no/model", "content", loss="gist"),
        FineTuned("no/model", "content", loss="margin-mse", teacher=Lengths()),
        FineTuned("no/model", "content", name="static"),
    ]
    prints = [repr(student.fingerprint()) for student in [plain, *others]]
    assert len(set(prints)) == len(prints)
    assert FineTuned("elsewhere", "content").fingerprint() == plain.fingerprint()
    assert others[4].fingerprint()["teacher"] == {"teacher": "lengths"}


def test_seeds_of_any_size_are_taken(model: Any, words: Studied, toy: Lesson) -> None:
    assert student_of(model).train(words, toy, replace(SHORT, seed=(1 << 63) + 5)) is not None


def test_without_the_trainers_library_the_extra_is_named(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardneg.trialing.fine_tuned.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"hardneg\[train\]"):
        FineTuned(model, "tiny")
