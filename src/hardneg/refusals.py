"""What an operating system refuses (no room, no permission, no memory), said so that people can mend it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardneg.errors import HardnegError, OutOfMemoryError, StorageError

ELSEWHERE = "name another folder (--run-dir for a run; --cache-dir or HARDNEG_CACHE for the cache)"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REMEDIES = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the system has too many files open; end what holds them",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or use a file system that allows it",
    errno.EIO: "the disk reports an error: look at the system's log, and keep your data elsewhere",
    errno.EROFS: "it is read-only: {elsewhere}",
    errno.ENOTDIR: "a file is in the way: remove it, or {elsewhere}",
    errno.EISDIR: "a folder is in the way: remove it, or {elsewhere}",
    errno.EEXIST: "a file is in the way: remove it, or {elsewhere}",
}


@contextmanager
def plainly(path: Path | None = None, elsewhere: str = ELSEWHERE) -> Iterator[None]:
    """Turn an OSError or MemoryError into a HardnegError that says where, and what to do.

    path       what was being written, for errors that name no file
    elsewhere  how to choose another place
    """
    try:
        yield
    except BrokenPipeError:  # whoever reads our output has gone: nobody is left to be told
        raise
    except OSError as error:
        raise refusal(error, path, elsewhere) from error
    except MemoryError as error:
        said = f" ({_one_line(error)})" if str(error) else ""
        raise OutOfMemoryError(
            f"out of memory{said}; end other programs, or ask for less at once (--batch-size, --depth)"
        ) from error


def is_damage(error: Exception) -> bool:
    """Whether a file that cannot be read is itself at fault: the system refused nothing but to find it."""
    return not isinstance(error, OSError) or error.errno in (None, errno.ENOENT)


def refusal(error: OSError, path: Path | None = None, elsewhere: str = ELSEWHERE) -> HardnegError:
    """The error for people; `path` where the error itself names no file."""
    named = error.filename if error.filename is not None else path
    if path is not None and named is not None and Path(named).parent == path.parent:
        named = path  # not its temporary name
    if _is_full(error):
        folder = _existing(Path(named)) if named is not None else Path.cwd()
        megabytes = shutil.disk_usage(folder).free // 1_000_000
        return StorageError(
            f"{folder}: cannot be written (no space left, {megabytes:,} MB free); make room there, "
            f"or {elsewhere}"
        )
    if error.errno is None or named is None:
        return HardnegError(f"{type(error).__name__}: {_one_line(error)}")
    remedy = _REMEDIES.get(error.errno, "check that it is there and yours, or {elsewhere}")
    remedy = remedy.format(elsewhere=elsewhere)
    done = "used" if path is None else "written"
    return StorageError(f"{named}: cannot be {done} ({error.strerror}); {remedy}")


def _is_full(error: OSError) -> bool:
    # numpy counts what it could not write, and says no more.
    return error.errno in _FULL or (error.errno is None and "requested and" in str(error))


def _existing(path: Path) -> Path:
    """The folder that the path is in, or the nearest above that is there."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"
