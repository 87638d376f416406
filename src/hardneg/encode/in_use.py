"""Who uses an encoder's vectors, who adds to them, and when they were used last.

    ROOT/vectors/.locks/KEY.use      held, by all together, while processes have the folder KEY open;
                                     the file's time is that of the last use
    ROOT/vectors/.locks/KEY.append   held by the one that adds a shard

Where there are no locks, or the cache cannot be written, the store works without: only removing needs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hardneg.locks import HeldError, Lock, NoLocksError

LOCKS = ".locks"
_REMOVING_S = 60.0
"""So long a use waits for a removal, which only renames under its lock."""
_APPENDING_S = 60.0
"""So long an append waits for another: shards take well under a second; a process may have been stopped."""


def using(folder: Path, noted: bool = True) -> Lock | None:
    """Held until nobody refers to it: nobody removes the folder meanwhile. It need not be there yet.

    noted  whether this counts as a use, which keeps the folder from being taken for an old one
    """
    path = use_path(folder)
    try:
        lock = Lock(path, shared=True, wait_s=_REMOVING_S)
    except (HeldError, NoLocksError, OSError):
        return None
    if noted:
        with suppress(OSError):  # somebody else's file
            os.utime(path)
    return lock


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While nobody has the folder open. Raises HeldError where somebody has, or NoLocksError."""
    before = last_use(folder)
    there = use_path(folder).exists()
    lock = Lock(use_path(folder))
    if not there:  # its lock was made just now, which is no use
        os.utime(use_path(folder), (before, before))
    try:
        yield
    finally:
        lock.release()


def last_use(folder: Path) -> float:
    """In seconds since 1970. Of a folder that no lock was made for, the time of its last file."""
    for path in (use_path(folder), folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


@contextmanager
def appending(folder: Path) -> Iterator[None]:
    """One after the other where there are locks. Shards have names of their own, so none is lost without."""
    lock = None
    with suppress(HeldError, NoLocksError, OSError):
        lock = Lock(_locks(folder) / f"{folder.name}.append", wait_s=_APPENDING_S)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def use_path(folder: Path) -> Path:
    return _locks(folder) / f"{folder.name}.use"


def _locks(folder: Path) -> Path:
    return folder.parent / LOCKS
