"""The default arms can be used, and are told as on the command line."""

from __future__ import annotations

import pytest

from hardneg.config import Config, GuardConfig, SelectConfig
from hardneg.trialing import IN_BATCH, Arm, default_arms

RULES = [
    IN_BATCH,
    "random",
    "top",
    "skip 10",
    "skip 30",
    "10:210, random",
    "margin 5 %",
    "margin 5 %, not filled up",
    "margin 5 %, random",
    "margin 5 %, 1 negative",
    "margin 5 %, 8 negatives",
]
GUARDED = [
    "guard 0.3",
    "guard 0.05",
    "guard 0.05, random",
    "guard 0.05, random, promoted",
    "margin 5 %, promoted",
    "margin 5 %, weighted",
]


def test_a_guard_adds_its_own_arms() -> None:
    assert [arm.name for arm in default_arms(1000, guarded=False)] == RULES
    assert [arm.name for arm in default_arms(1000, guarded=True)] == RULES + GUARDED


def test_a_scorer_adds_an_arm_that_is_taught_and_chooses_by_its_scores() -> None:
    for guarded, others in ((False, RULES), (True, RULES + GUARDED)):
        arms = default_arms(1000, guarded, scorer="cross_encoder")
        assert [arm.name for arm in arms] == [*others, "margin 5 %, teacher scores"]
        assert [arm.taught for arm in arms] == [False] * len(others) + [True]
        flags = "--relative-margin 0.05 --shortfall keep --num-negatives 4 --score-by cross_encoder"
        assert arms[-1].flags == flags
        assert not arms[-1].weighted and arms[-1].negatives and not arms[-1].own


@pytest.mark.parametrize("depth", [1, 10, 11, 30, 31, 100, 210, 500])
def test_every_setting_can_be_used_and_no_window_is_too_deep(depth: int) -> None:
    arms = default_arms(depth, guarded=True)
    assert len({arm.name for arm in arms}) == len(arms)
    for arm in arms:
        assert set(arm.settings) <= {*SelectConfig.model_fields, *GuardConfig.model_fields}
        window = Config.from_flat(dict(arm.settings)).select.window
        if window is not None:
            assert window[0] < depth and (window[1] is None or window[0] < window[1] <= depth)
    names = [arm.name for arm in arms]
    assert ("skip 10" in names) == (depth > 10) and ("skip 30" in names) == (depth > 30)
    assert (f"10:{min(depth, 210)}, random" in names) == (depth > 10)


def test_all_have_as_many_negatives_but_those_that_say_so() -> None:
    counts = {
        arm.name: arm.settings["num_negatives"] for arm in default_arms(500, guarded=True, num_negatives=6)
    }
    assert counts.pop("margin 5 %, 1 negative") == 1 and counts.pop("margin 5 %, 8 negatives") == 8
    assert set(counts.values()) == {6}
    assert {arm.settings["num_negatives"] for arm in default_arms(9, guarded=False)} == {1, 4, 8}


def test_one_arm_has_no_negatives_and_one_has_weights() -> None:
    arms = default_arms(500, guarded=True)
    assert [arm.name for arm in arms if not arm.negatives] == [IN_BATCH]
    assert [arm.name for arm in arms if arm.weighted] == ["margin 5 %, weighted"]
    assert not any(arm.own for arm in arms)


def test_flags_are_those_of_the_command_line() -> None:
    flags = {arm.name: arm.flags for arm in default_arms(100, guarded=True)}
    assert flags["10:100, random"] == (
        "--relative-margin none --shortfall keep --num-negatives 4 --window 10:100 --sampler random"
    )
    assert flags["margin 5 %, 8 negatives"] == "--relative-margin 0.05 --shortfall backfill --num-negatives 8"
    own = Arm(
        "own", {"same_lang": True, "join_title": False, "max_p": None, "quota": ("a=1", "b=2"), "seed": 0}
    )
    assert own.flags == "--same-lang --no-join-title --max-p none --quota a=1 --quota b=2 --seed 0"
    assert Arm("none", {"labels": []}).flags.strip() == Arm("nothing").flags == ""
