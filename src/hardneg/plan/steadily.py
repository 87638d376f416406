"""Reading a run that another process may be changing: all of one state, or an error, never a mixture."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from hardneg.at_work import holder, is_held
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
            if _at_rest(run, selection, before):
                raise
        else:
            if _at_rest(run, selection, before):
                return found
        time.sleep(_PAUSE_S)
    raise StoreError(f"{run.path}: {holder(run.path)} is changing what is read here; wait for it")


class _State(NamedTuple):
    """What changes with the tables, the candidates and the selection: before their files do, or with them."""

    read: Any
    search: Any
    depth: Any
    selection: Any
    folder: Any


def _state(run: RunDirectory, selection: str) -> _State:
    manifest = run.manifest()
    try:
        status = run.selection(selection).stat()
        folder: Any = (status.st_dev, status.st_ino, status.st_mtime_ns)
    except OSError:
        folder = None
    read, search = (manifest["stages"].get(stage, {}) for stage in ("read", "search"))
    chosen = manifest["selections"].get(selection, {}).get("fingerprint")
    return _State(read.get("fingerprint"), search.get("fingerprint"), search.get("depth"), chosen, folder)


def _at_rest(run: RunDirectory, selection: str, before: _State) -> bool:
    """Whether all is as it was, and no process stands between new tables and the manifest's word of them."""
    if _state(run, selection) != before:
        return False
    untold = before.selection is None and before.folder is not None
    return not (untold and is_held(run.path))
