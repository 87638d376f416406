"""The chart says what it shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hardneg.auditing import OWN, draw
from hardneg.auditing.chart import _rows, chart
from hardneg.auditing.points import RULES
from hardneg.errors import MissingExtraError


def numbers() -> dict[str, Any]:
    def point(rule: str, hardness: float, share: float | None, found: float = 1.0) -> dict[str, Any]:
        low, high = (None, None) if share is None else (share / 2, share * 2)
        return {
            "rule": rule,
            "hardness": {"mean_score": hardness},
            "contamination": {"share": share, "low": low, "high": high},
            "yield": found,
        }

    return {
        "selection": "mine <own>",
        "hardness_by": "bm25",
        "queries": {"measured": 40, "total": 50},
        "hidden": {"share": 0.3, "repeats": 1},
        "points": [point(rule, 0.5 - step / 10, 0.2 - step / 10) for rule in RULES for step in (0, 1)]
        + [point("margin", 0.1, 0.19, 0.01), point("margin", 0.1, None), point(OWN, 0.45, 0.1)],
    }


def test_it_names_rules_axes_and_the_lower_bound(tmp_path: Path) -> None:
    draw(numbers(), tmp_path)
    picture = (tmp_path / "audit.svg").read_text("utf-8")
    for text in (*RULES, "a lower bound", "mean score of bm25", "40 of 50 queries", "once", "95 % intervals"):
        assert text in picture
    assert "selection mine &lt;own&gt;" in picture
    assert (tmp_path / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.png", "audit.svg"]


def test_without_the_libraries_it_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in ("vl_convert", "altair"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            with pytest.raises(MissingExtraError, match=r"hardneg\[charts\]"):
                draw(numbers(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_draws_what_was_found() -> None:
    figure = chart(numbers()).to_dict()
    band, _, _, own, *_ = (layer["data"]["values"] for layer in figure["layer"])
    # Neither what hardly found anything nor what has no share.
    assert [row["rule"] for row in band] == [rule for rule in RULES for _ in range(2)]
    assert band[1] == {
        "rule": RULES[0], "level": 1, "hardness": 0.4, "contamination": 0.1, "low": 0.05, "high": 0.2,
    }  # fmt: skip
    assert [(row["name"], row["hardness"]) for row in own] == [("selection mine <own>", 0.45)]
    line = figure["layer"][1]["encoding"]
    assert (line["x"]["field"], line["y"]["field"]) == ("hardness", "contamination")
    assert line["order"]["field"] == "level"
    low, high = (figure["layer"][0]["encoding"][axis]["field"] for axis in ("y", "y2"))
    assert (low, high) == ("low", "high")


def test_the_selection_is_drawn_however_little_it_found() -> None:
    found = numbers()
    found["points"][-1]["yield"] = 0.01
    assert OWN in [row["rule"] for row in _rows(found)]


def test_small_shares_have_a_decimal_and_scales_their_name() -> None:
    found = numbers()
    axis = lambda: chart(found).to_dict()["layer"][1]["encoding"]  # noqa: E731
    assert axis()["y"]["axis"]["format"] == "%"
    for point in found["points"]:
        point["contamination"] = {"share": 0.01, "low": 0.005, "high": 0.02}
    assert axis()["y"]["axis"]["format"] == ".1%"
    found["hardness_by"] = "standardised"
    assert "mean standard deviations of the negatives" in axis()["x"]["title"]
