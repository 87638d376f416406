"""What is said of a trial: its arms, its group, what is recommended, and the notes."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from hardneg.records import Float64
from hardneg.trialing import IN_BATCH, MEASURES, NDCG, UNTRAINED, Arm, compare, result

ARMS = [
    Arm(UNTRAINED, negatives=False),
    Arm(IN_BATCH, negatives=False),
    Arm("top", {"num_negatives": 4}, taught=True),
    Arm("margin", {"relative_margin": 0.05}, weighted=True),
]
KEPT = {"kind": "held out", "asked": 60}


def made(*shift: float, queries: int = 60, spread: float = 0.05) -> dict[str, Float64]:
    """Each arm so much better than another, and a little chance."""
    draws = np.random.default_rng(0)
    values = {}
    for name in MEASURES:
        values[name] = draws.random((1, 1, queries)) + draws.normal(0, spread, (len(shift), 3, queries))
        values[name] += np.array(shift)[:, None, None]
    return values


def said(values: dict[str, Float64], arms: list[Arm] = ARMS, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "facts": KEPT,
        "details": {},
        "use": {"top": {"num_negatives": 4}, "margin": {"relative_margin": 0.05, "num_negatives": 4}},
        "refused": {},
        "seed": 0,
        **more,
    }
    return result(arms, values, **given)


def test_it_is_json_and_holds_every_arm() -> None:
    values = made(0, 0.1, 0.3, 0.2)
    details = {"top": {"negatives_a_query": 3.5, "learning_rate": 0.001}}
    found = said(values, details=details, refused={"guard 0.3": "too few labels"})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["split"] == KEPT and found["refused"] == {"guard 0.3": "too few labels"}
    assert (found["queries"], found["seeds"]) == (60, 3)
    assert [arm["name"] for arm in found["arms"]] == [arm.name for arm in ARMS]
    assert [arm["weighted"] for arm in found["arms"]] == [False, False, False, True]
    assert [arm["taught"] for arm in found["arms"]] == [False, False, True, False]
    top = found["arms"][2]
    assert top["flags"] == "--num-negatives 4"
    assert top["negatives_a_query"] == 3.5 and top["learning_rate"] == 0.001
    assert "learning_rate" not in found["arms"][3]
    for place, arm in enumerate(found["arms"]):
        assert list(arm["measures"]) == list(MEASURES)
        for name, measure in arm["measures"].items():
            assert measure["mean"] == pytest.approx(values[name][place].mean())
            assert measure["low"] < measure["mean"] < measure["high"]


def test_differences_to_both_controls_and_none_to_itself() -> None:
    values = made(0, 0.1, 0.3, 0.2)
    arms = said(values)["arms"]
    for place, arm in enumerate(arms):
        for control, name in enumerate((UNTRAINED, IN_BATCH)):
            if arm["name"] == name:
                assert f"less {name}" not in arm
                continue
            less = arm[f"less {name}"]
            expected = values[NDCG][place].mean() - values[NDCG][control].mean()
            assert less["difference"] == pytest.approx(expected)
            against = compare(values[NDCG], 0).against(control)
            assert less.pop("beyond_chance") == (
                against.better(place, control) or against.better(control, place)
            )
            assert less == against.difference(place, control)


def test_the_best_that_can_be_used_is_recommended() -> None:
    found = said(made(0, 0.1, 0.3, 0.2))
    assert found["group"] == ["top"] and found["notes"] == []
    recommended = found["recommended"]
    assert recommended["name"] == "top" and recommended["settings"] == {"num_negatives": 4}
    assert list(recommended["compared"]) == [UNTRAINED, IN_BATCH]
    for name, shift in ((UNTRAINED, 0.3), (IN_BATCH, 0.2)):
        compared = recommended["compared"][name]
        assert compared["better"] and not compared["worse"]
        assert compared["difference"] == pytest.approx(shift, abs=0.02)
        width = compared["high"] - compared["difference"]
        assert math.ceil(60 * (width / compared["difference"]) ** 2) < 20
        assert compared["queries_needed"] == 20  # with fewer nothing is ever called better
    found = said(made(0, 0.1, 0.3, 0.2), use={"margin": {"relative_margin": 0.05}})
    assert found["group"] == ["top"] and found["recommended"]["name"] == "margin"


def test_a_recommendation_may_be_worse_than_the_controls() -> None:
    found = said(made(0.5, 0.4, 0, 0.1))
    # Untrained is not one of those compared for the best.
    assert found["group"] == [IN_BATCH]
    assert found["recommended"]["name"] == "margin"
    for compared in found["recommended"]["compared"].values():
        assert compared["worse"] and not compared["better"] and compared["high"] < 0


def test_without_an_arm_to_use_nothing_is_recommended() -> None:
    assert said(made(0, 0.1), ARMS[:2], use={})["recommended"] is None
    found = said(made(0, 0.1, 0.2), [ARMS[0], *ARMS[2:]])
    assert list(found["recommended"]["compared"]) == [UNTRAINED]
    assert all(f"less {IN_BATCH}" not in arm for arm in found["arms"])


def test_equal_arms_are_one_group_and_the_first_is_recommended() -> None:
    values = {name: value.repeat(4, axis=0) for name, value in made(0).items()}
    found = said(values)
    assert found["group"] == [IN_BATCH, "top", "margin"]
    (note,) = found["notes"]
    assert "nothing to choose by" in note
    assert found["recommended"]["name"] == "top"
    for compared in found["recommended"]["compared"].values():
        assert compared == {
            "difference": 0,
            "low": 0,
            "high": 0,
            "better": False,
            "worse": False,
            "queries_needed": None,
        }


def test_too_few_queries_are_said() -> None:
    found = said(made(0, 0.1, 0.9, 0.2, queries=19))
    assert found["notes"] == [
        "only 19 queries were asked: nothing can be told apart with so few; ask some hundreds"
    ]
    assert set(found["group"]) == {IN_BATCH, "top", "margin"} and found["group"][0] == "top"
    assert not any(one["better"] or one["worse"] for one in found["recommended"]["compared"].values())
    assert not any("only" in note for note in said(made(0, 0.1, 0.9, 0.2, queries=20))["notes"])


def test_a_leak_is_said() -> None:
    facts = {"kind": "given", "asked": 1200, "sharing_documents": 1034, "alike_queries": 20, "leaking": 1040}
    (note,) = said(made(0, 0.1, 0.3, 0.2), facts=facts)["notes"]
    assert note.startswith("leak: 1,040 of 1,200 queries asked are not apart")
    assert "1,034 share a positive" in note and "20 are nearly the same text" in note
    nothing = {**facts, "sharing_documents": 0, "alike_queries": 0, "leaking": 0}
    assert said(made(0, 0.1, 0.3, 0.2), facts=nothing)["notes"] == []


def test_how_many_queries_would_tell_is_said() -> None:
    values = made(0, 0.01, 0.02, 0.015, spread=0.5)
    found = said(values)
    group = found["group"]
    assert len(group) == 3
    names = [arm.name for arm in ARMS]
    best, last = names.index(group[0]), names.index(group[-1])
    needed = compare(values[NDCG], 0).among([1, 2, 3]).queries_needed(best, last)
    assert needed is not None and needed > 60
    assert found["notes"] == [
        f"to tell {group[0]!r} from {group[-1]!r}, were the difference what it seems, about {needed:,} "
        "queries would have to be asked"
    ]


def test_where_luck_hides_a_difference_more_seeds_are_asked_for() -> None:
    luck = np.array([[0.0, 0.0], [-0.3, 0.3], [0.3, -0.3]])
    draws = np.random.default_rng(3)
    alike = draws.random((1, 1, 60)) + draws.normal(0, 0.01, (3, 2, 60))
    values = {name: alike + luck[:, :, None] + np.array([0, 0, 0.05])[:, None, None] for name in MEASURES}
    (note,) = said(values, ARMS[:3])["notes"]
    assert "raise --seeds" in note and "queries would have" not in note


def test_one_seed_is_said() -> None:
    values = {name: value[:, :1] for name, value in made(0, 0.1, 0.3, 0.2).items()}
    assert any(note.startswith("one seed: ") for note in said(values)["notes"])


def test_answers_without_room_are_said() -> None:
    facts = {**KEPT, "documents": 900, "pool": 100, "answers_left_out": 20}
    (note,) = said(made(0, 0.1, 0.3, 0.2), facts=facts)["notes"]
    assert note.startswith("up to 20 answers of a fold had no room among the 100 documents")
    assert said(made(0, 0.1, 0.3, 0.2), facts={**facts, "answers_left_out": 0})["notes"] == []
