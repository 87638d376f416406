"""A file that was just written, read back before it takes its name: the same bytes, and of its format.

Every byte is read and compared by checksum, every line counted; of each few megabytes one line is parsed.
Parsing all of them would take longer than writing them did.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from hardneg.errors import DamagedError
from hardneg.files import check_written, open_unpacked
from hardneg.seals import file_crc32

_AT_ONCE = 1 << 22
_REMEDY = "write it again, and look after the disk"


class Passed:
    """Counts the bytes and lines that pass on their way into a file."""

    def __init__(self) -> None:
        self.crc32 = self.lines = 0

    def counted(self, pieces: Iterator[bytes | pa.Buffer]) -> Iterator[bytes | pa.Buffer]:
        for piece in pieces:
            self.add(memoryview(piece).tobytes() if isinstance(piece, pa.Buffer) else piece)
            yield piece

    def add(self, data: bytes) -> None:
        self.crc32 = zlib.crc32(data, self.crc32)
        self.lines += data.count(b"\n")


def check_lines(path: Path, output: Path, written: Passed, keys: Sequence[str] | None) -> None:
    """Raises DamagedError, naming `output`, where the file at `path` is not what has passed.

    keys  of every object, for JSON lines; None for other formats
    """
    found, last = Passed(), b""
    try:
        with open_unpacked(path) as file:
            while data := file.read(_AT_ONCE):
                if keys is not None:
                    _parse_one(data, keys, whole_start=found.lines == 0)
                found.add(data)
                last = data[-1:]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DamagedError(output, f"read back, is damaged ({error})", _REMEDY) from error
    if (found.crc32, found.lines) != (written.crc32, written.lines) or last not in (b"", b"\n"):
        raise DamagedError(output, "read back, is not what was written", _REMEDY)


def _parse_one(data: bytes, keys: Sequence[str], *, whole_start: bool) -> None:
    """Parse the first whole line. Raises ValueError where it is no object with these keys, or holds NaN."""
    lines = data.split(b"\n", 2)
    line = lines[0] if whole_start and len(lines) > 1 else lines[1] if len(lines) > 2 else None
    if line is not None:
        found = json.loads(line, parse_constant=_refuse)
        if list(found) != list(keys):
            raise ValueError(f"an object has the keys {', '.join(found)}, not {', '.join(keys)}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def check_parquet(path: Path, output: Path, crc32: int, names: Sequence[str], rows: int) -> None:
    """Raises DamagedError, naming `output`, where the file is not what was written, or not of these rows."""
    if file_crc32(path) != crc32:
        raise DamagedError(output, "read back, is not what was written", _REMEDY)
    check_written(path, names, rows)
