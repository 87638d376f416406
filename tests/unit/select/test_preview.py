"""A preview says what each rule would give, as the selection itself would."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hardneg.config import SelectConfig
from hardneg.report.tables import value_text
from hardneg.select import GuardedBlock, Selector, Tally, grid_configs, preview

FOUND = [{"dense": {0: 1.0, 1: 0.75, 2: 0.5}}, {"dense": {3: 0.5}}]
POSITIVES = [{9: 0.875}, {9: 0.25}]


def test_yield_hardness_and_shortfall(select: SimpleNamespace) -> None:
    block = select.block(FOUND, POSITIVES)
    guarded = GuardedBlock(block, select.is_positive(block))
    configs = {
        "two": SelectConfig(relative_margin=None, num_negatives=2, shortfall="keep"),
        "margin": SelectConfig(relative_margin=0.0, num_negatives=2, shortfall="keep"),
        "all": SelectConfig(relative_margin=None, num_negatives="all"),
    }
    rows = preview([guarded], configs, lambda config: Selector(config, ("", "positive"), select.corpus()))
    assert [row["rule"] for row in rows] == ["two", "margin", "all"]
    two, margin, everything = rows
    assert (two["full"], two["short"], two["empty"], two["missing"]) == (1, 1, 0, 1)
    assert two["negatives_a_query"] == 3 / 2
    assert two["full_share"] == 1 / 2
    assert two["mean_score"] == (1.0 + 0.75 + 0.5) / 3
    assert two["mean_rank"] == (1 + 2 + 1) / 3
    assert (margin["full"], margin["empty"], margin["missing"]) == (1, 1, 2)
    assert margin["mean_rank"] == (2 + 3) / 2
    assert (everything["full"], everything["negatives"], everything["missing"]) == (2, 4, None)


def test_the_default_grid_runs_and_starts_with_the_rules_in_force(select: SimpleNamespace) -> None:
    block = select.block(FOUND, POSITIVES)
    config = SelectConfig(num_negatives=1, shortfall="backfill", relative_margin=0.25)
    rows = preview(
        [GuardedBlock(block, select.is_positive(block))],
        grid_configs(config, 200),
        lambda config: Selector(config, ("", "positive"), select.corpus()),
    )
    by_rule = {row["rule"]: row for row in rows}
    assert rows[0]["rule"] == "as configured"
    assert rows[0]["mean_score"] == 0.5  # 0.875 * 0.75 = 0.656: document 2 of the first query alone
    assert by_rule["top"]["mean_score"] == (1.0 + 0.5) / 2
    assert by_rule["window 5:"]["mean_score"] is None
    assert {"window 10:200, random", "relative margin 0.1"} <= set(by_rule)


def test_hardness_leaves_backfill_out(select: SimpleNamespace) -> None:
    found = select.choose(FOUND, POSITIVES, num_negatives=2, shortfall="backfill")
    tally = Tally(SelectConfig())
    tally.add(found)
    assert tally.hardness() == {"mean_score": pytest.approx(0.75), "mean_rank": (1 + 2 + 1) / 3}


def test_scores_of_two_retrievers_are_not_averaged(select: SimpleNamespace) -> None:
    found = [{"dense": {0: 1.0, 1: 0.75}, "bm25": {2: 8.0}}]
    mixed, one = Tally(SelectConfig()), Tally(SelectConfig(score_by="dense"))
    for tally, settings in ((mixed, {}), (one, {"score_by": "dense"})):
        tally.add(select.choose(found, [{9: 0.875}], num_negatives=3, **settings))
    assert mixed.hardness() == {
        "mean_score": None,
        "mean_rank": (1 + 2 + 1) / 3,
        "mean_score_by_retriever": {"bm25": 8.0, "dense": 0.875},
    }
    assert one.hardness()["mean_score"] == pytest.approx((1.0 + 0.75) / 2)
    assert value_text(mixed.row()["mean_score_by_retriever"]) == "8.0000 bm25, 0.8750 dense"
