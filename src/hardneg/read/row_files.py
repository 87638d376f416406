"""Files of rows: JSON lines, CSV, TSV and Parquet, plain or packed with gzip or zstd."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from hardneg.errors import InputError
from hardneg.json_values import NotJsonError, parse_json
from hardneg.named_files import LONGEST_LINE, TOO_LONG, named_lines, open_named
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.rows import BATCH_ROWS, Row, Rows, batch_rows, unique_columns

PACKED = ("", ".gz", ".zst")
ROW_KINDS = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet")
_LARGEST_UNPACKED = 1 << 30
"""Of a packed Parquet file, which is unpacked into memory."""
_PIECE = 1 << 20


def kind_of(path: Path) -> str:
    """The suffix that says what is in a file, without the packing's: `.jsonl` of `a.jsonl.gz`."""
    name = path.name.lower()
    for packing in PACKED[1:]:
        name = name.removesuffix(packing)
    return Path(name).suffix


def file_rows(path: Path) -> Rows:
    """The rows of a file. Raises InputError where its suffix says nothing."""
    readers: dict[str, Callable[[Path], Rows]] = {
        ".jsonl": jsonl_rows,
        ".json": jsonl_rows,
        ".ndjson": jsonl_rows,
        ".csv": csv_rows,
        ".tsv": tsv_rows,
        ".parquet": parquet_rows,
    }
    reader = readers.get(kind_of(path))
    if reader is None:
        known = ", ".join(ROW_KINDS)
        raise InputError(f"its suffix names no format; use one of {known} (and .gz or .zst)", file=path)
    return reader(path)


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacked whatever its name. Raises InputError where it cannot be opened or is empty."""
    handle = open_named(path)
    if path.stat().st_size == 0:
        handle.close()
        raise InputError("is an empty file", file=path)
    return handle


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """As `named_lines`. Raises InputError where the file holds nothing, too."""
    number = 0
    for number, line in named_lines(path):  # what follows looks at it
        yield number, line
    if number == 0:
        raise InputError("is an empty file", file=path)


def decode(line: bytes, number: int) -> str:
    """A line's text. Raises RowError where it is too long or not UTF-8."""
    if len(line) > LONGEST_LINE:
        raise RowError(TOO_LONG)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        utf_16 = number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff")
        hint = "; it looks like UTF-16: save the file as UTF-8" if utf_16 else ""
        raise RowError(f"is not UTF-8 at byte {error.start + 1} of the line{hint}") from error


# -- JSON lines -------------------------------------------------------------------------------------


def jsonl_rows(path: Path) -> Rows:
    """One JSON object a line; blank lines are passed over."""
    name = str(path)

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        for number, line in byte_lines(path):
            try:
                row = _json_object(decode(line, number))
            except RowError as error:
                bad.refuse(error, name, number)
                continue
            if row is not None:
                yield number, row

    return Rows(name, read, uniform=False)


def _json_object(text: str) -> Row | None:
    """The object of a line, None of a blank one. Raises RowError."""
    if not text or text.isspace():
        return None
    try:
        row: Any = parse_json(text)
    except NotJsonError as error:
        raise RowError(f"is not JSON ({error}); write one object a line") from error
    if type(row) is not dict:
        kinds = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a truth value"}
        kind = kinds.get(type(row), "null")
        raise RowError(f"is JSON but not an object (it is {kind}); write one object a line")
    return row


# -- CSV and TSV ------------------------------------------------------------------------------------


def csv_rows(path: Path) -> Rows:
    """Comma-separated, quoted as RFC 4180 says, with a line of column names."""
    return _delimited(path, ",")


def tsv_rows(path: Path) -> Rows:
    """Tab-separated, else as CSV: a field that begins with a quote must end with one."""
    return _delimited(path, "\t")


def _delimited(path: Path, delimiter: str) -> Rows:
    name = str(path)

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        limit = csv.field_size_limit(LONGEST_LINE)
        try:
            yield from _delimited_rows(path, delimiter, bad)
        finally:
            csv.field_size_limit(limit)

    return Rows(name, read, header=1)


class _Lines:
    """Decoded lines for the csv module, which asks for as many as a record needs.

    A line that is not UTF-8 is passed on mended, and remembered until its record is complete. Of one that is
    too long it is not known whether it ends inside quotes, and so where the next record begins.
    """

    def __init__(self, path: Path) -> None:
        self._lines = byte_lines(path)
        self.name = str(path)
        self.number = 0
        self.error: RowError | None = None

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if len(line) > LONGEST_LINE:
            raise InputError(f"{TOO_LONG}; mend it", file=self.name, line=self.number)
        try:
            return decode(line, self.number)
        except RowError as error:
            self.error = error
            return line.decode("utf-8", "replace")


def _delimited_rows(path: Path, delimiter: str, bad: BadRows) -> Iterator[tuple[int, Row]]:
    """Each record under the number of its first line."""
    name = str(path)
    lines = _Lines(path)
    columns: list[str] = []
    for first, fields, error in _records(lines, delimiter):
        if not columns:
            if error is not None:
                raise InputError(error.reason, file=name, line=first)
            columns = unique_columns([field.strip() for field in fields], name, first)
        elif error is not None:
            bad.refuse(error, name, first)
        elif len(fields) != len(columns):
            reason = f"has {len(fields)} fields where the header has {len(columns)}"
            bad.refuse(RowError(reason), name, first)
        else:
            yield first, dict(zip(columns, fields, strict=True))


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str], RowError | None]]:
    """(first line, fields, what is wrong with the record or None); blank lines are passed over."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first, lines.error, fields = lines.number + 1, None, []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.number > first:  # where the next record begins cannot be known
                reason = f"a quote is opened here and does not match up to line {lines.number}"
                raise InputError(f"{reason}; mend it", file=lines.name, line=first) from error
            lines.error = lines.error or RowError(_csv_fault(error))
        if fields or lines.error is not None:
            yield first, fields, lines.error


def _csv_fault(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a line ends in CR alone; save the file with LF or CRLF at the ends of lines"
    if "field limit" in str(error):
        return TOO_LONG
    return "its quotes do not match"


# -- Parquet ----------------------------------------------------------------------------------------


def parquet_rows(path: Path) -> Rows:
    """Rows of a Parquet file, numbered from 1."""
    name = str(path)

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        import pyarrow.parquet as pq

        with open_bytes(path) as handle:
            try:
                file = pq.ParquetFile(_seekable(handle, path))
                unique_columns(file.schema_arrow.names, name)
                first = 1
                for batch in file.iter_batches(BATCH_ROWS):
                    yield from batch_rows(batch, first, name, bad)
                    first += batch.num_rows
            except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
                raise InputError(
                    "cannot be read as Parquet: it is another format, cut off or damaged", file=name
                ) from error

    return Rows(name, read)


def _seekable(handle: IO[bytes], path: Path) -> IO[bytes]:
    """The file itself; a packed one in memory, for going back in it would unpack it anew each time."""
    if isinstance(getattr(handle, "raw", None), io.FileIO):
        return handle
    whole = io.BytesIO()
    while piece := handle.read(_PIECE):
        whole.write(piece)
        if whole.tell() > _LARGEST_UNPACKED:
            raise InputError("holds more than 1 GiB; unpack it, for Parquet packs by itself", file=path)
    whole.seek(0)
    return whole
