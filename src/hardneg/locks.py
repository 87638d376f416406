"""Locks of the operating system on a file: one that a killed process held is free again.

A lock is held by an open file, so it ends with the process however that ends. Two folders that need
different locks need different files; a lock's file stays where it is, since one that is removed while
another process waits for it guards nothing.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import weakref
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_POLL_S = 0.02
_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})
_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})


class HeldError(Exception):
    """Another process, or another part of this one, holds the lock."""


class NoLocksError(Exception):
    """The file system has no locks: some network file systems, or a mount without them."""


class Lock:
    """Held from here until `release`, or until nobody refers to it any more."""

    def __init__(self, path: Path, *, shared: bool = False, wait_s: float = 0.0) -> None:
        """Take the lock of this file, which is made where it is not there.

        shared  others may hold it shared too, but nobody alone
        wait_s  seconds to wait for those who hold it

        Raises HeldError, NoLocksError, or OSError where the file cannot be opened or made.
        """
        handle = _opened(path, shared)
        self._close = weakref.finalize(self, os.close, handle)
        until = time.monotonic() + wait_s
        try:
            while not _locked(handle, shared):
                if time.monotonic() >= until:
                    raise HeldError(path)
                time.sleep(_POLL_S)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        self._close()


def _opened(path: Path, shared: bool) -> int:
    """A shared lock can also be taken on a file that may only be read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if not shared or error.errno not in _READ_ONLY:
            raise
        return os.open(path, os.O_RDONLY)


def _locked(handle: int, shared: bool) -> bool:
    """Whether the lock could be taken at once."""
    try:
        if sys.platform != "win32":
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        elif not shared:  # Windows itself lets nobody remove what another has open
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno in _NO_LOCKS:
            raise NoLocksError(os.strerror(error.errno or 0)) from error
        raise
    return True
