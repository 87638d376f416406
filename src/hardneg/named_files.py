"""Files that users name: nothing but a file is opened, and no line or text is read without a bound.

A pipe that nobody writes to and a device without end would be waited for, or read, for ever; one line of a
packed file of a few kilobytes may fill the memory.
"""

from __future__ import annotations

import errno
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Literal

from hardneg.errors import InputError, UsageError
from hardneg.files import open_unpacked
from hardneg.remote import refuse_remote

LONGEST_LINE = 1 << 26
TOO_LONG = "is longer than 64 MiB"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PASSED_OVER_AT_ONCE = 1 << 20

_REASONS = {
    errno.ELOOP: "is a link that links to itself; name the file",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EACCES: "may not be read; look at its permissions",
}
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of_path(path: Path) -> Literal["file", "folder", "nothing"]:
    """What is there. Raises InputError for what can be neither, or not be looked at, UsageError for an
    address (`s3://...`)."""
    refuse_remote(path, "this")
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except OSError as error:
        raise InputError(
            _REASONS.get(error.errno or 0, f"cannot be opened ({error.strerror})"), file=path
        ) from error
    except ValueError as error:
        raise InputError("the name holds a NUL character; no file's can", file=path) from error
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise InputError(f"is {kind}, not a file; write it to a file first", file=path)
    return "folder" if stat.S_ISDIR(mode) else "file"


def refuse_no_file(path: Path, remedy: str = "name an existing file") -> None:
    """Raises InputError for anything but a file, with this remedy where nothing is there."""
    kind = kind_of_path(path)
    if kind == "folder":
        raise InputError("is a folder, not a file; name a file in it", file=path)
    if kind == "nothing":
        raise InputError(f"is no file; {remedy}", file=path)


State = Mapping[Path, tuple[int, ...]]


def state_of(paths: Iterable[Path]) -> State:
    """What changes when one of these files does."""
    return {path: _state_of_one(path) for path in paths}


def _state_of_one(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def refuse_changed(before: State) -> None:
    """Raises InputError where a file is not as it was: what is made of it would go by another's digest."""
    for path, state in state_of(before).items():
        if state != before[path]:
            raise InputError("changed since this command began; run it again", file=path)


def open_named(path: Path) -> IO[bytes]:
    """Open a file, unpacked whatever its name. Raises InputError where it is none or cannot be opened."""
    refuse_no_file(path)
    try:
        return open_unpacked(path)
    except OSError as error:
        raise InputError(f"cannot be opened ({error.strerror or error})", file=path) from error


def named_lines(path: Path, longest: int = LONGEST_LINE) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers from 1, the first without a byte order mark.

    Of a line of more than `longest` bytes come the first longest + 1; the rest is passed over. Raises
    InputError, with the line, where the file cannot be opened or a packed one is damaged.
    """
    number = 0
    with open_named(path) as handle:
        try:
            while line := handle.readline(longest + 1):
                number += 1
                line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if len(line) > longest and not line.endswith(b"\n"):
                    _pass_over(handle)
                yield number, line
        except (EOFError, OSError, zlib.error) as error:
            where = " after this line" if number else ""
            raise InputError(
                f"cannot be read: it is damaged, or cut off,{where} ({_plain(error)})",
                file=path,
                line=number or None,
            ) from error


def _pass_over(handle: IO[bytes]) -> None:
    """Read to the end of the line."""
    while (rest := handle.readline(_PASSED_OVER_AT_ONCE)) and not rest.endswith(b"\n"):
        pass


def named_text(path: Path, longest: int) -> str:
    """A file of UTF-8, with or without a byte order mark. Raises InputError where it is longer or none."""
    refuse_no_file(path)
    try:
        with path.open("rb") as handle:
            data = handle.read(longest + 1)
    except OSError as error:
        raise InputError(f"cannot be opened ({error.strerror or error})", file=path) from error
    if len(data) > longest:
        raise InputError(f"is longer than {longest >> 20} MiB; is it the right file?", file=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError("is not UTF-8; save the file as UTF-8", file=path, line=line) from error


def _plain(error: BaseException) -> str:
    """What is wrong with a packed file, without numbers that only programs read."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or "it cannot be unpacked"


_TABLES = ("corpus", "queries", "qrels")


def refuse_inputs(output: Path, inputs: Iterable[str], flag: str = "--output") -> None:
    """Raises UsageError where writing would replace what was read: one of these files, or a table of such a
    folder."""
    for name in inputs:
        whole = Path(name).expanduser()
        try:
            same = output.samefile(whole)
            inside = output.resolve().relative_to(whole.resolve()).parts if whole.is_dir() else ()
        except (OSError, ValueError, RuntimeError):
            continue  # one of the two is not there, or they lie apart
        if same or (inside and inside[0].partition(".")[0] in _TABLES):
            raise UsageError(f"{output}: input was read from it; choose another {flag}")
