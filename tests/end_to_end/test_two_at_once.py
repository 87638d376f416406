"""Two processes on one run directory: the second is told who is at work, and nothing is mixed or lost."""

from __future__ import annotations

import errno
import json
import os
import platform
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import hardneg
from hardneg.errors import HardnegError, InputError, StoreError
from hardneg.plan.checkup import check_run, repair_run
from hardneg.run_directory import RunDirectory

TOPICS = ["river", "engine", "violin", "glacier", "orchard", "harbour", "lantern", "saddle"]
BM25: dict[str, Any] = {"retriever": "bm25", "relative_margin": None, "guard": "off", "num_negatives": 3}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "pairs.jsonl"
    rows = [
        {"query": f"what of the {a} and the {b}?", "positive": f"The {a} and the {b}: a note on the {a}."}
        for a in TOPICS
        for b in TOPICS
        if a != b
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Path:
    hardneg.mine(source, run_dir=tmp_path / "run", **BM25)
    return tmp_path / "run"


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


HOLDS = """
    import sys, time
    from pathlib import Path
    from hardneg.run_directory import RunDirectory
    with RunDirectory(sys.argv[1]).locked(sys.argv[2]):
        print("at work", flush=True)
        time.sleep(600)
"""

MINES_SLOWLY = """
    import sys, time
    import hardneg

    class Slow:
        name = fingerprint = "slow"

        def search(self, query, depth, positives, progress):
            print("at work", flush=True)
            time.sleep(600)

    hardneg.mine(sys.argv[1], run_dir=sys.argv[2], retriever=[Slow()], guard="off")
"""


@contextmanager
def at_work(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = child(code, *arguments)
    try:
        assert process.stdout is not None and process.stdout.readline() == "at work\n"
        yield process
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()


WRITING: dict[str, Callable[[hardneg.Mined], Any]] = {
    "select": lambda mined: mined.select(name="other", num_negatives=2),
    "preview": lambda mined: mined.preview(),
    "audit": lambda mined: mined.audit(),
    "trial": lambda mined: mined.trial(),
    "suspects into the run": lambda mined: mined.suspects(output=mined.run_dir / "suspects" / "a.csv"),
    "export into the run": lambda mined: mined.to("trec", mined.run_dir / "a.trec"),
    "doctor": lambda mined: check_run(mined.run_dir),
    "doctor --repair": lambda mined: repair_run(mined.run_dir),
}


@pytest.mark.reliability
def test_the_second_is_told_who_is_at_work(run: Path, source: Path, tally: Callable[..., None]) -> None:
    opened = hardneg.open_run(run)
    told: dict[str, str] = {}
    with at_work(HOLDS, run, "trial") as first:
        for name, ask in WRITING.items():
            with pytest.raises(StoreError) as caught:
                ask(opened)
            told[name] = str(caught.value)
        with pytest.raises(StoreError) as caught:
            hardneg.mine(source, run_dir=run, **BM25)
        told["mine"] = str(caught.value)
        command = [sys.executable, "-m", "hardneg", "select", str(run), "--name", "other"]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        told["select on the command line"] = second.stderr
    who = f"`hardneg trial` (process {first.pid} on {platform.node()}, since 20"
    wrong = [name for name, line in told.items() if who not in line or "wait for it, or end it" not in line]
    tally(
        "two at once: a second command on a run in use, told who holds it", tried=len(told), failed=len(wrong)
    )
    assert not wrong, told
    assert sorted(RunDirectory(run).manifest()["selections"]) == ["default"]
    # SIGKILL left the lock's file and the holder's word behind: they stop nobody.
    assert json.loads((run / ".holder").read_text())["pid"] == first.pid
    assert opened.select(name="other", num_negatives=2).negatives.num_rows == 2 * 56
    assert not (run / ".holder").exists()


def test_reading_goes_on_beside_a_long_command(run: Path, tmp_path: Path) -> None:
    opened = hardneg.open_run(run)
    opened.to("st-triplet", tmp_path / "before.jsonl")
    query = opened.negatives["query_id"][0].as_py()
    with at_work(HOLDS, run, "trial"):
        hardneg.open_run(run).to("st-triplet", tmp_path / "beside.jsonl")
        assert opened.suspects(5).num_rows == 5
        assert opened.suspects(5, output=tmp_path / "suspects.csv").num_rows == 5
        assert opened.inspect(query)["query_id"] == query
    assert (tmp_path / "beside.jsonl").read_bytes() == (tmp_path / "before.jsonl").read_bytes()


def test_a_run_that_is_being_mined_is_said_to_be(source: Path, tmp_path: Path) -> None:
    """Not that its mining has stopped: nobody should start it a second time."""
    with at_work(MINES_SLOWLY, source, tmp_path / "run") as first, pytest.raises(StoreError) as caught:
        hardneg.open_run(tmp_path / "run")
    assert f"`hardneg mine` (process {first.pid} on " in str(caught.value)
    with pytest.raises(InputError, match="mining has not finished here; run the same"):
        hardneg.open_run(tmp_path / "run")
    assert hardneg.mine(source, run_dir=tmp_path / "run", **BM25).negatives.num_rows


def test_a_folder_of_something_else_stays_as_it_is(source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="is no run directory and not empty"):
        hardneg.mine(source, run_dir=tmp_path, **BM25)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("manifest", ['{"manifest_version": 3, "name": "an extension"}', '["app.js"]', "{"])
def test_a_manifest_of_something_else_makes_no_run(source: Path, tmp_path: Path, manifest: str) -> None:
    """What lies under a temporary name there is not ours to sweep."""
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / ".tmp-idea").write_text("once lost, never found")
    with pytest.raises(StoreError, match=r"manifest\.json: "):
        hardneg.mine(source, run_dir=tmp_path, **BM25)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".tmp-idea", "manifest.json", "src"]


CHANGES_FOLDERS = """
    import os, sys
    from hardneg.run_directory import RunDirectory
    run = RunDirectory(sys.argv[1])
    folders = [run.path / "rescoring" / f"{number}" for number in range(300)]
    with run.locked("trial"):
        print("at work", flush=True)
        while True:
            for folder in folders:
                os.makedirs(folder / "in" / "it")
            for folder in folders:
                os.removedirs(folder / "in" / "it")
"""


def test_the_second_is_told_though_folders_go_meanwhile(run: Path) -> None:
    opened = hardneg.open_run(run)
    with at_work(CHANGES_FOLDERS, run):
        for _ in range(60):
            with pytest.raises(StoreError, match="`hardneg trial` .* is at work here"):
                opened.select(name="other")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(handle: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("hardneg.locks.fcntl.flock", refused)
    said: list[str] = []

    class Lines(hardneg.progress.Silent):
        def say(self, line: str) -> None:
            said.append(line)

    mined = hardneg.mine(source, run_dir=tmp_path / "run", progress=Lines(), **BM25)
    assert mined.negatives.num_rows
    assert [line for line in said if "its file system has no locks" in line and "one at a time" in line]


# -- an export beside selections ---------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 100])
def test_what_changes_between_two_tables_is_read_again(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Positives of one selection with negatives of the next would be a file that no selection gives."""
    expected = hardneg.open_run(run).select(num_negatives=1)
    expected.to("st-labeled-list", tmp_path / "expected.jsonl")
    hardneg.open_run(run).select(num_negatives=2)
    read, left = RunDirectory.selection_table, iter(range(times))

    def disturbed(self: RunDirectory, name: str, table: str, columns: list[str] | None = None) -> pa.Table:
        found = read(self, name, table, columns)
        if table == "positives" and next(left, None) is not None:
            with monkeypatch.context() as patch:
                patch.setattr(RunDirectory, "selection_table", read)
                mined = hardneg.open_run(run)
                mined.select(num_negatives=2, seed=1 + len(list(tmp_path.iterdir())))
                mined.select(num_negatives=1)
        return found

    monkeypatch.setattr(RunDirectory, "selection_table", disturbed)
    if times == 1:
        hardneg.open_run(run).to("st-labeled-list", tmp_path / "found.jsonl")
        assert (tmp_path / "found.jsonl").read_bytes() == (tmp_path / "expected.jsonl").read_bytes()
    else:
        with pytest.raises(StoreError, match="another process is changing what is read here; wait for it"):
            hardneg.open_run(run).to("st-labeled-list", tmp_path / "found.jsonl")
        assert not (tmp_path / "found.jsonl").exists()


SELECTS_FOR_EVER = """
    import sys
    import hardneg
    mined = hardneg.open_run(sys.argv[1])
    print("at work", flush=True)
    while True:
        for number in (2, 1):
            mined.select(num_negatives=number)
"""


@pytest.mark.reliability
def test_an_export_beside_a_select_is_of_one_selection(
    run: Path, tmp_path: Path, tally: Callable[..., None]
) -> None:
    opened = hardneg.open_run(run)
    whole = set()
    for number in (2, 1):
        opened.select(num_negatives=number).to("st-labeled-list", tmp_path / "whole.jsonl")
        whole.add((tmp_path / "whole.jsonl").read_bytes())
    assert len(whole) == 2
    mixed = refused = 0
    seen = set()
    with at_work(SELECTS_FOR_EVER, run):
        for _ in range(25):
            try:
                opened.to("st-labeled-list", tmp_path / "beside.jsonl")
            except StoreError as error:
                assert "is changing what is read here" in str(error)
                refused += 1
                continue
            found = (tmp_path / "beside.jsonl").read_bytes()
            seen.add(found)
            mixed += found not in whole
    tally("two at once: exports beside a process that selects, of one selection", tried=25, failed=mixed)
    assert mixed == 0
    assert seen and refused < 25


READS: dict[str, Callable[[hardneg.Mined], Any]] = {
    "summary": lambda mined: mined.summary,
    "config": lambda mined: mined.config,
    "negatives": lambda mined: mined.negatives,
    "decisions": lambda mined: mined.decisions,
    "export": lambda mined: mined.to("st-triplet"),
    "inspect": lambda mined: mined.inspect(mined.outcomes["query_id"][0].as_py()),
    "suspects": lambda mined: mined.suspects(4),
}

FORGETS = """
    import sys, time
    from hardneg.run_directory import RunDirectory
    run = RunDirectory(sys.argv[1])
    with run.locked("select"):
        run.forget_selection("default")
        print("at work", flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("reading", READS)
def test_a_selection_that_is_just_written_is_waited_for(run: Path, reading: str) -> None:
    """Its tables stand there, and the manifest does not tell of them yet: that is not to have none."""
    opened = hardneg.open_run(run)
    with (
        at_work(FORGETS, run) as process,
        pytest.raises(StoreError, match=rf"`hardneg select` \(process {process.pid} .* is changing what"),
    ):
        READS[reading](opened)
    if reading != "config":
        with pytest.raises(
            InputError, match="has no selection 'default'"
        ):  # it was killed, and nobody goes on
            READS[reading](opened)


@pytest.mark.parametrize("reading", ["negatives", "decisions"])
def test_tables_are_of_what_the_manifest_tells(
    run: Path, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    """A selection that is replaced between the two looks is read again, not called damaged."""
    opened, disturbs = hardneg.open_run(run), iter([False, True])
    expected = READS[reading](opened.select(num_negatives=1))
    opened.select(num_negatives=2)
    told = RunDirectory.told_of

    def disturbed(self: RunDirectory, name: str) -> dict[str, Any]:
        found = told(self, name)
        if next(disturbs, False):
            with monkeypatch.context() as patch:
                patch.setattr(RunDirectory, "told_of", told)
                hardneg.open_run(run).select(num_negatives=1)
        return found

    monkeypatch.setattr(RunDirectory, "told_of", disturbed)
    assert same(READS[reading](opened), expected)


def test_candidates_that_are_searched_deeper_are_not_called_broken_off(run: Path) -> None:
    code = """
        import sys, time
        from hardneg.run_directory import NOT_SEARCHED, RunDirectory
        run = RunDirectory(sys.argv[1])
        with run.locked("mine"):
            run.finish_stage("search", **{**run.stage("search"), "depth": NOT_SEARCHED})
            print("at work", flush=True)
            time.sleep(600)
    """
    with at_work(code, run), pytest.raises(StoreError, match="`hardneg mine` .* is at work here"):
        hardneg.open_run(run).to_pandas("candidates")
    with pytest.raises(InputError, match="a deeper search broke off here"):
        hardneg.open_run(run).to_pandas("candidates")


# -- several at once, killed at random ----------------------------------------------------------------------

SELECTS = """
    import sys
    import hardneg
    from hardneg.errors import StoreError
    run, name = sys.argv[1:]
    mined = hardneg.open_run(run)
    for number in (1, 2, 3, 1, 2, 3):
        try:
            done = mined.select(name=name, num_negatives=number, sampler="random", seed=number)
        except StoreError as error:
            assert "is at work here" in str(error), error
            continue
        print(name, number, done.negatives.num_rows, flush=True)
"""


@pytest.mark.slow
@pytest.mark.reliability
def test_selects_at_once_some_of_them_killed(run: Path, tally: Callable[..., None]) -> None:
    """Whoever was first is whole in the manifest; whoever was killed has left nothing half done."""
    expected = {
        number: hardneg.open_run(run)
        .select(name=f"n{number}", num_negatives=number, sampler="random", seed=number)
        .negatives
        for number in (1, 2, 3)
    }
    draw = random.Random(5)
    processes = {f"s{number}": child(SELECTS, run, f"s{number}") for number in range(4)}
    for name in ("s0", "s1"):
        time.sleep(draw.uniform(1.0, 1.6))
        os.kill(processes[name].pid, signal.SIGKILL)
    out = {name: process.communicate() for name, process in processes.items()}
    assert [processes[name].returncode for name in ("s2", "s3")] == [0, 0], out
    wrong = 0
    for name, (printed, _) in out.items():
        chosen = [int(line.split()[1]) for line in printed.splitlines()]
        if name in ("s2", "s3") and chosen:
            wrong += not same(hardneg.open_run(run, selection=name).negatives, expected[chosen[-1]])
    for name in hardneg.open_run(run)._run.selections():
        try:
            found = hardneg.open_run(run, selection=name).negatives
            wrong += not any(same(found, one) for one in expected.values()) and name != "default"
        except HardnegError:
            wrong += name not in ("s0", "s1")  # killed between its tables and the manifest
    again = hardneg.open_run(run).select(name="s0", num_negatives=1, sampler="random", seed=1)
    wrong += not same(again.negatives, expected[1])
    tally("two at once: selects on one run, some killed, right afterwards", tried=5, failed=wrong)
    assert wrong == 0
    assert not list(run.rglob(".tmp-*"))


def same(one: pa.Table, other: pa.Table) -> bool:
    return bool(one.equals(other))
