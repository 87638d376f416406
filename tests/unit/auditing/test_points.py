"""Every point is a setting that the command line takes."""

from __future__ import annotations

import pytest

from hardneg.auditing import points
from hardneg.auditing.points import RULES
from hardneg.config import Config, SelectConfig
from hardneg.select import alone, deepest_rank


@pytest.mark.parametrize("depth", [1, 7, 60, 1000])
def test_points_are_settings_within_the_depth(depth: int) -> None:
    found = points(depth, unit=0.53, guarded=True)
    for point in found:
        Config.from_flat({**point.select, **point.guard})
        assert deepest_rank(alone(SelectConfig(), point.select).window) <= depth
    assert len({(point.rule, point.flags) for point in found}) == len(found)


def test_each_rule_goes_from_no_rule_to_strict() -> None:
    found = points(200, unit=0.53, guarded=True)
    flags = {rule: [point.flags for point in found if point.rule == rule] for rule in RULES}
    assert flags["shift"][:2] == ["--window 0:", "--window 1:"]
    assert flags["guard"][:2] == ["", "--max-p 0.9"] and flags["guard"][-1] == "--max-p 0.0001"
    assert flags["relative margin"][0] == "" and flags["relative margin"][-1] == "--relative-margin 0.5"
    assert flags["margin"][-1] == "--margin 0.27"  # half of 0.53, in two digits
    assert flags["window"][0] == "--window 0:5 --sampler random"


def test_without_a_guard_there_is_none_to_sweep() -> None:
    assert {point.rule for point in points(200, 1.0, guarded=False)} == {*RULES} - {"guard"}


def test_a_rule_alone_switches_all_others_off() -> None:
    config = SelectConfig(window=(3, 9), margin=0.2, sampler="random", num_negatives=7, shortfall="drop")
    found = alone(config, {"max_score": 0.5})
    assert (found.window, found.margin, found.relative_margin, found.sampler) == (None, None, None, "top")
    assert (found.max_score, found.num_negatives, found.shortfall) == (0.5, 7, "keep")
