"""The chart says what it shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hardneg.auditing import OWN, draw
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
