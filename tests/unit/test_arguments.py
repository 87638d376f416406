"""Python calls with arguments of other types: refused in a line that names the argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hardneg
from hardneg.errors import UsageError
from hardneg.progress import Silent

PAIRS = [{"query": f"word{number}", "positive": f"word{number} text{number}"} for number in range(6)]
RULES: dict[str, Any] = {"retriever": "bm25", "guard": "off"}
CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "progress of mine": ("progress", lambda run: hardneg.mine(PAIRS, progress=print, **RULES)),
    "a class": ("progress", lambda run: hardneg.mine(PAIRS, progress=Silent, **RULES)),
    "engine of mine": ("engine", lambda run: hardneg.mine(PAIRS, engine="threads", **RULES)),
    "run_dir of mine": ("run_dir", lambda run: hardneg.mine(PAIRS, run_dir=7, **RULES)),
    "recipe of mine": ("recipe", lambda run: hardneg.mine(PAIRS, recipe=["a"], **RULES)),
    "name of mine": ("name", lambda run: hardneg.mine(PAIRS, name=3, **RULES)),
    "run_dir of open_run": ("run_dir", lambda run: hardneg.open_run(None)),
    "progress of open_run": ("progress", lambda run: hardneg.open_run(run, progress=True)),
    "selection of open_run": ("selection", lambda run: hardneg.open_run(run, selection=5)),
    "run_dir of audit": ("run_dir", lambda run: hardneg.audit(PAIRS, run_dir=b"x", **RULES)),
    "progress of audit": ("progress", lambda run: hardneg.audit(run, progress=1)),
    "run_dir of trial": ("run_dir", lambda run: hardneg.trial(["a"])),
    "selections of trial": ("selections", lambda run: hardneg.trial(run, selections=5)),
    "source of convert": ("source", lambda run: hardneg.convert(5, "st-triplet", run / "x.jsonl")),
    "output of convert": ("output", lambda run: hardneg.convert(run / "a", "st-triplet", None)),
    "to of convert": ("to", lambda run: hardneg.convert(run / "a", 4, run / "x.jsonl")),
    "list_to of convert": ("list_to", lambda run: hardneg.convert("a", "st-triplet", "b", list_to=1)),
    "path of check": ("path", lambda run: hardneg.check(None)),
    "num_negatives of check": ("num_negatives", lambda run: hardneg.check("a", num_negatives="2")),
    "output of to": ("output", lambda run: hardneg.open_run(run).to("st-triplet", 5)),
    "to of to": ("to", lambda run: hardneg.open_run(run).to(5)),
    "name of select": ("name", lambda run: hardneg.open_run(run).select(name=5)),
    "n of suspects": ("n", lambda run: hardneg.open_run(run).suspects("many")),
    "repo_id of to_hub": ("repo_id", lambda run: hardneg.open_run(run).to_hub(5)),
    "a device that computes nothing": ("device", lambda run: hardneg.mine(PAIRS, device="cpu, meta:0")),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arguments") / "run"
    hardneg.mine(PAIRS, run_dir=folder, **RULES)
    return folder


@pytest.mark.parametrize("call", CALLS)
def test_what_an_argument_cannot_be_is_refused_by_its_name(run: Path, call: str) -> None:
    argument, do = CALLS[call]
    with pytest.raises(UsageError, match=rf"^{argument}\b") as caught:
        do(run)
    assert "\n" not in str(caught.value)


def test_what_has_the_methods_is_taken(run: Path) -> None:
    class Said(Silent):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, line: str) -> None:
            self.lines.append(line)

    said = Said()
    hardneg.mine(PAIRS, run_dir=run, progress=said, **RULES)
    assert "select default: unchanged" in said.lines
