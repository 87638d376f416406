"""What would be left of a process that a signal ends: files under temporary names, folders, child processes.

Such a process unwinds nothing (`interruption`), so whoever makes one says here how it is undone.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

_undoing: dict[object, Callable[[], None]] = {}
_beginning = threading.Lock()


def undo_if_ended(undo: Callable[[], None]) -> Callable[[], None]:
    """What ends the process calls `undo`, from another thread; until what is returned is called."""
    key = object()
    with _beginning:
        _undoing[key] = undo

    def forget() -> None:
        _undoing.pop(key, None)

    return forget


@contextmanager
def removed_if_ended(path: Path) -> Iterator[None]:
    """A file or folder, which need not be there, while the block runs."""
    forget = undo_if_ended(partial(_remove, path))
    try:
        yield
    finally:
        forget()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of the system's for what is needed while the block runs."""
    with tempfile.TemporaryDirectory(prefix="hardneg-") as folder, removed_if_ended(Path(folder)):
        yield Path(folder)


def begin_nothing_more(patience: float) -> None:
    """From here on, who would begin something that has to be undone waits for ever.

    patience  seconds to wait for one who is about to
    """
    _beginning.acquire(timeout=patience)


def undo_all() -> None:
    """The last one first; one that fails keeps no other."""
    for undo in reversed(list(_undoing.values())):
        with suppress(Exception):
            undo()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
