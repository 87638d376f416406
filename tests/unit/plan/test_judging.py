"""What drops and promotes likely positives, and which queries are looked at: by hand and by loops."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hardneg.config import GuardConfig
from hardneg.errors import UsageError
from hardneg.guard import TextClasses
from hardneg.guard.fitted import FOLDS, LIKELY, PROMOTED, Correction, Model, Space, Weights, contamination
from hardneg.guard.fitted.features import COLUMNS
from hardneg.plan.judging import _nearest as nearest
from hardneg.plan.judging import fitted_on, folds_of, guard_summary, likely_rules
from hardneg.progress import Silent
from hardneg.records import NO_DOC, Block, Float32, Pairs
from hardneg.texts import normalise, text_number

FOLD = np.array([1, 0, 1, 2], np.int32)
CHANCES = np.array([0.5, 0.1, 0.9, 0.6, 0.8], np.float32)


def model(*held: list[float]) -> Model:
    scores = tuple((np.array(one), np.ones(len(one))) for one in held)
    return Model((), slope=0.5, shift=-1.0, ratio=1.0, spread=1.0, held=scores)


def excluded(config: GuardConfig, one: Model, chance: list[float]) -> dict[str, list[list[bool]]]:
    """Of four queries with these candidates: what each rule drops."""
    rules = likely_rules(one, one.probability, FOLD, config, lambda: CHANCES)
    chances: Float32 = np.tile(np.array(chance, np.float32), (4, 1))
    doc = np.zeros(chances.shape, np.int32)
    block = Block(np.arange(4, dtype=np.int32), doc, {}, {}, np.zeros((4, 0), np.int32), {}, chances)
    return {rule.code: rule.exclude(block).tolist() for rule in rules}


def test_each_query_is_cut_by_its_fold_and_by_max_p() -> None:
    """At 0.5 of four queries, an unseen one counted, two may pass: one of three seen, cut at the second."""
    one = model([0.0, 2.0, 9.0], [0.0, 4.0, 9.0], [0.0, 8.0, 9.0])
    cuts = 1 / (1 + np.exp(-(0.5 * np.array([2.0, 4.0, 8.0]) - 1)))  # 0.5, 0.73, 0.95 in folds 0, 1, 2
    chance = [0.49, 0.51, 0.72, 0.74, 0.94, 0.96]
    found = excluded(GuardConfig(max_miss_rate=0.5), one, chance)
    assert found == {LIKELY: [[p >= cuts[fold] for p in chance] for fold in FOLD]}
    found = excluded(GuardConfig(max_miss_rate=0.5, max_p=0.73), one, chance)
    assert found == {LIKELY: [[p >= min(cuts[fold], 0.73) for p in chance] for fold in FOLD]}
    assert excluded(GuardConfig(), one, chance) == {}


def test_one_fold_that_cannot_keep_to_the_rate_is_enough_to_refuse_it() -> None:
    with pytest.raises(UsageError, match="too few queries can be left"):
        excluded(GuardConfig(max_miss_rate=0.3), model([0.0] * 9, [0.0], [0.0] * 9), [0.5])


def test_what_is_promoted_is_as_precise_as_is_asked_for() -> None:
    # Means of the likeliest: 0.9, 0.85, 0.767, 0.7, 0.58.
    for precision, bar in ((0.76, 0.6), (0.77, 0.8), (0.7, 0.5), (0.5, 0.1)):
        found = excluded(GuardConfig(promote_precision=precision), model(), CHANCES.tolist())
        assert found == {PROMOTED: [[p >= np.float32(bar) for p in CHANCES.tolist()]] * 4}
    assert not np.any(excluded(GuardConfig(promote_precision=0.95), model(), [0.99])[PROMOTED])


def test_what_is_promoted_is_no_likely_positive_too() -> None:
    found = excluded(GuardConfig(promote=0.8, max_p=0.5), model(), [0.9])
    assert list(found) == [PROMOTED, LIKELY]  # the first reason is the one that is given


def prepared(texts: list[str], counts: list[int]) -> Any:
    query = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    positives = Pairs.from_rows(query, np.arange(len(query), dtype=np.int32), len(counts))
    collection = SimpleNamespace(queries=pa.table({"text": pa.chunked_array([texts])}))
    return SimpleNamespace(collection=collection, positives=positives, progress=Silent())


def test_queries_with_several_positives_are_fitted_on_and_of_many_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, counts = [f"query {number}" for number in range(60)], [number % 3 for number in range(60)]
    every = fitted_on(prepared(texts, counts))
    assert every.tolist() == [count >= 2 for count in counts]
    monkeypatch.setattr("hardneg.plan.judging.MOST_QUERIES", 8)
    some = fitted_on(prepared(texts, counts))
    assert some.sum() == 8 and not (some & ~every).any()
    # By the texts: in another order, and without those that were not chosen, they are the same ones.
    turn = np.random.default_rng(0).permutation(60)
    turned = fitted_on(prepared([texts[n] for n in turn], [counts[n] for n in turn]))
    assert (turned == some[turn]).all()
    assert np.flatnonzero(some).tolist() != np.flatnonzero(every)[:8].tolist()
    # And not by what decides their folds: they are of several.
    assert len(np.unique(folds_of(classes(texts))[some])) > 2


def classes(texts: list[str]) -> TextClasses:
    table = pa.table({"text": pa.chunked_array([texts], pa.large_string())})
    return TextClasses.build(table.slice(0, 0), table)


def test_a_fold_is_that_of_the_normalised_texts_number() -> None:
    texts = ["One  text", "another", "ＯＮＥ text", ""]
    assert folds_of(classes(texts)).tolist() == [text_number(normalise(text)) % FOLDS for text in texts]


@pytest.mark.parametrize("at_once", [3, 100])
@pytest.mark.parametrize("count", [1, 2, 17])
def test_near_queries_are_the_nearest_others(
    count: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardneg.plan.judging.QUERIES_AT_ONCE", at_once)
    monkeypatch.setattr("hardneg.plan.judging.NEIGHBOURS", 5)
    vectors = np.random.default_rng(1).normal(size=(count, 6)).astype(np.float32)
    space = Space("own", lambda rows: vectors[rows], lambda rows: vectors[rows])
    near, similarity = nearest(
        space, np.arange(count, dtype=np.int32), prepared(["text"] * count, [1] * count)
    )
    on_grid = space.queries(np.arange(count, dtype=np.int32)).astype(np.float64)
    width = min(5, count - 1)
    assert near.shape == similarity.shape == (count, width) and not (near == NO_DOC).any()
    for q in range(count):
        cosine = {other: float(on_grid[q] @ on_grid[other]) for other in range(count) if other != q}
        wanted = sorted(cosine, key=lambda other: (-cosine[other], other))[:width]
        assert near[q].tolist() == wanted and similarity[q].tolist() == [cosine[n] for n in wanted]


def table(**columns: Any) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def test_the_summary_by_hand() -> None:
    negatives = table(
        query_id=pa.array(["a", "a", "b", "b"] * 50).dictionary_encode(),  # as a selection has its ids
        p_false_negative=[0.5, 0.25, 0.75, None] * 50,
        source=["mined", "mined", "backfill", "mined"] * 50,
    )
    positives = table(p_false_negative=[None, 0.9, 0.6])
    nothing, one = np.zeros(len(COLUMNS)), np.ones(len(COLUMNS))
    weights = [Weights(COLUMNS, nothing, one, weight * one, 0.0) for weight in (1.0, 2.0)]
    fitted = Model(tuple(weights), slope=1.0, shift=0.0, ratio=3.0, spread=2.0, held=())
    tables = {"negatives": negatives, "positives": positives}
    judge: Any = SimpleNamespace(model=fitted, people=None)
    found = guard_summary(judge, tables, None, GuardConfig(promote=0.6))
    assert found is not None and (found["judged_by"], found["label_completeness"]) == ("fit", 1 / (1 + 3))
    chance, query = np.tile([0.5, 0.25], 50), np.zeros(100, np.int64)
    assert found["false_negatives"] == asdict(contamination(chance, query, 2.0))
    assert found["promoted"] == {"total": 2, "precision": pytest.approx((0.9 + 0.6) / 2)}
    assert found["weights"] == dict.fromkeys(COLUMNS, (1 + 2) / 2)
    # Set right by people: their correction's spread, and no completeness, which was the model's own.
    correction = Correction(0.5, 0.4, 9)
    judge = SimpleNamespace(model=fitted, people=(None, correction))
    found = guard_summary(judge, tables, {"mean_score": 0.1}, GuardConfig())
    assert found is not None and found["label_completeness"] is None
    spread = np.exp(1.645 * 0.4 * (0.5 * 0.5 + 0.25 * 0.75) / 0.75)
    assert found["false_negatives"]["high"] == pytest.approx(contamination(chance, query, spread).high)
    assert found["calibration"] == {"judged": 9, "shift": 0.5}
    assert found["hardness_without"] == {"mean_score": 0.1}
    # All refuted: nothing is left to be off by a factor.
    refuted = tables | {"negatives": negatives.set_column(1, "p_false_negative", pa.array([0.0] * 200))}
    found = guard_summary(judge, refuted, None, GuardConfig())
    assert found is not None and found["false_negatives"]["share"] == 0.0
