"""hardneg trial: who is asked shares nothing with who learns, the run stays as it is, and it can be used."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow.parquet as pq
import pytest

import hardneg
from hardneg import cli
from hardneg.config import Config
from hardneg.errors import InputError, ModelError, UsageError
from hardneg.fingerprints import digest
from hardneg.plan.mine import changed_config
from hardneg.plan.prepare import reopen
from hardneg.plan.retrievers import NOTHING_OWN
from hardneg.plan.trial import _use
from hardneg.plan.trial_data import Data
from hardneg.plan.trial_lessons import Lessons
from hardneg.plan.trial_pool import pool
from hardneg.plan.trial_queries import Queries
from hardneg.plan.trial_teacher import Teacher
from hardneg.progress import Silent, Terminal
from hardneg.records import NO_DOC, Budget, Float32, Int32, Lesson
from hardneg.report.trial import render_trial
from hardneg.run_directory import RunDirectory
from hardneg.trialing import IN_BATCH, UNTRAINED, Arm, FineTuned, TrialOptions, default_arms

FAST: dict[str, Any] = {"steps": 20, "batch": 16, "seeds": 2}


def tables(topics: int = 30) -> dict[str, Any]:
    """Topics with two queries and three answers each, of which either query has two: one of them shared."""
    draw = np.random.default_rng(5)
    words = np.array([f"word{number}" for number in range(400)])
    corpus, queries, qrels = [], [], []
    for topic in range(topics):
        own = draw.choice(words, 8, replace=False)
        for number in range(5):
            text = " ".join([*draw.choice(own, 5), *draw.choice(words, 3)])
            corpus.append({"doc_id": f"d{topic:02d}-{number}", "title": None, "text": text})
        for twin in (0, 1):
            query_id = f"q{topic:02d}-{twin}"
            queries.append({"query_id": query_id, "text": " ".join(draw.choice(own, 4, replace=False))})
            qrels += [
                {"query_id": query_id, "doc_id": f"d{topic:02d}-{number}", "relevance": 1.0}
                for number in (twin, 2)
            ]
    return {"corpus": corpus, "queries": queries, "qrels": qrels}


def write_vectors(folder: Path, data: dict[str, Any]) -> Path:
    """Own vectors: the sum of a random vector for each word, and noise. No model is needed."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(9)
    of: dict[str, Any] = {}
    for name, table, key in (("queries", "queries", "query_id"), ("documents", "corpus", "doc_id")):
        rows = []
        for row in data[table]:
            total = sum(of.setdefault(word, draw.normal(size=24)) for word in row["text"].split())
            total = total + draw.normal(size=24) * 2
            rows.append(total / np.linalg.norm(total))
        np.save(folder / f"{name}.npy", np.array(rows, np.float32))
        (folder / f"{name}.ids.txt").write_text("\n".join(row[key] for row in data[table]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trial")
    data = tables()
    vectors = write_vectors(folder / "vectors", data)
    hardneg.mine(
        data,
        run_dir=folder / "run",
        retriever=f"vectors:{vectors}",
        depth=40,
        relative_margin=None,
        name="top",
    ).select(name="far", window="20:", relative_margin=None)
    return folder / "run"


@pytest.fixture(scope="module")
def found(run: Path) -> dict[str, Any]:
    return hardneg.trial(run, **FAST)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that a run is made of, but for the trial's own and notes of what was opened."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
        if "trial" not in path.parts
    }


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["hardneg", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


# -- what it says -----------------------------------------------------------------------------------------


def test_it_says_who_was_asked_and_what_every_arm_did(run: Path, found: dict[str, Any]) -> None:
    names = [arm["name"] for arm in found["arms"]]
    assert names[:2] == [UNTRAINED, IN_BATCH] and "top" in names and "random" in names
    assert set(found["group"]) <= set(names) - {UNTRAINED}
    best = max((arm for arm in found["arms"][1:]), key=lambda arm: arm["measures"]["nDCG@10"]["mean"])
    assert found["group"][0] == best["name"]
    assert found["split"]["kind"] == "separate" and found["split"]["asked"] == 60
    assert found["split"]["largest_component"] == 2
    for arm in found["arms"]:
        for measure in arm["measures"].values():
            assert 0 <= measure["low"] <= measure["mean"] <= measure["high"] <= 1
    assert json.loads((run / "trial" / "trial.json").read_text()) == found
    top = next(arm for arm in found["arms"] if arm["name"] == "top")
    assert top["negatives_a_query"] == 4 and top["learning_rate"] in (3e-4, 1e-3)
    assert "--max-p" in next(arm for arm in found["arms"] if arm["name"] == "guard 0.05")["flags"]


def test_the_same_again_byte_for_byte_and_with_what_was_trained_kept(
    run: Path, found: dict[str, Any]
) -> None:
    kept = sorted((run / "trial" / "learned").iterdir())
    first = [path.read_bytes() for path in kept]
    for path in kept[::2]:
        path.unlink()
    assert hardneg.trial(run, **FAST) == found
    assert sorted((run / "trial" / "learned").iterdir()) == kept
    again = {path.name: dict(np.load(path)) for path in kept}
    for path, data in zip(kept, first, strict=True):
        path.write_bytes(data)
        for name, values in np.load(path).items():
            np.testing.assert_array_equal(again[path.name][name], values)


def test_a_trial_changes_nothing_else_of_the_run(run: Path, found: dict[str, Any]) -> None:
    before = contents(run)
    selections = RunDirectory(run).manifest()["selections"]
    hardneg.trial(run, selections=["top"], **FAST)
    assert contents(run) == before
    assert RunDirectory(run).manifest()["selections"] == selections


def test_two_selections_of_the_same_settings_cannot_be_told_apart(run: Path) -> None:
    hardneg.open_run(run).select(name="again", relative_margin=None)
    found = hardneg.trial(run, selections=["top", "again"], **FAST)
    of = {arm["name"]: arm for arm in found["arms"]}
    assert of["top"]["measures"] == of["again"]["measures"]
    assert {"top", "again"} <= set(found["group"]) or not {"top", "again"} & set(found["group"])


def test_other_vectors_are_trained_on_anew(tmp_path: Path) -> None:
    """What was learned before is of the vectors before: the untrained and the trained must be of the same."""
    data = tables()
    vectors = write_vectors(tmp_path / "vectors", data)
    mined = hardneg.mine(
        data, run_dir=tmp_path / "run", retriever=f"vectors:{vectors}", depth=40, relative_margin=None
    )
    mined.trial(selections=["default"], **FAST)
    stored = np.load(vectors / "queries.npy")
    np.save(vectors / "queries.npy", stored[::-1])
    again = mined.trial(selections=["default"], **FAST)
    for path in (tmp_path / "run" / "trial" / "learned").iterdir():
        path.unlink()
    assert mined.trial(selections=["default"], **FAST) == again


# -- who learns and who is asked --------------------------------------------------------------------------


def queries_of(run: Path, **options: Any) -> Queries:
    directory = RunDirectory(run)
    config = changed_config(directory, {})
    return Queries.of(reopen(directory, config, Silent()), config, TrialOptions(**options), None, True)


def data_of(queries: Queries) -> Data:
    config = changed_config(queries.prepared.run, {})
    return Data(queries.prepared, queries.table, config, NOTHING_OWN)


@pytest.mark.parametrize("folds", [1, 5])
def test_no_more_queries_are_asked_or_learned_than_wanted(run: Path, folds: int) -> None:
    views = list(queries_of(run, folds=folds, asked_queries=7, training_queries=20).views())
    asked = np.any([view.asked for view in views], axis=0)
    assert asked.sum() == 7 and all(0 < view.learning.sum() <= 20 for view in views)
    for view in views:
        assert not (view.asked & view.learning).any()
    views = list(queries_of(run, folds=folds, asked_queries=7).views())
    learning = max(int(view.learning.sum()) for view in views)
    # Who hangs together with those asked does not learn, though it is not asked itself.
    assert learning <= 48 and np.any([view.asked for view in views], axis=0).sum() == 7
    found = hardneg.trial(run, selections=["top"], folds=folds, asked_queries=7, student=Lucky(), seeds=1)
    assert found["queries"] == found["split"]["asked"] == 7


def test_folds_are_counted_by_the_runs_queries_not_by_those_drawn(run: Path, monkeypatch: Any) -> None:
    """Or asking fewer would cost more: few are drawn of a large run, and few are asked fold by fold."""
    monkeypatch.setattr("hardneg.plan.trial_queries.ONE_SPLIT_FROM", 50)
    queries = queries_of(run, training_queries=20, asked_queries=5)
    (view,) = queries.views()
    assert queries.repeats == 1 and view.asked.sum() == 5 and view.learning.sum() == 20
    assert queries.facts([view])["queries"] == 60


def test_no_answer_of_who_is_asked_is_learned_and_every_query_is_asked_once(run: Path) -> None:
    queries = queries_of(run)
    asked = np.zeros(60, np.int64)
    for view in queries.views():
        assert not (view.asked & view.learning).any()
        answers = set(queries.answers(view.asked).document.ravel().tolist()) - {NO_DOC}
        assert not answers & set(view.taught.doc.tolist())
        tuning = queries.tuning(view)
        assert not (tuning.asked & view.asked).any() and not (tuning.asked & tuning.learning).any()
        assert not set(queries.answers(tuning.asked).document.ravel().tolist()) & set(
            tuning.taught.doc.tolist()
        )
        asked += view.asked
    assert (asked == queries.repeats * np.ones(60)).all()


def test_of_three_queries_one_is_asked(tmp_path: Path) -> None:
    """A fifth of so few is less than a query, but a query is not too large to be asked."""
    data = tables(3)
    data["queries"] = data["queries"][::2]
    kept = {row["query_id"] for row in data["queries"]}
    data["qrels"] = [row for row in data["qrels"] if row["query_id"] in kept]
    vectors = write_vectors(tmp_path / "vectors", data)
    mined = hardneg.mine(data, run_dir=tmp_path / "run", retriever=f"vectors:{vectors}", depth=10)
    found = mined.trial(selections=["default"], folds=1, **FAST)
    assert found["queries"] == 1 and found["split"]["learning"] == 2
    assert found["split"]["kind"] == "separate"


def test_a_small_pool_keeps_the_answers_and_then_candidates(run: Path) -> None:
    queries = queries_of(run, pool=40)
    for view in queries.views():
        answers = set(queries.answers(view.asked).document.ravel().tolist()) - {NO_DOC}
        found = pool(queries, data_of(queries), view.asked)
        assert len(found.rows) == 40 and (np.diff(found.rows) > 0).all()
        assert answers <= set(found.rows.tolist())
        assert found.facts == {
            "documents": 150,
            "pool": 40,
            "answers_left_out": 0,
            "candidates": 40 - len(answers),
        }


def test_a_pool_smaller_than_the_answers_says_so(run: Path) -> None:
    queries = queries_of(run, pool=10)
    view = next(iter(queries.views()))
    answers = set(queries.answers(view.asked).document.ravel().tolist()) - {NO_DOC}
    found = pool(queries, data_of(queries), view.asked)
    assert len(found.rows) == 10 and set(found.rows.tolist()) <= answers
    assert found.facts["answers_left_out"] == len(answers) - 10 and found.facts["candidates"] == 0


def test_the_pool_of_an_evaluation_holds_what_its_queries_find(tmp_path: Path) -> None:
    """Not random documents alone, over which all would be easy."""
    data = tables()
    vectors = write_vectors(tmp_path / "vectors", data)
    learned = {row["query_id"] for row in data["queries"][:40]}
    source = {
        **data,
        "queries": data["queries"][:40],
        "qrels": [row for row in data["qrels"] if row["query_id"] in learned],
    }
    mined = hardneg.mine(
        source, run_dir=tmp_path / "run", retriever=f"vectors:{vectors}", depth=20, relative_margin=None
    )
    evaluation = {
        **data,
        "queries": data["queries"][40:41],
        "qrels": [row for row in data["qrels"] if row["query_id"] == data["queries"][40]["query_id"]],
    }
    directory = RunDirectory(mined.run_dir)
    config = changed_config(directory, {})
    prepared = reopen(directory, config, Silent())
    options = TrialOptions(pool=102)
    queries = Queries.of(prepared, config, options, hardneg.load(evaluation), True)
    view = next(iter(queries.views()))
    found = pool(queries, data_of(queries), view.asked)
    documents = np.load(vectors / "documents.npy")
    scores = documents @ np.load(vectors / "queries.npy")[40]
    best = {f"{data['corpus'][row]['doc_id']}" for row in np.argsort(-scores)[:100]}
    answers = {row["doc_id"] for row in evaluation["qrels"]}
    ids = prepared.collection.corpus["doc_id"].to_pylist()
    kept = {ids[row] for row in found.rows}
    assert best | answers <= kept and len(kept) == 102
    assert found.facts["candidates"] == len(best - answers)


def test_nobody_to_ask_is_said(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("".join(f"{row['query_id']}\n" for row in tables(4)["queries"]))
    mined = hardneg.mine(
        tables(4),
        run_dir=tmp_path / "run",
        retriever="bm25",
        depth=10,
        exclude_queries=str(tmp_path / "all.txt"),
    )
    with pytest.raises(UsageError, match="none can be asked"):
        mined.trial(student=Lucky(), **FAST)


def test_negatives_are_chosen_without_the_labels_of_who_is_asked(run: Path) -> None:
    """The guard too: with the labels of those asked changed, it chooses the same for those that learn."""
    directory = RunDirectory(run)
    config = changed_config(directory, {})
    queries = queries_of(run)
    view = next(iter(queries.views()))
    lessons = Lessons(queries, view, config, list)
    looking = lessons._prepared
    assert set(looking.within.tolist()) == set(np.flatnonzero(view.learning).tolist())  # type: ignore[union-attr]
    assert not looking.positives.counts[view.asked[:60]].any()


def test_a_lesson_holds_what_was_chosen_and_never_a_known_positive(run: Path) -> None:
    from functools import cache, partial

    from hardneg.plan.mine import sources_again

    directory = RunDirectory(run)
    config = changed_config(directory, {})
    queries = queries_of(run)
    view = next(iter(queries.views()))
    found = cache(partial(sources_again, queries.prepared, config, NOTHING_OWN))
    lessons = Lessons(queries, view, config, found)
    for arm in (Arm("top", {"num_negatives": 3}), Arm("guard", {"max_p": 0.3, "promote": 0.4})):
        lesson = lessons.lesson(arm, lessons.chosen(arm))
        assert lesson.query.tolist() == np.flatnonzero(view.learning).tolist()
        for row, query in enumerate(lesson.query.tolist()):
            known = set(
                queries.positives.doc[queries.positives.start[query] : queries.positives.start[query + 1]]
            )
            negatives = set(lesson.negatives[row].tolist()) - {NO_DOC}
            assert not negatives & known and not negatives & set(lesson.positives[row].tolist())
            assert known <= set(lesson.positives[row].tolist())
    none = lessons.lesson(Arm(IN_BATCH, negatives=False), lessons.chosen(Arm(IN_BATCH, negatives=False)))
    assert none.negatives.shape == (len(none.query), 0)


def test_the_values_of_each_query_are_kept_and_give_the_means(run: Path) -> None:
    found = hardneg.trial(run, selections=["top", "far"], **FAST)
    values = pq.read_table(run / "trial" / "values.parquet").to_pandas()
    assert set(values["seed"]) == {0, 1}
    assert len(values) == 4 * 2 * found["queries"]
    asked = {row["query_id"] for row in tables()["queries"]}
    assert set(values["query_id"]) <= asked
    for arm in found["arms"]:
        own = values[values["arm"] == arm["name"]]
        assert own.groupby("seed")["query_id"].nunique().tolist() == [found["queries"]] * 2
        for measure in ("nDCG@10", "MRR@10", "recall@100"):
            assert own[measure].mean() == pytest.approx(arm["measures"][measure]["mean"])


def test_queries_that_all_hang_together_lose_pairs_and_it_is_said(tmp_path: Path) -> None:
    data = tables()
    for row in data["qrels"]:
        if row["doc_id"].endswith("-2"):
            row["doc_id"] = f"d{(int(row['doc_id'][1:3]) // 15) * 15:02d}-2"
    vectors = write_vectors(tmp_path / "vectors", data)
    hardneg.mine(
        data, run_dir=tmp_path / "run", retriever=f"vectors:{vectors}", depth=40, relative_margin=None
    )
    found = hardneg.trial(tmp_path / "run", selections=["default"], **FAST)
    assert found["split"]["kind"] == "pairs removed"
    assert found["split"]["largest_component"] == 30
    assert found["split"]["pairs_removed"] > 0
    assert found["split"]["pairs"] + found["split"]["pairs_removed"] <= 120


def test_a_given_evaluation_that_shares_documents_is_called_a_leak(run: Path, tmp_path: Path) -> None:
    data = tables()
    asked = {
        "corpus": data["corpus"],
        "queries": [{"query_id": "e1", "text": data["queries"][0]["text"] + " word1"}],
        "qrels": [{"query_id": "e1", "doc_id": "d00-0", "relevance": 2.0}],
    }
    with pytest.raises(InputError, match="e1|queries"):  # own vectors hold none of its queries
        hardneg.trial(run, selections=["top"], evaluation=hardneg.load(asked), **FAST)
    mined = hardneg.mine(
        data, run_dir=tmp_path / "bm25", retriever="bm25", depth=20, relative_margin=None, name="top"
    )
    found = mined.trial(selections=["top"], evaluation=hardneg.load(asked), student=Lucky(), seeds=2)
    assert found["split"]["kind"] == "given" and found["split"]["sharing_documents"] == 1
    assert any("leak" in note for note in found["notes"])
    assert any("only 1 queries" in note for note in found["notes"])
    assert len(found["group"]) == 2


def test_a_given_evaluation_that_asks_nearly_what_is_learned_is_called_a_leak(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the documents 3 and 4 of each topic nobody learns. Two queries are alike, one of them shares."""
    data = tables()
    first, second, *_ = (row["text"] for row in data["queries"])
    asked = {"e0": (first.upper(), "d00-0"), "e1": (f"{second} .", "d01-4"), "e2": ("nothing alike", "d03-4")}

    def said(*names: str) -> tuple[dict[str, Any], str, str]:
        evaluation = {
            "corpus": data["corpus"],
            "queries": [{"query_id": name, "text": asked[name][0]} for name in names],
            "qrels": [{"query_id": name, "doc_id": asked[name][1], "relevance": 1.0} for name in names],
        }
        found = hardneg.trial(
            run,
            selections=["top"],
            evaluation=hardneg.load(evaluation),
            student=Lucky(),
            progress=Terminal(),
            **FAST,
        )
        return found["split"], capsys.readouterr().err, render_trial(found, run)

    split, at_the_start, at_the_end = said("e0", "e1", "e2")
    assert (split["sharing_documents"], split["alike_queries"], split["leaking"]) == (1, 2, 2)
    for text in (at_the_start, at_the_end):
        assert text.count("leak") == 1 and "leak: 2 of 3 queries" in text
        assert "1 share a positive" in text and "2 are nearly the same text" in text
    split, at_the_start, at_the_end = said("e1", "e2")
    assert (split["sharing_documents"], split["alike_queries"], split["leaking"]) == (0, 1, 1)
    assert "leak: 1 of 2 queries" in at_the_start and "leak: 1 of 2 queries" in at_the_end
    split, at_the_start, at_the_end = said("e2")
    assert split["leaking"] == 0 and "none shares a positive" in at_the_start
    assert "leak" not in at_the_start + at_the_end


# -- students ---------------------------------------------------------------------------------------------


class Lucky:
    """Finds first what it was taught most: own students need no more than this."""

    name = "lucky"
    at_once = 1

    def fingerprint(self) -> dict[str, Any]:
        return {"student": "lucky"}

    def untrained(self, data: Any) -> Callable[[Int32, Int32, int], Int32]:
        return lambda query, pool, depth: np.tile(pool[:depth], (len(query), 1))

    def train(self, data: Any, lesson: Lesson, budget: Budget) -> Callable[[Int32, Int32, int], Int32]:
        count = np.bincount(lesson.positives[lesson.positives != NO_DOC], minlength=10_000)
        return lambda query, pool, depth: np.tile(
            pool[np.argsort(-count[pool], kind="stable")[:depth]], (len(query), 1)
        )


def test_a_student_of_ones_own(run: Path) -> None:
    found = hardneg.trial(run, selections=["top", "far"], student=Lucky(), seeds=2)
    assert found["student"] == "lucky"
    assert [arm["name"] for arm in found["arms"]] == [UNTRAINED, IN_BATCH, "top", "far"]


class Noting(Lucky):
    """Keeps what it was taught."""

    def __init__(self) -> None:
        self.lessons: list[Lesson] = []

    def train(self, data: Any, lesson: Lesson, budget: Budget) -> Callable[[Int32, Int32, int], Int32]:
        self.lessons.append(lesson)
        return super().train(data, lesson, budget)


def test_what_a_selection_keeps_from_the_trainer_is_learned_without_its_negatives(
    run: Path, tmp_path: Path
) -> None:
    """One budget for all arms: the same queries."""
    (tmp_path / "some.txt").write_text("".join(f"q{topic:02d}-0\n" for topic in range(15)))
    strict: dict[str, Any] = {"max_score": 0.15, "shortfall": "drop", "relative_margin": None, "guard": "off"}
    dropping = hardneg.open_run(run).select(name="dropping", **strict)
    assert 0 < dropping.outcomes.to_pandas()["outcome"].eq("dropped").sum() < 60
    hardneg.open_run(run).select(
        name="without", exclude_queries=str(tmp_path / "some.txt"), relative_margin=None
    )
    student = Noting()
    hardneg.trial(run, selections=["dropping", "without"], student=student, seeds=1, folds=1)
    none, *others = student.lessons
    for lesson in others:
        assert lesson.query.tolist() == none.query.tolist()
        assert lesson.positives.tolist() == none.positives.tolist()
        got = (lesson.negatives != NO_DOC).sum(axis=1)
        assert set(got) == {0, 4}


def test_without_vectors_the_adapter_says_what_to_do(tmp_path: Path) -> None:
    hardneg.mine(tables(8), run_dir=tmp_path / "run", retriever="bm25", depth=20, relative_margin=None)
    with pytest.raises(UsageError, match="dense retriever too, or take --student static --trial-model"):
        hardneg.trial(tmp_path / "run", **FAST)
    with pytest.raises(UsageError, match="--trial-model"):
        hardneg.trial(tmp_path / "run", student="static", **FAST)


@pytest.mark.parametrize("student", ["static", "full"])
def test_students_that_are_models(student: str, tmp_path: Path, build: Callable[..., Any]) -> None:
    data = tables(12)
    words = sorted(
        {word for table in ("corpus", "queries") for row in data[table] for word in row["text"].split()}
    )
    model = build(words=words)
    mined = hardneg.mine(
        data, run_dir=tmp_path / "run", model=model, depth=20, relative_margin=None, name="top"
    )
    rate = ("0.02",) if student == "static" else ("1e-3",)
    options: dict[str, Any] = {**FAST, "seeds": 1, "learning_rate": rate, "softmax_temperature": ("0.1",)}
    found = mined.trial(selections=["top"], student=student, folds=1, **options)
    of = {arm["name"]: arm for arm in found["arms"]}
    assert of["top"]["measures"] != of[UNTRAINED]["measures"]
    for path in (tmp_path / "run" / "trial" / "learned").iterdir():
        path.unlink()
    assert mined.trial(selections=["top"], student=student, folds=1, **options) == found


def test_a_rule_that_chooses_nothing_is_not_recommended(run: Path) -> None:
    hardneg.open_run(run).select(name="nothing", max_score=-9.0, shortfall="keep", guard="off")
    hardneg.open_run(run).select(name=UNTRAINED, relative_margin=None)
    found = hardneg.trial(run, selections=["nothing"], student=Lucky(), seeds=2)
    assert found["arms"][2]["negatives_a_query"] == 0 and found["recommended"] is None
    with pytest.raises(UsageError, match="rename"):
        hardneg.trial(run, selections=[UNTRAINED], student=Lucky(), seeds=2)


class Nervous(Lucky):
    """Diverges at the higher of two rates."""

    def train(self, data: Any, lesson: Lesson, budget: Budget) -> Callable[[Int32, Int32, int], Int32]:
        if budget.learning_rate > 0.5:
            raise ModelError(f"NaN at learning rate {budget.learning_rate:g}")
        return super().train(data, lesson, budget)


def test_a_rate_at_which_a_student_diverges_is_not_taken(run: Path) -> None:
    found = hardneg.trial(run, selections=["top"], student=Nervous(), seeds=2, learning_rate=("1", "0.1"))
    assert {arm["learning_rate"] for arm in found["arms"][1:]} == {0.1}
    with pytest.raises(ModelError, match="learning rate 1"):
        hardneg.trial(run, selections=["top"], student=Nervous(), seeds=2, learning_rate=("1",))


class Dizzy(Lucky):
    """Diverges by its second seed where a lesson has so many negatives. Nothing is kept for another one."""

    def __init__(self, *widths: int, at_once: int = 1) -> None:
        self.widths, self.at_once = widths, at_once
        self.trained: list[int] = []

    def fingerprint(self) -> dict[str, Any]:
        return {"student": uuid4().hex}

    def train(self, data: Any, lesson: Lesson, budget: Budget) -> Callable[[Int32, Int32, int], Int32]:
        width = lesson.negatives.shape[1]
        self.trained.append(width)
        if width in self.widths and budget.seed == 1:
            raise ModelError(f"NaN with {width} negatives")
        return super().train(data, lesson, budget)


@pytest.fixture(scope="module")
def three(run: Path) -> Path:
    """The run with selections of one, two and three negatives."""
    for count in (1, 2, 3):
        hardneg.open_run(run).select(name=f"by-{count}", num_negatives=count, relative_margin=None)
    return run


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_arm_that_diverges_is_left_out_and_the_others_are_told(at_once: int, three: Path) -> None:
    options: dict[str, Any] = {"selections": ["by-1", "by-2", "by-3"], "seeds": 2, "folds": 1}
    found = hardneg.trial(three, student=Dizzy(2, at_once=at_once), **options)
    assert [arm["name"] for arm in found["arms"]] == [UNTRAINED, IN_BATCH, "by-1", "by-3"]
    assert found["refused"] == {"by-2": "seed 1: NaN with 2 negatives"}
    assert "left out:  by-2: seed 1: NaN with 2 negatives" in render_trial(found, three)
    assert "by-2" not in pq.read_table(three / "trial" / "values.parquet")["arm"].to_pylist()
    well = hardneg.trial(three, student=Dizzy(at_once=at_once), **options)
    measures = {arm["name"]: arm["measures"]["nDCG@10"]["mean"] for arm in well["arms"]}
    assert all(arm["measures"]["nDCG@10"]["mean"] == measures[arm["name"]] for arm in found["arms"])


def test_an_arm_that_diverges_in_one_fold_is_left_out_as_a_whole(three: Path) -> None:
    options: dict[str, Any] = {"selections": ["by-1", "by-2"], "seeds": 2, "folds": 5}
    student = Dizzy(2)
    found = hardneg.trial(three, student=student, **options)
    assert found["split"]["folds"] == 5 and found["split"]["repeats"] == 2
    assert [arm["name"] for arm in found["arms"]] == [UNTRAINED, IN_BATCH, "by-1"]
    assert student.trained.count(2) == 5 + 1 < student.trained.count(1) == 10


def test_without_hard_negatives_the_student_may_diverge(three: Path) -> None:
    found = hardneg.trial(three, selections=["by-1"], student=Dizzy(0), seeds=2)
    assert [arm["name"] for arm in found["arms"]] == [UNTRAINED, "by-1"]
    assert found["recommended"]["name"] == "by-1" and list(found["refused"]) == [IN_BATCH]
    assert "only by-1 could be tried" in render_trial(found, three)


@pytest.mark.parametrize("at_once", [1, 2])
def test_where_every_arm_with_negatives_diverges_the_trial_fails(at_once: int, three: Path) -> None:
    with pytest.raises(ModelError, match="no arm with negatives is left; by-2: seed 1: NaN with 2") as raised:
        hardneg.trial(three, selections=["by-1", "by-2"], student=Dizzy(1, 2, at_once=at_once), seeds=2)
    assert raised.value.exit_code == 1 and "\n" not in str(raised.value)


class Guessing(Lucky):
    """Ranks by its budget's seed alone."""

    def train(self, data: Any, lesson: Lesson, budget: Budget) -> Callable[[Int32, Int32, int], Int32]:
        order = np.random.default_rng(budget.seed).permutation(10_000)
        return lambda query, pool, depth: np.tile(pool[np.argsort(order[pool])[:depth]], (len(query), 1))


def test_another_trial_seed_trains_in_other_batches(run: Path) -> None:
    """Asked by the same queries, so that no split differs."""

    def ranking(trial_seed: int) -> list[float]:
        found = hardneg.trial(
            run,
            selections=["top"],
            evaluation=hardneg.load(tables()),
            student=Guessing(),
            trial_seed=trial_seed,
            seeds=3,
        )
        values = pq.read_table(run / "trial" / "values.parquet").to_pandas()
        assert set(values["seed"]) == {0, 1, 2} and len(values) == 3 * 3 * found["queries"]
        return values[values["arm"] == "top"].groupby("seed")["nDCG@10"].mean().tolist()

    first, other = ranking(0), ranking(7)
    assert len({*first, *other}) == 6
    assert ranking(0) == first


def test_what_is_damaged_is_trained_anew(run: Path) -> None:
    found = hardneg.trial(run, selections=["top"], student=Lucky(), seeds=2)
    for path in (run / "trial" / "learned").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert hardneg.trial(run, selections=["top"], student=Lucky(), seeds=2) == found


# -- a teacher's scores -----------------------------------------------------------------------------------


class Shared:
    """A scorer: how many words the two texts share, less a little for each letter."""

    name = "shared words"

    def __init__(self, letter: float = 0.01) -> None:
        self.letter = letter
        self.asked = 0

    def fingerprint(self) -> dict[str, Any]:
        return {"scorer": self.name, "letter": self.letter}

    def score(self, pairs: Any) -> Float32:
        self.asked += len(pairs)
        found = [len({*one.split()} & {*other.split()}) - self.letter * len(other) for one, other in pairs]
        return np.array(found, np.float32)


TEACHER = "margin 5 %, teacher scores"


def mine_scored(folder: Path, scorer: Any = None, depth: int = 20, **settings: Any) -> hardneg.Mined:
    data = tables(12)
    vectors = folder / "vectors"
    if not vectors.is_dir():
        write_vectors(vectors, data)
    return hardneg.mine(
        data,
        run_dir=folder / "run",
        retriever=f"vectors:{vectors}",
        depth=depth,
        cross_encoder=scorer,
        **settings,
    )


@pytest.fixture
def three_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole grid takes long: no negatives, the margin, and the same with the teacher's scores."""

    def three(*given: Any) -> list[Arm]:
        names = (IN_BATCH, "margin 5 %", TEACHER)
        return [arm for arm in default_arms(*given) if arm.name in names]

    monkeypatch.setattr("hardneg.plan.trial.default_arms", three)


@pytest.mark.usefixtures("three_arms")
def test_the_arm_with_teacher_scores_is_there_where_a_scorer_was(tmp_path: Path) -> None:
    without = mine_scored(tmp_path).trial(**FAST)
    assert TEACHER not in [arm["name"] for arm in without["arms"]]
    scorer = Shared()
    mined = mine_scored(tmp_path, scorer)
    asked = scorer.asked
    found = mined.trial(**{**FAST, "learning_rate": ("0.01",), "softmax_temperature": ("0.1",)})
    assert scorer.asked == asked, "no model is called"
    of = {arm["name"]: arm for arm in found["arms"]}
    assert of[TEACHER]["taught"] and not of["margin 5 %"]["taught"]
    assert of[TEACHER]["scored_negatives_a_query"] == of[TEACHER]["negatives_a_query"] == 4
    assert "scored_negatives_a_query" not in of["margin 5 %"]
    assert of[TEACHER]["measures"] != of["margin 5 %"]["measures"]
    assert json.loads((tmp_path / "run" / "trial" / "trial.json").read_text()) == found
    values = pq.read_table(tmp_path / "run" / "trial" / "values.parquet")
    assert TEACHER in values["arm"].to_pylist()
    # A deeper search without the scorer makes candidates that it never saw.
    deeper = mine_scored(tmp_path, depth=25).trial(**FAST)
    assert [arm["name"] for arm in deeper["arms"]] == [UNTRAINED, IN_BATCH, "margin 5 %"]
    assert not deeper["refused"]


@pytest.mark.usefixtures("three_arms")
def test_a_run_that_was_rescored_lazily_gets_all_scores_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arms choose by them, so that what a trial says does not hang on which pairs were scored before."""
    lazily: dict[str, Any] = {"guard": "off", "order_by": "vectors:vectors"}
    scorer = Shared()
    mined = mine_scored(tmp_path / "lazy", scorer, progress=Terminal(), **lazily)
    asked = scorer.asked
    assert mined.candidates["shared words"].null_count > 0
    with pytest.raises(InputError, match="defalt"):
        mined.trial(selections=["defalt"], **FAST)
    assert scorer.asked == asked, "nothing is scored before a mistake is told"
    capsys.readouterr()
    found = mined.trial(**FAST)
    assert "scoring those that shared words has not seen" in capsys.readouterr().err
    assert mined.candidates["shared words"].null_count == 0
    whole = mine_scored(tmp_path / "whole", Shared(), rescore="all", **lazily).trial(**FAST)
    by_name = [{arm["name"]: arm["measures"] for arm in one["arms"]} for one in (found, whole)]
    assert by_name[0] == by_name[1] and TEACHER in by_name[0]
    taught = next(arm for arm in found["arms"] if arm["name"] == TEACHER)
    assert taught["scored_negatives_a_query"] == taught["negatives_a_query"]


@pytest.mark.usefixtures("three_arms")
def test_what_is_recommended_for_a_run_that_is_rescored_lazily_can_be_used(tmp_path: Path) -> None:
    """Also an arm whose rule needs all scores, which `lazy` refuses."""
    lazily: dict[str, Any] = {"guard": "prior", "rescore": "lazy", "sampler": "random"}
    mined = mine_scored(tmp_path, Shared(), **lazily)
    found = mined.trial(student=Lucky(), seeds=1, folds=1)
    assert found["recommended"]["settings"]["sampler"] == "top"
    chosen = mined.select(name="trial", from_trial=True)
    assert "they order the candidates" in chosen.summary["rescore"]["why_all"]
    # As its rule allows it, a selection of the run stays as it is.
    found = mined.trial(selections=["default"], student=Lucky(), seeds=1, folds=1)
    assert found["recommended"]["settings"]["rescore"] == "lazy"
    assert mined.select(name="again", from_trial=True).negatives.equals(mined.negatives)


@pytest.mark.usefixtures("three_arms")
def test_what_a_teacher_taught_is_kept_for_itself(tmp_path: Path) -> None:
    """Both arms choose the same negatives, by the scorer's scores; only the lesson's scores differ."""
    mined = mine_scored(tmp_path, Shared())
    options: dict[str, Any] = {"student": Lucky(), "seeds": 1, "folds": 1}
    mined.trial(**options)
    first = {path.name for path in (tmp_path / "run" / "trial" / "learned").iterdir()}
    assert len(first) == 3
    mined.trial(**options)
    assert {path.name for path in (tmp_path / "run" / "trial" / "learned").iterdir()} == first


def test_a_lessons_scores_are_those_of_the_scorer(tmp_path: Path) -> None:
    """Of labelled and promoted positives and of candidates; documents drawn from the corpus have none."""
    from functools import cache, partial

    from hardneg.plan.mine import sources_again
    from hardneg.plan.retrievers import OwnParts

    scorer = Shared()
    mine_scored(tmp_path, scorer, name="top")
    directory = RunDirectory(tmp_path / "run")
    config = changed_config(directory, {})
    queries = queries_of(tmp_path / "run")
    view = next(iter(queries.views()))
    found = cache(
        partial(sources_again, queries.prepared, config, OwnParts(models={"own cross_encoder": scorer}))
    )
    lessons = Lessons(queries, view, config, found, Teacher(scorer.name, every_arm=False))
    looked_at = lessons._prepared.collection
    query_texts, document_texts = (
        table["text"].to_pylist() for table in (looked_at.queries, looked_at.corpus)
    )
    rules = {
        "promoted": {"relative_margin": 0.05, "max_p": 0.9, "promote": 0.2},
        "random": {"max_score": -1e30, "shortfall": "backfill"},
    }
    for name, rule in rules.items():
        arm = Arm(name, rule, taught=True)
        lesson = lessons.lesson(arm, lessons.chosen(arm), queries.tuning(view))
        assert lesson.teacher is not None
        assert lesson.teacher.positives.dtype == lesson.teacher.negatives.dtype == np.float32
        positives, negatives = (
            np.array(
                [
                    [
                        np.nan
                        if doc == NO_DOC
                        else scorer.score([(query_texts[query], document_texts[doc])])[0]
                        for doc in row
                    ]
                    for query, row in zip(lesson.query, docs, strict=True)
                ],
                np.float32,
            )
            for docs in (lesson.positives, lesson.negatives)
        )
        np.testing.assert_array_equal(lesson.teacher.positives, positives)
        unscored = np.isnan(lesson.teacher.negatives) & (lesson.negatives != NO_DOC)
        assert unscored.any() == (name == "random")
        there = ~np.isnan(lesson.teacher.negatives)
        np.testing.assert_array_equal(lesson.teacher.negatives[there], negatives[there])
        if name == "promoted":
            assert len(lessons.chosen(arm).added[0]) and there.any()
        plain = replace(arm, taught=False)
        assert lessons.lesson(plain, lessons.chosen(plain)).teacher is None


@pytest.mark.usefixtures("three_arms")
def test_what_is_recommended_exports_the_scores_that_were_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the run's own margins look at the retriever's scores."""
    scorer = Shared()
    mined = mine_scored(tmp_path, scorer, score_by="vectors:vectors")
    found = mined.trial(student=Lucky(), seeds=1, folds=1)
    run = tmp_path / "run"
    (taught,) = [arm for arm in found["arms"] if arm["taught"]]
    flags = "--relative-margin 0.05 --shortfall keep --num-negatives 4 --score-by 'shared words'"
    assert taught["flags"] == flags
    found["recommended"]["name"], settings = TEACHER, found["recommended"]["settings"]
    assert "--to flagembedding --scores" in render_trial(found, run)
    assert "--scores" not in render_trial(
        {**found, "recommended": {**found["recommended"], "name": "margin 5 %"}}, run
    )
    config = Config.from_flat({**changed_config(RunDirectory(run), {}).flat()})
    arm = next(one for one in default_arms(20, True, 4, scorer.name) if one.taught)
    found["recommended"]["settings"] = {**settings, **_use(arm, config)}
    put_trial(run, found)
    assert call(monkeypatch, "select", run, "--from-trial", "--name", "trial", "--quiet") == 0
    out = tmp_path / "out.jsonl"
    export = ("export", run, "--selection", "trial", "--to", "flagembedding", "--scores", "-o", out, "-q")
    assert call(monkeypatch, *export) == 0
    for line in out.read_text().splitlines():
        row = json.loads(line)
        for side in ("pos", "neg"):
            wanted = scorer.score([(row["query"], text) for text in row[side]])
            np.testing.assert_allclose(row[f"{side}_scores"], wanted, rtol=1e-6)


@pytest.mark.usefixtures("three_arms")
def test_losses_that_cannot_learn_an_arm_have_it_refused(tmp_path: Path, build: Callable[..., Any]) -> None:
    scorer = Shared()
    mined = mine_scored(tmp_path, scorer)
    texts = [row["text"] for table in ("corpus", "queries") for row in tables(12)[table]]
    model = build(words=sorted({word for text in texts for word in text.split()}))
    options: dict[str, Any] = {
        "steps": 2,
        "batch": 8,
        "seeds": 1,
        "folds": 1,
        "learning_rate": ("1e-3",),
        "softmax_temperature": ("0.1",),
    }
    for loss in ("cached-mnrl", "mnrl"):
        student = FineTuned(model, "tiny", loss=loss, device="cpu")
        found = mined.trial(student=student, **options)
        refused = {TEACHER: "loss cached-mnrl takes no teacher scores; take --loss mnrl"}
        assert found["refused"] == (refused if loss == "cached-mnrl" else {})
        assert (TEACHER in [arm["name"] for arm in found["arms"]]) == (loss == "mnrl")
    asked = scorer.asked
    found = mined.trial(
        student=FineTuned(model, "tiny", loss="margin-mse", device="cpu", teacher=scorer), **options
    )
    assert [arm["name"] for arm in found["arms"]] == [UNTRAINED, "margin 5 %"]
    assert scorer.asked == asked, "all that it learns is stored"
    assert set(found["refused"]) == {IN_BATCH, TEACHER}
    # Another teacher's scores are not those that are stored.
    other = Shared(letter=0.02)
    mined.trial(student=FineTuned(model, "tiny", loss="margin-mse", device="cpu", teacher=other), **options)
    assert other.asked > 0


def put_trial(run: Path, found: dict[str, Any]) -> None:
    """As if this were what the run's trial had found."""
    (run / "trial" / "trial.json").write_text(json.dumps(found))
    RunDirectory(run).finish_stage("trial", checksum=digest(found))


# -- using it ---------------------------------------------------------------------------------------------


def test_select_takes_what_a_trial_recommends(run: Path, found: dict[str, Any], monkeypatch: Any) -> None:
    put_trial(run, found)
    assert call(monkeypatch, "select", run, "--from-trial", "--name", "best", "--quiet") == 0
    config = RunDirectory(run).manifest()["selections"]["best"]["config"]
    assert config == found["recommended"]["settings"]
    assert call(monkeypatch, "select", run, "--from-trial", "--name", "one", "--num-negatives", 1, "-q") == 0
    assert RunDirectory(run).manifest()["selections"]["one"]["config"]["num_negatives"] == 1


def test_the_command_prints_a_table_a_verdict_and_the_command_to_use(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--selection", "top", "--selection", "far", "--steps", 20, "--batch", 16, "--seeds", 2]
    assert call(monkeypatch, "trial", run, *flags) == 0
    shown = capsys.readouterr()
    assert "nDCG@10" in shown.out and "untrained" in shown.out and "far" in shown.out
    assert f"hardneg select {run} --from-trial" in shown.out
    assert "60 of 60 queries are asked in 5 folds" in shown.err
    assert call(monkeypatch, "trial", run, *flags, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["student"] == "adapter"


def recommending(difference: float, untrained: float) -> dict[str, Any]:
    """What is said of an arm that is so much better than in-batch alone, and than no training."""
    compared = {
        name: {
            "difference": one,
            "low": one - 0.01,
            "high": one + 0.01,
            "better": one > 0.01,
            "worse": one < -0.01,
        }
        for name, one in ((UNTRAINED, untrained), (IN_BATCH, difference))
    }
    measures = {name: {"mean": 0.5, "low": 0.4, "high": 0.6} for name in ("nDCG@10", "MRR@10", "recall@100")}
    names = [UNTRAINED, IN_BATCH, "guard 0.05, random"]
    return {
        "arms": [{"name": name, "measures": measures, "weighted": False, "taught": False} for name in names],
        "group": names[1:],
        "queries": 300,
        "seeds": 3,
        "student": "adapter",
        "recommended": {"name": names[-1], "compared": compared},
        "refused": {},
        "notes": [],
    }


@pytest.mark.parametrize(
    ("difference", "untrained", "said"),
    [
        (0.02, 0.02, "use it:    hardneg select 'my run' --from-trial --name trial    (guard 0.05, random)"),
        (0.0, 0.0, "use it:    hardneg select 'my run' --from-trial --name trial    (guard 0.05, random)"),
        (-0.02, 0.02, "advice:    train without hard negatives; to use the best negatives all the same"),
        (0.02, -0.02, "advice:    do not train on these pairs; to use the best negatives all the same"),
        (-0.02, -0.02, "advice:    do not train on these pairs; to use the best negatives all the same"),
    ],
)
def test_what_is_worse_than_nothing_is_not_advised(difference: float, untrained: float, said: str) -> None:
    shown = render_trial(recommending(difference, untrained), Path("my run"))
    assert said in shown and "guard 0.05, random" in shown.splitlines()[-1]
    assert ("use it" in shown) == said.startswith("use it")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--selection", "tpo"], "did you mean 'top'"),
        (["--learning-rate", "fast"], "no number above 0"),
        (["--learning-rate", "nan"], "no number above 0"),
        (["--softmax-temperature", "0"], "no number above 0"),
        (["--seeds", "0"], "seeds"),
        (["--evaluation", "nowhere.jsonl"], "no such file"),
        (["--evaluation", ""], "name of a source is empty"),
        (["--folds", "6"], "folds"),
    ],
)
def test_wrong_input_is_one_line(
    flags: list[str],
    said: str,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "trial", run, *flags) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error and error.startswith("error: ")


def test_from_trial_without_one_and_beside_a_preview(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hardneg.mine(tables(8), run_dir=tmp_path / "run", retriever="bm25", depth=20, relative_margin=None)
    assert call(monkeypatch, "select", tmp_path / "run", "--from-trial") == 2
    assert "hardneg trial" in capsys.readouterr().err
    assert call(monkeypatch, "select", run, "--from-trial", "--preview") == 2


def test_a_trial_of_another_input_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = tmp_path / "run", tables(12)
    mined = hardneg.mine(data, run_dir=folder, retriever=f"vectors:{write_vectors(tmp_path / 'v', data)}")
    mined.trial(selections=["default"], learning_rate=("1e-3",), folds=1, **FAST)
    other = {**data, "qrels": data["qrels"][::2]}
    hardneg.mine(other, run_dir=folder, retriever=f"vectors:{tmp_path / 'v'}")
    assert call(monkeypatch, "select", folder, "--from-trial", "--name", "old", "--quiet") == 2
    assert "of other input" in capsys.readouterr().err
    assert "old" not in RunDirectory(folder).selections()


def test_queries_that_are_all_nearly_the_same_text_are_named_as_such(tmp_path: Path) -> None:
    data = tables(12)
    for number, row in enumerate(data["queries"]):
        row["text"] = f"what is the capital city of the old northern province {number}"
    mined = hardneg.mine(data, run_dir=tmp_path / "run", retriever="bm25", depth=10)
    with pytest.raises(UsageError, match="nearly the same text"):
        mined.trial(selections=["default"], **FAST)


# -- an evaluation of other queries -----------------------------------------------------------------------


def write_beir(folder: Path, data: dict[str, Any], splits: dict[str, list[dict[str, Any]]]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, key in (("corpus", "doc_id"), ("queries", "query_id")):
        rows = [{"_id": row[key], "text": row["text"]} for row in data[name]]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, qrels in splits.items():
        lines = ["query-id\tcorpus-id\tscore", *(f"{row['query_id']}\t{row['doc_id']}\t1" for row in qrels)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_split_of_the_runs_source_is_asked_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tables()
    splits = {"train": data["qrels"][:80], "test": data["qrels"][80:]}
    write_beir(tmp_path / "here" / "source", data, splits)
    vectors = write_vectors(tmp_path / "vectors", data)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    flags = ["--retriever", f"vectors:{vectors}", "--run-dir", "run", "--depth", 20, "--quiet"]
    assert call(monkeypatch, "mine", "source", *flags) == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = tmp_path / "here" / "run"
    trial = ["trial", run, "--selection", "default", "--steps", 5, "--seeds", 1, "--json", "--quiet"]
    assert call(monkeypatch, *trial, "--evaluation-split", "test") == 0
    split = json.loads(capsys.readouterr().out)["split"]
    assert (split["kind"], split["learning"], split["asked"]) == ("given", 40, 20)
    monkeypatch.chdir(tmp_path / "here")
    flags += ["--qrels", "source/qrels"]  # judgments of their own place, and a relative one too
    assert call(monkeypatch, "mine", "source", *flags) == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call(monkeypatch, *trial, "--evaluation-split", "test") == 0
    assert json.loads(capsys.readouterr().out)["split"] == split
    assert split["pairs_without_document"] == split["queries_without_document"] == 0
    assert call(monkeypatch, *trial, "--evaluation-split", "tset") == 2
    error = capsys.readouterr().err
    assert "did you mean 'test'" in error and "choose one with --evaluation-split" in error


def test_a_source_without_splits_is_not_asked_for_one(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one file all would be read again: the queries that learn would be those that are asked."""
    assert call(monkeypatch, "trial", run, "--evaluation-split", "test") == 2
    error = capsys.readouterr().err
    assert "an object in memory" in error and "--evaluation" in error
    rows = [{"query": f"word{n} word{n + 1}", "pos": [f"word{n} text"], "neg": []} for n in range(30)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hardneg.mine(tmp_path / "train.jsonl", run_dir=tmp_path / "run", retriever="bm25", depth=10)
    assert call(monkeypatch, "trial", tmp_path / "run", "--evaluation-split", "test") == 2
    assert "is one file, which holds no splits" in capsys.readouterr().err


def test_judgments_of_documents_that_the_run_has_not_are_counted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of e0's three answers are gone, and e1's only one; what is judged irrelevant counts nothing."""
    data = tables()
    judged = {"e0": ["d00-0", "gone-1", "gone-2"], "e1": ["gone-1"], "e2": ["d05-0"]}
    evaluation = {
        "corpus": [*data["corpus"], *({"doc_id": f"gone-{n}", "text": f"gone {n}"} for n in (1, 2, 3))],
        "queries": [{"query_id": name, "text": f"asks {name}"} for name in judged],
        "qrels": [
            *({"query_id": q, "doc_id": d, "relevance": 1.0} for q, docs in judged.items() for d in docs),
            {"query_id": "e2", "doc_id": "gone-3", "relevance": 0.0},
        ],
    }
    found = hardneg.trial(
        run,
        selections=["top"],
        evaluation=hardneg.load(evaluation),
        student=Lucky(),
        seeds=1,
        progress=Terminal(),
    )
    assert found["split"]["asked"] == 2
    assert found["split"]["pairs_without_document"] == 3 and found["split"]["queries_without_document"] == 1
    said = capsys.readouterr().err
    assert "3 of its judgments name documents that the run has not, 1 query was left out for it" in said


def test_a_callers_student_is_no_adapter(run: Path) -> None:
    """What it costs nobody knows, so it is asked one fold, and trial.json names it."""
    found = hardneg.trial(run, selections=["top"], student=Lucky(), seeds=1)
    assert found["student"] == found["options"]["student"] == Lucky().name
    assert found["split"]["folds"] == 1 and found["split"]["asked"] == 12


@pytest.mark.parametrize("command", ["trial", "select", "audit", "inspect", "export"])
def test_an_unfinished_run_is_said_to_be_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stopped:
        name = "stopped"

        def search(self, *_: object) -> None:
            raise ModelError("stopped here")

    with pytest.raises(ModelError, match="stopped here"):
        hardneg.mine(tables(4), run_dir=tmp_path / "run", retriever=[Stopped()], depth=10)
    more = {
        "inspect": ["--query", "q00-0"],
        "export": ["--to", "flagembedding", "--output", tmp_path / "out.jsonl"],
    }
    assert call(monkeypatch, command, tmp_path / "run", *more.get(command, [])) == 2
    error = capsys.readouterr().err
    assert "mining has not finished here" in error and "goes on where it stopped" in error


def test_what_a_student_has_no_use_for_is_said(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--selection", "top", "--steps", 2, "--seeds", 1, "--folds", 1]
    assert call(monkeypatch, "trial", run, *flags, "--trial-model", "some/model", "--side", "shared") == 0
    said = capsys.readouterr().err
    assert "--trial-model is not used: it is of the student full or static, not of adapter" in said
    assert "--side" not in said
    hardneg.trial(run, selections="top", student=Lucky(), side="shared", seeds=1, progress=Terminal())
    assert "--side is not used: it is of the student adapter, not of lucky" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"student": object()}, "student: object has no name, at_once, fingerprint, untrained, train"),
        ({"student": "adaptor"}, "student"),
        ({"learning_rate": True}, "learning_rate: true and false are none of its values"),
        ({"softmax_temperature": [0.1, -1]}, "softmax_temperature: -1 is no number above 0"),
    ],
)
def test_wrong_calls_are_usage_errors(run: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        hardneg.trial(run, selections="top", **settings)
    assert said in str(raised.value)


def test_an_evaluation_that_is_read_has_no_split_to_choose(run: Path) -> None:
    with pytest.raises(UsageError, match="evaluation_split: the evaluation is read already"):
        hardneg.trial(run, evaluation=hardneg.load(tables()), evaluation_split="test", **FAST)
