"""Runs commands of `kill_scenarios` in processes that a signal ends; spoken to by `test_kills.py`.

Every run is a fork of this process, which imports what the runs imported and starts no thread: so a run costs
what it does, not what importing does. A request is a line of JSON, and so is its answer:

    folder    where the run works; what it prints goes to FOLDER/said.txt
    commands  names in `kill_scenarios.COMMANDS`, run one after the other
    event     end the process at this boundary: twice the number of a call of PATCHED, one more for after it
    seconds   end it so long after its start
    signal    with which; by itself SIGKILL

The answer's `ending` are the seconds from the signal to the process's end.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import kill_scenarios
import numpy as np
import pyarrow.parquet as pq

from hardneg.interruption import end_on_signals

PATCHED: list[tuple[Any, str]] = [
    *((os, name) for name in ("replace", "rename", "fsync", "unlink", "rmdir", "mkdir")),
    *((np, name) for name in ("save", "savez")),
    *((Path, name) for name in ("write_text", "write_bytes")),
    (pq, "write_table"),
    *((pq.ParquetWriter, name) for name in ("write_table", "close")),
]
"""What writes, flushes, renames or removes. What is opened lies there half-written before the call."""


class Boundaries:
    """Counts them, and ends the process at one."""

    def __init__(self, event: int | None, number: int) -> None:
        self.names: list[str] = []
        self._event, self._number = event, number

    def install(self) -> None:
        for place, name in PATCHED:
            setattr(place, name, self._watched(getattr(place, name), name))

    def _watched(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(call)
        def watched(*arguments: Any, **named: Any) -> Any:
            self._pass(f"before {name}")
            found = call(*arguments, **named)
            self._pass(f"after {name}")
            return found

        return watched

    def _pass(self, name: str) -> None:
        if len(self.names) == self._event:
            said = os.open("signalled", os.O_WRONLY | os.O_CREAT)
            os.write(said, str(time.monotonic()).encode())
            os.close(said)
            os.kill(os.getpid(), self._number)
        self.names.append(name)


def run(folder: Path, commands: list[str], event: int | None, number: int) -> None:
    """The fork: never returns."""
    code = 1
    try:
        said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(folder)
        os.environ["HARDNEG_CACHE"] = str(folder / "cache")
        kill_scenarios.cut_small()
        if number != signal.SIGKILL:
            end_on_signals()
        boundaries = Boundaries(event, number)
        boundaries.install()
        for command in commands:
            kill_scenarios.COMMANDS[command](folder)
        (folder / "boundaries.json").open("w").write(json.dumps(boundaries.names))
        (folder / "modules.json").open("w").write(json.dumps(sorted(sys.modules)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, folder: Path, seconds: float | None, number: int) -> tuple[int, float]:
    """The exit code of the process, the negative number of the signal where one ended it; and `ending`."""
    signalled = None
    if seconds is not None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status), 0.0
            time.sleep(0.001)
        signalled = time.monotonic()
        os.kill(pid, number)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    now, note = time.monotonic(), folder / "signalled"
    if note.exists():
        signalled = float(note.read_text())
        note.unlink()
    return code, now - (signalled or now)


def load(folder: Path) -> None:
    """Import what a run has imported, for those to come."""
    for name in json.loads((folder / "modules.json").read_text()):
        if name not in sys.modules:
            # Whatever it raises: a run has imported it, and the next one does again.
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        folder, number = Path(asked["folder"]), asked.get("signal", signal.SIGKILL)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            run(folder, asked["commands"], asked.get("event"), number)
        code, ending = ended(pid, folder, asked.get("seconds"), number)
        if code == 0:
            load(folder)
        answer = {"code": code, "seconds": time.monotonic() - started, "ending": ending}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
