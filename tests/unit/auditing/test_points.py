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


def test_a_window_that_ends_at_the_depth_is_measured() -> None:
    flags = {point.flags for point in points(50, 1.0, guarded=False)}
    assert "--window 0:50 --sampler random" in flags and "--window 5:55 --sampler random" not in flags


def test_levels_become_stricter() -> None:
    found = points(1000, unit=1.0, guarded=True)

    def of(rule: str, name: str) -> list[float]:
        settings = [{**point.select, **point.guard} for point in found if point.rule == rule]
        return [given[name] for given in settings if name in given]

    for rule, name in (("margin", "margin"), ("relative margin", "relative_margin")):
        assert of(rule, name) == sorted(of(rule, name)) and len(of(rule, name)) > 5
    for rule, name in (("guard", "max_p"), ("miss rate", "max_miss_rate")):
        assert of(rule, name) == sorted(of(rule, name), reverse=True) and len(of(rule, name)) >= 5
