"""How a file or folder begins: what formats are recognised by."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from hardneg.errors import InputError
from hardneg.named_files import kind_of_path
from hardneg.read.bad_rows import BadRows
from hardneg.read.columns import listed
from hardneg.read.row_files import ROW_KINDS, byte_lines, file_rows, kind_of
from hardneg.read.rows import Row

FOLDER = "/"
_FIRST_LINES = 5
_LONGEST = 1 << 16


@dataclass(frozen=True)
class Sample:
    """kind   the suffix without the packing's, or FOLDER
    row    the first row of a file of rows, its keys in the file's order; empty where there is none
    lines  the first lines of any file but Parquet, without their ends
    files  names in a folder
    """

    kind: str
    row: Row = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()

    @property
    def shown(self) -> str:
        """What it has, for a message."""
        return f" (columns: {listed(list(self.row))})" if self.row else ""


def sample_of(path: Path) -> Sample:
    """Raises InputError where the file cannot be opened; what cannot be read in it is left out."""
    if kind_of_path(path) == "folder":
        return Sample(FOLDER, files=frozenset(one.name for one in path.iterdir()))
    kind = kind_of(path)
    row: Row = {}
    if kind in ROW_KINDS:
        try:
            row = next((row for _, row in file_rows(path).read(BadRows("skip"))), {})
        except InputError:
            row = {}
    if kind == ".parquet":
        return Sample(kind, row)
    lines = [line[:_LONGEST].decode("utf-8", "replace") for _, line in islice(byte_lines(path), _FIRST_LINES)]
    return Sample(kind, row, tuple(line.rstrip("\r\n") for line in lines))
