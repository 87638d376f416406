"""Seals: the checksum of a file, kept in the file itself, so that whole and unchanged can be told from not.

    Parquet   12 bytes before the footer: every reader goes by the footer's offsets and passes over them
    .npy      12 bytes after the numbers: readers go by the header's shape

A seal is eight bytes that say so and the crc32 of all bytes but the seal. Files from before there were seals
are taken as they are; .npz files need none, since zip keeps a checksum of each member.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hardneg.errors import DamagedError

_MARK = b"hnseal\x01\n"
SIZE = len(_MARK) + 4
_PARQUET_END = 8  # bytes: the footer's length, and PAR1
_AT_ONCE = 1 << 22


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


def seal_parquet(path: Path, crc32: int) -> None:
    """Put the seal of a whole Parquet file with this checksum before its footer."""
    with path.open("rb+") as handle:
        start = _footer(handle, path.stat().st_size)
        if start is None:
            raise DamagedError(path, "is no whole Parquet file")
        handle.seek(start)
        footer = handle.read()
        handle.seek(start)
        handle.write(_MARK + crc32.to_bytes(4, "little") + footer)


def seal_array(path: Path) -> None:
    """Put the seal behind a whole .npy file."""
    crc32 = file_crc32(path)
    with path.open("ab") as handle:
        handle.write(_MARK + crc32.to_bytes(4, "little"))


def file_crc32(path: Path) -> int:
    """Of all the file's bytes."""
    with path.open("rb") as handle:
        return _crc32(handle, [(0, path.stat().st_size)])


def check_seal(path: Path) -> bool:
    """Whether the file has a seal; raises DamagedError where it is not the file's. One pass over it."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        start = _footer(handle, size) if path.suffix == ".parquet" else size
        if start is None:
            raise DamagedError(path, "cannot be read as Parquet (it is cut short or its end is damaged)")
        at = start - SIZE
        if at < 0:
            return False
        handle.seek(at)
        found = handle.read(SIZE)
        if not found.startswith(_MARK):
            return False
        if _crc32(handle, [(0, at), (start, size)]) != int.from_bytes(found[len(_MARK) :], "little"):
            raise DamagedError(path, "does not match its checksum")
    return True


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
