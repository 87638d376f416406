"""Who is at work in a run directory: one process at a time, and it says who it is.

RUN/.lock     held by the process at work (`locks`)
RUN/.holder   its id, host, command and beginning, for the one that comes second
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardneg.errors import StoreError
from hardneg.leftovers import removed_if_ended
from hardneg.locks import HeldError, Lock, NoLocksError
from hardneg.refusals import refusal

LOCK, HOLDER = ".lock", ".holder"
_PROBED_S = 0.2
"""For longer nobody holds the lock who only looks whether it is held."""
_LOOKS, _PAUSE_S = 10, 0.05
"""How often the second looks for the word of a first that has only just taken the lock."""


@contextmanager
def at_work(folder: Path, command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder, which is there, while the block runs.

    command  what is at work, as a user would type it without its arguments
    say      is told where the file system has no locks; the block runs all the same

    Raises StoreError at once where another process holds it, naming that one, and StorageError where it
    cannot be written.
    """
    try:
        lock = _lock(folder, say)
    except OSError as error:
        raise refusal(error, folder / LOCK) from error
    with removed_if_ended(folder / HOLDER):
        try:
            _note_holder(folder, command)
            yield
        finally:
            (folder / HOLDER).unlink(missing_ok=True)
            if lock is not None:
                lock.release()


def _note_holder(folder: Path, command: str) -> None:
    try:
        (folder / HOLDER).write_text(json.dumps(_oneself(command), allow_nan=False), "utf-8")
    except OSError as error:
        raise refusal(error, folder / HOLDER) from error


def refuse_held(folder: Path) -> None:
    """Raises StoreError, as `at_work` does, where another process is at work there now."""
    if is_held(folder):
        raise _refusal(folder)


def is_held(folder: Path) -> bool:
    """Whether another process is at work there now."""
    if not (folder / LOCK).is_file():
        return False
    try:
        Lock(folder / LOCK).release()
    except HeldError:
        return (_read(folder / HOLDER) or {}).get("pid") != os.getpid()
    except (NoLocksError, OSError):
        pass
    return False


def _lock(folder: Path, say: Callable[[str], None]) -> Lock | None:
    try:
        return Lock(folder / LOCK, wait_s=_PROBED_S)
    except HeldError as error:
        raise _refusal(folder) from error
    except NoLocksError as error:
        say(
            f"{folder}: its file system has no locks ({error}), so nothing keeps two commands apart here; "
            "start one at a time"
        )
        return None


def _oneself(command: str) -> dict[str, Any]:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return {"pid": os.getpid(), "host": platform.node(), "command": command, "since": since}


def _refusal(folder: Path) -> StoreError:
    return StoreError(f"{folder}: {holder(folder)} is at work here; wait for it, or end it")


def holder(folder: Path) -> str:
    """The process at work, in words; one that ended without a word is not named."""
    for look in range(_LOOKS):
        time.sleep(_PAUSE_S if look else 0)
        found = _read(folder / HOLDER)
        if found is not None and not _ended(found):
            return (
                f"`hardneg {found['command']}` (process {found['pid']} on {found['host']}, "
                f"since {found['since']})"
            )
    return "another process"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("pid"), int):
        return None
    return found if {"host", "command", "since"} <= found.keys() else None


def _ended(found: dict[str, Any]) -> bool:
    """Whether it is the word of a process that was killed before: of another host, that cannot be told."""
    if found["host"] != platform.node() or os.name == "nt":
        return False
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
