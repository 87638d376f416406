"""One file of a training set: tables go in one after another; when all are in, it is read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from hardneg.errors import UsageError
from hardneg.export.columns import decoded
from hardneg.export.formats import ARRAY, Frame, Kind
from hardneg.export.neutralise import neutralised
from hardneg.export.read_back import Passed, check_lines, check_parquet
from hardneg.export.rendering import csv_lines, header, json_lines, separated_lines
from hardneg.files import refuse_not_finite
from hardneg.seals import Summed

Write = Callable[[pa.Table], None]
Pieces = Iterator[bytes | pa.Buffer]
_COMPRESSION = {"jsonl.gz": "gzip", "jsonl.zst": "zstd"}


@dataclass(frozen=True)
class Rendering:
    """How a file's tables become its bytes; the words are those of `formats.Format`."""

    kind: Kind
    separator: str = "\t"
    header: bool = False
    refuse: Callable[[pa.Table], None] = lambda _: None
    neutralise: bool = True
    frame: Frame = ARRAY


@dataclass
class Tally:
    """Counts what went into a file."""

    rows: int = 0
    neutralised: int = 0
    names: list[str] = field(default_factory=list)  # of the columns


@contextmanager
def table_file(path: Path, output: Path, how: Rendering, tally: Tally) -> Iterator[Write]:
    """Write the file at `path`, which is to be called `output`: that name stands in errors."""
    opened = _parquet_file if how.kind == "parquet" else _line_file
    with opened(path, output, how, tally) as write:

        def counted(table: pa.Table) -> None:
            tally.rows += table.num_rows
            tally.names = table.column_names
            refuse_not_finite(table, "the training file")
            write(table)

        yield counted


@contextmanager
def _parquet_file(path: Path, output: Path, how: Rendering, tally: Tally) -> Iterator[Write]:
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None
    with path.open("wb") as handle:
        sink = Summed(handle)

        def write(table: pa.Table) -> None:
            nonlocal writer
            table = decoded(table)
            if writer is None:
                options = {"compression": "zstd", "store_schema": False, "write_page_checksum": True}
                writer = pq.ParquetWriter(sink, table.schema, **options)
            writer.write_table(table)

        try:
            yield write
        finally:
            if writer is not None:
                writer.close()
    check_parquet(path, output, sink.crc32, tally.names, tally.rows)


@contextmanager
def _line_file(path: Path, output: Path, how: Rendering, tally: Tally) -> Iterator[Write]:
    passed = Passed()
    # By Python's own name for it: a file's name need not be UTF-8.
    with path.open("wb") as file, pa.output_stream(file, compression=_COMPRESSION.get(how.kind)) as stream:

        def put(pieces: Pieces) -> None:
            for piece in passed.counted(pieces):
                stream.write(piece)

        pieces = _Pieces(how, tally)
        yield lambda table: put(pieces.of(table))
        put(pieces.end())
    check_lines(path, output, passed, tally.names if how.kind.startswith("jsonl") else None)


class _Pieces:
    """The bytes of one table after another."""

    def __init__(self, how: Rendering, tally: Tally) -> None:
        self._how, self._tally, self._begun = how, tally, False

    def of(self, table: pa.Table) -> Iterator[bytes | pa.Buffer]:
        how, begun, self._begun = self._how, self._begun, True
        if how.kind.startswith("jsonl"):
            yield from json_lines(table)
        elif how.kind == "json":
            yield from self._members(table, begun)
        elif how.kind == "csv":
            if not begun:
                yield header(table, ",")
            yield from csv_lines(self._for_spreadsheets(table))
        else:
            how.refuse(table)
            if how.header and not begun:
                yield header(table, how.separator)
            yield from separated_lines(table, how.separator)

    def end(self) -> Iterator[bytes | pa.Buffer]:
        if self._how.kind == "json":
            before, after = self._how.frame
            yield after if self._begun else before + after

    def _members(self, table: pa.Table, begun: bool) -> Iterator[bytes]:
        """Objects with commas between them; a line feed in a JSON line is only at its end."""
        between = b",\n" if begun else self._how.frame[0]
        for piece in json_lines(table):
            lines = memoryview(piece).tobytes().removesuffix(b"\n")
            yield between + lines.replace(b"\n", b",\n")
            between = b",\n"

    def _for_spreadsheets(self, table: pa.Table) -> pa.Table:
        for one in table.schema:
            if pa.types.is_nested(one.type):
                raise UsageError(f"CSV cannot hold the lists in {one.name!r}; write .jsonl or .parquet")
        if self._how.neutralise:
            table, marked = neutralised(table)
            self._tally.neutralised += marked
        return table
