"""Processes ended by SIGKILL anywhere: the same command again goes on, and nothing of the outcome differs."""

from __future__ import annotations

import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import kill_scenarios
from kill_scenarios import PAIRS_AT_ONCE, SCENARIOS, TEXTS_A_SHARD, TYPED, Scenario

Tally = Callable[..., None]
KILLED = -9
SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A process with threads cannot be forked."""
LIMIT_S, SLACK_S = 2.0, 4.0
"""In which a command ends, and what a machine that does other things too may add."""
OF_TIME = {"timings", "seconds", "versions", "folder", "encoded", "reused", "checksum"}
"""Keys of the manifest that say how long something took, where, and how much of it was done before."""


class Server:
    """`kill_server.py`."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("kill_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **SINGLE},
        )

    def run(self, folder: Path, commands: tuple[str, ...], **kill: Any) -> tuple[int, float, float]:
        """Exit code, seconds, and those of them after the signal."""
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"folder": str(folder), "commands": commands, **kill}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:  # a negative code: the signal that ended it, 9 where memory ran out
            raise RuntimeError(f"the server of runs ended with {self._process.wait()} at {commands} {kill}")
        found = json.loads(answer)
        return found["code"], found["seconds"], found["ending"]

    def end(self) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Wanted:
    """before    a folder as it is when the commands begin that are killed
    boundaries  that they pass, by name
    seconds     that they take
    results     what has to come out
    done        what encoder and scorer were asked meanwhile
    """

    before: Path
    boundaries: list[str]
    seconds: float
    results: dict[str, bytes]
    done: dict[str, int]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.end()


Wants = Callable[[Scenario], Wanted]


@pytest.fixture(scope="module")
def wanted(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Wants:
    """What a scenario gives where nobody kills anything."""
    sources = tmp_path_factory.mktemp("sources")
    kill_scenarios.write_sources(sources)

    @cache
    def found(scenario: Scenario) -> Wanted:
        before = copied(sources, tmp_path_factory.mktemp("before") / "work")
        assert server.run(before, scenario.before)[0] == 0, said(before)
        whole = copied(before, tmp_path_factory.mktemp("whole") / "work")
        code, seconds, _ = server.run(whole, scenario.killed)
        assert code == 0, said(whole)
        boundaries = json.loads((whole / "boundaries.json").read_text())
        done = {what: n - kill_scenarios.work(before)[what] for what, n in kill_scenarios.work(whole).items()}
        if scenario.then:
            whole = copied(sources, tmp_path_factory.mktemp("alone") / "work")
            assert server.run(whole, scenario.then)[0] == 0, said(whole)
        return Wanted(before, boundaries, seconds, results(whole, scenario), done)

    return found


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text()


def results(folder: Path, scenario: Scenario) -> dict[str, bytes]:
    """Every file that the commands leave, and the manifest but for times.

    Beside an exported file SIGKILL may leave what was being written: nobody knows of it later.
    """
    found = {}
    exported = (path for suffix in ("jsonl", "parquet") for path in folder.glob(f"[!.]*.{suffix}"))
    for path in sorted([*(folder / "run").rglob("*"), *exported]):
        if path.is_file() and path.name not in (".lock", ".holder", "manifest.json", "refused_rows.jsonl"):
            found[str(path.relative_to(folder))] = path.read_bytes()
    manifest = json.loads((folder / "run" / "manifest.json").read_text().replace(str(folder), "FOLDER"))
    if scenario.then:  # what else happened in the run is its own affair
        manifest = {"config": manifest["config"]}
    found["manifest"] = json.dumps(_timeless(manifest), sort_keys=True, indent=1).encode()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in OF_TIME}
    return value


class Kills:
    """Kills one scenario, goes on, and notes what went wrong."""

    def __init__(self, server: Server, scenario: Scenario, wanted: Wanted, folder: Path) -> None:
        self._server, self._scenario, self._wanted, self._folder = server, scenario, wanted, folder
        self.tried = 0
        self.wrong: list[str] = []

    def at(self, *moments: dict[str, Any]) -> None:
        """Begin, end it there, begin again, end it at the next, ... and let the last one finish."""
        folder = copied(self._wanted.before, self._folder / "killed")
        before, killed, finished = kill_scenarios.work(folder), 0, {}
        for moment in moments:
            code, _, ending = self._server.run(folder, self._scenario.killed, **moment)
            number = moment.get("signal", signal.SIGKILL)
            assert code in (_code(number), 0), said(folder)
            killed += code != 0
            if code and number != signal.SIGKILL:
                self.wrong += _not_said(folder, number, ending)
            finished = self._finished(folder)
        code, *_ = self._server.run(folder, self._scenario.then or self._scenario.killed)
        wrong = self._wrong(folder, finished, before, killed) if code == 0 else said(folder)[-2000:]
        self.tried += killed
        if wrong and killed:
            self.wrong.append(f"{moments} {self._names(moments)}: {wrong}")
        shutil.rmtree(folder)

    def _names(self, moments: tuple[dict[str, Any], ...]) -> list[str]:
        names = self._wanted.boundaries
        return [names[m["event"]] for m in moments[:1] if "event" in m]

    def _wrong(
        self, folder: Path, finished: dict[str, tuple[int, int]], before: dict[str, int], killed: int
    ) -> str:
        found, wanted = results(folder, self._scenario), self._wanted.results
        names = wanted if self._scenario.then else {**wanted, **found}
        differing = [name for name in names if found.get(name) != wanted.get(name)]
        if differing:
            return f"differing: {differing} {_lines(found['manifest'], wanted['manifest'])}"
        if self._scenario.then:
            return ""
        again = [name for name, identity in finished.items() if _identity(folder / name) != identity]
        if again:
            return f"finished, and written again: {again}"
        for what, unit in (("texts", TEXTS_A_SHARD), ("pairs", PAIRS_AT_ONCE)):
            done = kill_scenarios.work(folder)[what] - before[what]
            if done > self._wanted.done[what] + killed * unit:
                return f"{done} {what} for {self._wanted.done[what]}"
        return ""

    def _finished(self, folder: Path) -> dict[str, tuple[int, int]]:
        """Parts that are as they will be in the end."""
        parts = [*folder.glob("run/candidates/*.parquet"), *folder.glob("run/guard/judged/*/*.npy")]
        names = [str(path.relative_to(folder)) for path in parts]
        return {
            name: _identity(folder / name)
            for name in names
            if (folder / name).read_bytes() == self._wanted.results.get(name)
        }


def _code(number: int) -> int:
    """That a command ends with after this signal."""
    return KILLED if number == signal.SIGKILL else 128 + number


def _not_said(folder: Path, number: int, ending: float) -> list[str]:
    """What is wrong with how a command ended by this signal."""
    wrong, told = [], said(folder)
    if ending > LIMIT_S + SLACK_S:
        wrong.append(f"it took {ending:.1f} s to end")
    if not told.splitlines()[-1].startswith(f"interrupted ({signal.Signals(number).name}); "):
        wrong.append(f"did not say so: {told[-300:]}")
    if "Traceback" in told:
        wrong.append(told[-2000:])
    return wrong + [f"left {path}" for path in (*folder.rglob(".tmp-*"), *folder.rglob(".holder"))]


def _lines(one: bytes, other: bytes) -> list[str]:
    """What differs in a manifest."""
    told = difflib.unified_diff(one.decode().splitlines(), other.decode().splitlines(), n=0, lineterm="")
    return list(told)[:20]


def _identity(path: Path) -> tuple[int, int]:
    if not path.exists():
        return 0, 0
    return path.stat().st_ino, path.stat().st_mtime_ns


def spread(count: int, over: int, shift: int) -> list[int]:
    """So many whole numbers below `over`, evenly spread."""
    return sorted({(shift + place * over // count) % over for place in range(min(count, over))})


@pytest.mark.reliability
@pytest.mark.parametrize("name", ["all stages", "encoding", "back to the earlier scorer", "a grown source"])
def test_a_killed_run_goes_on(name: str, server: Server, wanted: Wants, tmp_path: Path, tally: Tally) -> None:
    scenario = SCENARIOS[name]
    kills = Kills(server, scenario, wanted(scenario), tmp_path)
    for event in spread(3, len(wanted(scenario).boundaries), 5):
        kills.at({"event": event})
    tally("kills survived (SIGKILL, then the same command)", tried=kills.tried, failed=len(kills.wrong))
    assert not kills.wrong, "\n".join(kills.wrong)
    assert kills.tried == 3


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_anywhere(name: str, server: Server, wanted: Wants, tmp_path: Path, tally: Tally) -> None:
    """At every few boundaries, a third of them once more while going on; and at random moments."""
    scenario = SCENARIOS[name]
    kills, draw = Kills(server, scenario, wanted(scenario), tmp_path), random.Random(name)
    count = len(wanted(scenario).boundaries)
    for number, event in enumerate(
        spread(int(os.environ.get("HARDNEG_KILLS", "24")), count, draw.randrange(count))
    ):
        again = [{"event": draw.randrange(count // 2)}] if number % 3 == 0 else []
        kills.at({"event": event}, *again)
    for _ in range(4):
        kills.at({"seconds": draw.uniform(0, wanted(scenario).seconds)})
    tally("kills survived (SIGKILL, then the same command)", tried=kills.tried, failed=len(kills.wrong))
    assert not kills.wrong, "\n".join(kills.wrong)
    assert kills.tried >= 24


# -- signals that a command answers -----------------------------------------------------------------------

ENDED = "commands ended by SIGINT or SIGTERM in time, with a word, and gone on with"


@pytest.mark.reliability
def test_an_interrupted_run_goes_on(server: Server, wanted: Wants, tmp_path: Path, tally: Tally) -> None:
    scenario = SCENARIOS["all stages"]
    kills = Kills(server, scenario, wanted(scenario), tmp_path)
    for event, number in zip(
        spread(4, len(wanted(scenario).boundaries), 3), (signal.SIGINT, signal.SIGTERM) * 2, strict=True
    ):
        kills.at({"event": event, "signal": number})
    tally(ENDED, tried=kills.tried, failed=len(kills.wrong))
    assert not kills.wrong, "\n".join(kills.wrong)
    assert kills.tried == 4


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("name", TYPED)
def test_interrupted_anywhere(name: str, server: Server, wanted: Wants, tmp_path: Path, tally: Tally) -> None:
    scenario = SCENARIOS[name]
    kills, draw = Kills(server, scenario, wanted(scenario), tmp_path), random.Random(name)
    numbers = (signal.SIGINT, signal.SIGTERM) * 6
    for event, number in zip(spread(12, len(wanted(scenario).boundaries), 7), numbers, strict=True):
        kills.at({"event": event, "signal": number})
    for number in numbers:
        kills.at({"seconds": draw.uniform(0, wanted(scenario).seconds), "signal": number})
    tally(ENDED, tried=kills.tried, failed=len(kills.wrong))
    assert not kills.wrong, "\n".join(kills.wrong)
    assert kills.tried >= 12
