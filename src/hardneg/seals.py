"""Seals: what a file is, and its checksum, kept in the file. So a damaged one is known, and so is a sound one
that belongs elsewhere.

    Parquet   20 bytes before the footer: every reader goes by the footer's offsets and passes over them
    .npy      20 bytes after the numbers: readers go by the header's shape

A seal is eight bytes that say so, eight of the digest of what the file is (`identity`), and the crc32 of all
bytes but the seal. Files without one are taken as they are where nobody says what they must be; .npz files
need none, since zip keeps a checksum of each member, and their identity is one of these (`files`).
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from hardneg.errors import DamagedError

_MARK = b"hnseal\x02\n"
_IDENTITY = 8
SIZE = len(_MARK) + _IDENTITY + 4
NO_SEAL = "cannot be read (it has no checksum: cut short, or not written by this version)"
ANOTHERS = "is not the file that was written here, but another one or an older one"
_PARQUET_END = 8  # bytes: the footer's length, and PAR1
_AT_ONCE = 1 << 22


def name_of(path: Path, mark: str) -> str:
    """The words that say what a file of this mark is: its name, and the mark."""
    return f"{path.name} {mark}"


def identity(of: str) -> bytes:
    """What stands in a seal for the words that say what a file is."""
    return hashlib.blake2b(of.encode(), digest_size=_IDENTITY).digest()


class Summed:
    """A file being written, and the crc32 of what was; what pyarrow takes as a file to write to."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self.crc32 = self.size = 0

    def write(self, data: bytes) -> int:
        self.crc32 = zlib.crc32(data, self.crc32)
        self.size += len(data)
        self._handle.write(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._handle.flush()

    def close(self) -> None:
        """Left to whoever opened the file."""

    closed = False
    mode = "wb"

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def seal_parquet(path: Path, crc32: int, of: str = "") -> None:
    """Put the seal of a whole Parquet file with this checksum before its footer.

    of  what the file is
    """
    with path.open("rb+") as handle:
        start = _footer(handle, path.stat().st_size)
        if start is None:
            raise DamagedError(path, "is no whole Parquet file")
        handle.seek(start)
        footer = handle.read()
        handle.seek(start)
        handle.write(_seal(crc32, of) + footer)


def seal_array(path: Path, of: str = "") -> None:
    """Put the seal behind a whole .npy file."""
    crc32 = file_crc32(path)
    with path.open("ab") as handle:
        handle.write(_seal(crc32, of))


def _seal(crc32: int, of: str) -> bytes:
    return _MARK + identity(of) + crc32.to_bytes(4, "little")


def file_crc32(path: Path) -> int:
    """Of all the file's bytes."""
    with path.open("rb") as handle:
        return _crc32(handle, [(0, path.stat().st_size)])


def open_stored(path: Path) -> IO[bytes]:
    """Open a file that we wrote. Raises DamagedError for what is none: who opens a pipe may wait for ever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise DamagedError(path, f"is a {'folder' if stat.S_ISDIR(mode) else 'pipe or a device'}, not a file")
    return path.open("rb")


def check_seal(path: Path, of: str | None = None) -> bool:
    """Whether the file has a seal. One pass over it.

    of  what the file must be; None: anything

    Raises DamagedError where the seal is not the file's, or the file is none of these.
    """
    with open_stored(path) as handle:
        start, seal = _end_and_seal(path, handle)
        if of is not None and (seal is None or seal.identity != identity(of)):
            raise DamagedError(path, NO_SEAL if seal is None else ANOTHERS)
        if seal is None:
            return False
        at, size = start - SIZE, path.stat().st_size
        if _crc32(handle, [(0, at), (start, size)]) != seal.crc32:
            raise DamagedError(path, "does not match its checksum")
    return True


class Seal(NamedTuple):
    identity: bytes
    crc32: int


def read_seal(path: Path) -> Seal | None:
    """What the file says of itself, none of its other bytes being looked at; None: nothing.

    Raises DamagedError where the file's end is damaged.
    """
    with open_stored(path) as handle:
        return _end_and_seal(path, handle)[1]


def _end_and_seal(path: Path, handle: IO[bytes]) -> tuple[int, Seal | None]:
    """Where the seal ends, and what stands in it; None where there is none."""
    size = path.stat().st_size
    start = _footer(handle, size) if path.suffix == ".parquet" else size
    if start is None:
        raise DamagedError(path, "cannot be read as Parquet (it is cut short or its end is damaged)")
    if start < SIZE:
        return start, None
    handle.seek(start - SIZE)
    found = handle.read(SIZE)
    if not found.startswith(_MARK):
        return start, None
    name, crc32 = found[len(_MARK) : -4], found[-4:]
    return start, Seal(name, int.from_bytes(crc32, "little"))


def _footer(handle: IO[bytes], size: int) -> int | None:
    """Where a Parquet file's footer begins; None where it has none."""
    if size < _PARQUET_END + 4:
        return None
    handle.seek(size - _PARQUET_END)
    end = handle.read(_PARQUET_END)
    start = size - _PARQUET_END - int.from_bytes(end[:4], "little")
    return start if end[4:] == b"PAR1" and start >= 4 else None


def _crc32(handle: IO[bytes], ranges: list[tuple[int, int]]) -> int:
    value = 0
    for start, stop in ranges:
        handle.seek(start, os.SEEK_SET)
        for data in _pieces(handle, stop - start):
            value = zlib.crc32(data, value)
    return value


def _pieces(handle: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (data := handle.read(min(size, _AT_ONCE))):
        size -= len(data)
        yield data
