"""Reading a run that another process may be changing: all of one state, or an error, never a mixture."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from hardneg.at_work import holder, refuse_held
from hardneg.errors import StoreError
from hardneg.run_directory import RunDirectory

Read = TypeVar("Read")

_TRIES, _PAUSE_S = 5, 0.2


def steadily(run: RunDirectory, selection: str, read: Callable[[], Read]) -> Read:
    """What `read` gives, read again where tables, candidates or the selection became others meanwhile.

    Needs no lock: a selection can be exported while a trial goes on, and from where nothing can be written.
    Raises what `read` raises of a run that stays as it is, StoreError where the run does not come to rest.
    """
    for _ in range(_TRIES):
        before = _state(run, selection)
        try:
            found = read()
        except Exception:  # of a file that went while it was read: whatever the reader makes of that
            if _state(run, selection) == before and not _being_replaced(run, selection):
                raise
        else:
            if _state(run, selection) == before:
                return found
        time.sleep(_PAUSE_S)
    raise StoreError(f"{run.path}: {holder(run.path)} is changing what is read here; wait for it")


def _being_replaced(run: RunDirectory, selection: str) -> bool:
    """Whether it may be: until the new one is whole, the manifest knows none of the name."""
    if selection in run.manifest()["selections"]:
        return False
    try:
        refuse_held(run.path)
    except StoreError:
        return True
    return False


def _state(run: RunDirectory, selection: str) -> list[Any]:
    """What changes with the tables, the candidates and the selection: before their files do, or with them."""
    manifest = run.manifest()
    try:
        status = run.selection(selection).stat()
        folder: Any = (status.st_dev, status.st_ino, status.st_mtime_ns)
    except OSError:
        folder = None
    marks = [manifest["stages"].get(stage, {}).get("fingerprint") for stage in ("read", "search")]
    return [*marks, manifest["selections"].get(selection, {}).get("fingerprint"), folder]
