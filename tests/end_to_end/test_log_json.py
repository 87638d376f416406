"""`--log-json`: every line on standard error is an event; and the codes that a command ends with."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hardneg.json_log import Events, Logged
from hardneg.progress import Terminal, warned_once

BM25 = ("--retriever", "bm25")
DOCS = Path(__file__).parents[2] / "docs" / "command-line.md"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"query": f"what is {n}?", "positive": f"{n} is a number, and so is {n + 1}"} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def hardneg(*arguments: object, prelude: str = "") -> subprocess.CompletedProcess[str]:
    code = prelude + "\nfrom hardneg.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def events(told: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in told.splitlines()]
    for event in found:
        assert datetime.fromisoformat(event["time"]).tzinfo == UTC
        assert event["level"] in ("info", "warning", "error")
    return found


def documented() -> dict[str, set[str]]:
    """Events and their keys, from the table in the docs."""
    table = DOCS.read_text().split("| event | further keys |")[1]
    rows = re.findall(r"^\| `([a-z ]+)` \| (.*) \|$", table, re.M)
    return {name: set(re.findall(r"`([a-z_]+)`", keys)) for name, keys in rows}


def test_a_run_is_told_as_events(source: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = hardneg("mine", source, "--run-dir", run, "--retriever", "bm25", "--log-json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["queries"]["total"] == 40
    found = events(done.stderr)
    for event in found:
        assert event.keys() - {"time", "level", "event"} <= documented()[event["event"]]
    assert (found[0]["event"], found[0]["arguments"][0]) == ("command started", "mine")
    assert (found[-1]["event"], found[-1]["exit_code"]) == ("command ended", 0)
    begun, ended = (
        [event["stage"] for event in found if event["event"] == what]
        for what in ("stage started", "stage ended")
    )
    timings = json.loads((run / "manifest.json").read_text())["timings"]
    assert sorted(begun) == sorted(ended) == sorted(timings)
    assert {"read", "search", "select default"} <= set(begun)
    assert any(event["event"] == "note" and "read " in event["message"] for event in found)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["mine", "SOURCE", "--depth", "0"], 2, {"class": "UsageError"}),
        (["mine", "BAD"], 2, {"class": "InputError", "file": "BAD", "line": 1}),
        (["mien"], 2, {"class": "UsageError"}),
        (["mine"], 2, {"class": "UsageError"}),
        (["mine", "SOURCE", "--depht", "5"], 2, {"class": "UsageError"}),
        (["mine", "SOURCE", "--model", "no/such-model"], 1, {"class": "ModelError"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_an_event(
    arguments: list[str], code: int, told: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"query": "a", "positive": 5\n')
    places = {"SOURCE": str(source), "BAD": str(tmp_path / "bad.jsonl")}
    given = [places.get(word, word) for word in arguments]
    if given[0] == "mine" and len(given) > 1:
        given += ["--run-dir", str(tmp_path / "run")]
    done = hardneg(*given, "--log-json")
    assert done.returncode == code, done.stderr
    *_, error, last = events(done.stderr)
    assert (error["event"], error["level"], error["exit_code"]) == ("error", "error", code)
    assert (last["event"], last["exit_code"]) == ("command ended", code)
    assert {key: places.get(str(value), value) for key, value in told.items()}.items() <= error.items()
    plain = hardneg(*given)
    assert plain.returncode == code
    assert "\n" not in error["message"]


def test_what_libraries_print_and_warn_of_is_an_event(source: Path, tmp_path: Path) -> None:
    prelude = (
        "import sys, warnings\nimport hardneg.plan.mine as mine\nreal = mine.search\n"
        "def search(*arguments):\n"
        "    for _ in range(3):\n"
        "        with warnings.catch_warnings(): pass\n"
        "        warnings.warn('an old setting\\nis used')\n"
        "    print('Loading', end='', file=sys.stderr); print(' weights', file=sys.stderr)\n"
        "    return real(*arguments)\n"
        "mine.search = search\n"
    )
    call = ["mine", source, "--run-dir", tmp_path / "run", "--retriever", "bm25"]
    found = events(hardneg(*call, "--log-json", prelude=prelude).stderr)
    warned = [event for event in found if event["event"] == "warning"]
    assert [(event["level"], event["message"]) for event in warned] == [("warning", "an old setting is used")]
    assert [event["message"] for event in found if event["event"] == "printed"] == ["Loading weights"]
    plain = hardneg("mine", source, "--run-dir", tmp_path / "other", "--retriever", "bm25", prelude=prelude)
    assert plain.stderr.splitlines().count("warning: an old setting is used") == 1
    assert plain.stderr.count("an old setting") == 1


def test_an_interruption_is_the_last_event(source: Path, tmp_path: Path) -> None:
    prelude = "import os, hardneg.plan.mine as mine\nmine.search = lambda *a: os.kill(os.getpid(), 2)"
    done = hardneg("mine", source, "--run-dir", tmp_path / "run", *BM25, "--log-json", prelude=prelude)
    last = events(done.stderr)[-1]
    assert done.returncode == last["exit_code"] == 130
    assert (last["event"], last["level"], last["signal"]) == ("interrupted", "error", "SIGINT")
    assert "the same command again goes on" in last["message"]


def test_progress_is_told_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After two seconds, and then every five: by a clock that goes a second at each look."""
    clock = iter(float(second) for second in range(10_000))
    monkeypatch.setattr("hardneg.json_log.time.monotonic", lambda: next(clock))
    with Logged(Events(sys.stderr)).track("encode documents", 20, "texts") as advance:
        for _ in range(20):
            advance(1)
    found = events(capsys.readouterr().err)
    assert 2 <= len(found) <= 6
    assert [event["done"] for event in found] == sorted({event["done"] for event in found})
    assert {(e["event"], e["work"], e["total"], e["unit"]) for e in found} == {
        ("progress", "encode documents", 20, "texts")
    }


def test_a_bar_of_a_library_is_its_last_state(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Events(sys.stderr)
    for step in range(1_000):
        print(f"\rloading {step}", end="", file=stream)
    assert len(stream._begun) < 20
    print(file=stream)
    assert [event["message"] for event in events(capsys.readouterr().err)] == ["loading 999"]


def test_a_line_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    for progress in (Terminal(), Logged(Events(sys.stderr))):
        for line in ("no locks here", "other", "no locks here"):
            progress.say(line)
        told = capsys.readouterr().err
        assert (told.count("no locks here"), told.count("other")) == (1, 1)


def test_warnings_are_as_before_afterwards() -> None:
    import warnings

    before = warnings.showwarning
    with warned_once(lambda line: None):
        assert warnings.showwarning is not before
    assert warnings.showwarning is before


def test_the_codes_are_those_of_the_docs(source: Path, tmp_path: Path) -> None:
    """Each code in the table, by a command that ends so."""
    run = tmp_path / "run"
    mine = ["mine", source, "--run-dir", run, "--retriever", "bm25"]
    interrupted = "import os, hardneg.plan.mine as mine\nmine.search = lambda *a: os.kill(os.getpid(), {})"
    found = {
        hardneg(*mine, prelude=interrupted.format(number)).returncode
        for number in (int(signal.SIGINT), int(signal.SIGTERM))
    }
    found |= {hardneg(*mine).returncode, hardneg("mine", tmp_path / "nowhere.jsonl").returncode}
    part = next((run / "candidates").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-40])
    found.add(hardneg("doctor", run).returncode)
    table = DOCS.read_text().split("## Exit codes")[1].split("##")[0]
    assert found == {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)}
