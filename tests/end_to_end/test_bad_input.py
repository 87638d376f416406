"""Bad input of every kind: one plain line that says what, where and what to do, or a counted refusal.

Never a traceback, a hang, or a good row that is lost.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hardneg

sys.path.insert(0, str(Path(__file__).parent))
import bad_folders
import bad_rows
import bad_settings
import bad_training
from bad_input import GOOD, PAIRS, Case, Kept, put

from hardneg import cli

Tally = Callable[..., None]
Within = Callable[[int], AbstractContextManager[None]]
CASES = [*bad_rows.CASES, *bad_settings.CASES, *bad_folders.CASES, *bad_training.CASES]
SECONDS = 60
NEVER = re.compile(
    r"Traceback|Errno|NoneType|<class|pyarrow|pydantic|\bArrow(Invalid|TypeError)|--debug shows|"
    r"\b[A-Z]\w*(Error|Exception)\b|object at 0x"
)
"""What only programmers read."""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the five good pairs and thirty more documents, by BM25."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "pairs.jsonl").write_text(GOOD)
    pool = "".join(json.dumps({"_id": f"d{n}", "text": f"thing number {n}"}) + "\n" for n in range(30))
    (folder / "pool.jsonl").write_text(pool)
    hardneg.mine(
        str(folder / "pairs.jsonl"),
        corpus=str(folder / "pool.jsonl"),
        run_dir=folder / "run",
        retriever="bm25",
        relative_margin=None,
        guard="off",
        depth=20,
        num_negatives=2,
    )
    return folder / "run"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a cache of its own and no network."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(logging, "raiseExceptions", False)  # other tests' streams are closed by now
    return folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub's libraries read their environment once, at import."""
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub-cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def run_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The real command line in this process; what it ends with."""
    monkeypatch.setattr(sys, "argv", ["hardneg", *words])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 0


def fault(case: Case, code: int, out: str, err: str, folder: Path) -> str | None:
    """What is wrong with the answer; None where it is as it must be."""
    if code != case.code:
        return f"ended with {code}, not {case.code}"
    if found := NEVER.search(out + err):
        return f"says {found[0]!r}"
    if wrong := _files_wrong(case, folder):
        return wrong
    if code == 0 or case.findings:
        lacking = [words for words in case.says if words not in out + err]
        return f"does not say {lacking}" if lacking else case.kept and _lost(case.kept, folder)
    lines = err.strip().splitlines()
    if not lines or not lines[-1].startswith("error: "):
        return "does not end with the error"
    if out.strip() or any(line.startswith("error: ") for line in lines[:-1]):
        return "says more than the error"
    if not lines[-1].isprintable() or len(lines[-1]) > 700:
        return "is no line for people"
    lacking = [words for words in case.says if words not in lines[-1]]
    return f"does not say {lacking}" if lacking else None


def _files_wrong(case: Case, folder: Path) -> str | None:
    found = [name for name in case.absent if (folder / name).exists()]
    lines = {name: (folder / name).read_bytes().count(b"\n") for name in case.lines}
    return (
        f"leaves {found}" if found else f"leaves {lines}, not {case.lines}" if lines != case.lines else None
    )


def _lost(kept: Kept, folder: Path) -> str | None:
    """What is not there though it must be."""
    mined = hardneg.open_run(folder / "run")
    collection = mined.collection
    listed = folder / "run" / "refused_rows.jsonl"
    lines = (
        [json.loads(row)["line"] for row in listed.read_text("utf-8").splitlines()] if listed.exists() else []
    )
    found = {
        "judgments": collection.qrels.num_rows,
        "documents": collection.corpus.num_rows,
        "queries": collection.queries.num_rows,
        "refused": len(lines),
        "lines": tuple(lines),
    }
    if mined.outcomes["query_id"].to_pylist() != collection.queries["query_id"].to_pylist():
        return "not every query has an outcome"
    wrong = {
        name: (number, getattr(kept, name))
        for name, number in found.items()
        if getattr(kept, name) not in (None, number)
    }
    return f"there is and must be: {wrong}" if wrong else None


@pytest.mark.reliability
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input(
    case: Case,
    place: Path,
    offline: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tally: Tally,
    within: Within,
) -> None:
    put(place, case.files, request.getfixturevalue)
    capfd.readouterr()
    wrong: str | None = "raised an error that nobody caught"
    try:
        with within(SECONDS):
            code = run_command(shlex.split(case.command), monkeypatch)
        out, err = capfd.readouterr()
        wrong = fault(case, code, out, err, place)
        assert wrong is None, f"{wrong}\n{out}{err}"
    finally:
        tally("bad inputs", tried=1, failed=int(wrong is not None))


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 150


SHOWN = ("NaN, refused", "a pipe that nobody writes to", "a symlink loop", "config: an unknown key")


@pytest.mark.parametrize("name", SHOWN)
def test_a_process_of_its_own_says_the_same(name: str, place: Path, request: pytest.FixtureRequest) -> None:
    case = next(case for case in CASES if case.name == name)
    put(place, case.files, request.getfixturevalue)
    command = [sys.executable, "-m", "hardneg", *shlex.split(case.command)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=os.environ)
    assert fault(case, done.returncode, done.stdout, done.stderr, place) is None, done.stderr


@pytest.mark.parametrize("repair", [False, True], ids=["looked at", "mended"])
def test_a_manifest_that_is_a_pipe_is_a_finding(
    repair: bool, finished: Path, place: Path, monkeypatch: pytest.MonkeyPatch, within: Within
) -> None:
    shutil.copytree(finished, place / "run")
    (place / "run" / "manifest.json").unlink()
    os.mkfifo(place / "run" / "manifest.json")
    with within(SECONDS):
        ended = run_command(["doctor", "run", "-q", *(["--repair"] if repair else [])], monkeypatch)
    assert ended == int(not repair)
    assert (place / "run" / "manifest.json").is_file() == repair


# -- Python's face ------------------------------------------------------------------------------------------

Call = Callable[[hardneg.Mined], object]


def mine_pairs(**settings: Any) -> hardneg.Mined:
    return hardneg.mine(list(PAIRS), **{"retriever": "bm25", "guard": "off", **settings})


CALLS: dict[str, tuple[Call, str]] = {
    "no retriever": (lambda run: mine_pairs(retriever=None), "retriever: must be a list of texts"),
    "a number for retrievers": (lambda run: mine_pairs(retriever=5), "retriever: must be a list of texts"),
    "an object for a scorer": (
        lambda run: mine_pairs(cross_encoder=object()),
        "cross_encoder: object is no path",
    ),
    "a table for a file": (lambda run: mine_pairs(corpus=pd.DataFrame(PAIRS)), "corpus: must be text"),
    "an array for a choice": (lambda run: mine_pairs(sampler=np.array(["top"])), "sampler: must be one of"),
    "an unknown key of reading": (
        lambda run: hardneg.load(list(PAIRS), splt="x"),
        "'splt'; did you mean 'split'",
    ),
    "an unknown key of exporting": (lambda run: run.to("trec", scors=True), "'scors'; did you mean 'scores'"),
    "no name": (lambda run: mine_pairs(name=None), "selection name None"),
    "a number for a recipe": (lambda run: mine_pairs(recipe=5), "recipe: an object of 'int' is no text"),
    "NUL in a folder's name": (lambda run: mine_pairs(run_dir="a\0b"), "NUL"),
    "no format": (lambda run: run.to(None), "unknown format None"),
    "a number for a query": (lambda run: run.inspect(5), "has no query '5'"),
    "no query": (lambda run: run.inspect(None), "has no query 'None'"),
    "a path that is not there": (lambda run: mine_pairs(exclude_docs=Path("gone.txt")), "gone.txt"),
}


@pytest.mark.parametrize(("call", "says"), CALLS.values(), ids=CALLS)
def test_a_call_that_cannot_be(call: Call, says: str, finished: Path, place: Path) -> None:
    with pytest.raises(hardneg.HardnegError) as raised:
        call(hardneg.open_run(finished))
    assert says in str(raised.value)
    assert not NEVER.search(str(raised.value))


def test_paths_and_numbers_of_other_libraries_are_settings(place: Path) -> None:
    (place / "no.txt").write_text("thing 0 is number 0\n")
    settings = {"exclude_docs": Path("no.txt"), "num_negatives": np.int64(2), "depth": np.int64(3)}
    config = mine_pairs(**settings, window=(np.int64(0), np.int64(3))).config
    assert [config[key] for key in settings] == ["no.txt", 2, 3]


def test_a_damaged_copy_of_a_run_leaves_the_run_alone(finished: Path, tmp_path: Path) -> None:
    """The cases work on copies, or the order of tests would matter."""
    shutil.copytree(finished, tmp_path / "run")
    assert hardneg.open_run(tmp_path / "run").negatives.equals(hardneg.open_run(finished).negatives)
