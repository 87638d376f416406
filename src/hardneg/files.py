"""Files that are either whole or not there: written under a temporary name, read back, flushed, then renamed.

What cannot be written raises StorageError, what is not as it was written DamagedError.

A file of a run says what it is: its name, and a `mark` of what it was made from or of where it belongs. Who
reads it says the same; another file, however sound, is refused.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hardneg.errors import DamagedError, HardnegError
from hardneg.fingerprints import digest
from hardneg.leftovers import removed_if_ended
from hardneg.refusals import ELSEWHERE, is_damage, plainly, refusal
from hardneg.seals import (
    ANOTHERS,
    NO_SEAL,
    Summed,
    check_seal,
    identity,
    name_of,
    open_stored,
    seal_array,
    seal_parquet,
)

TEMPORARY = ".tmp-"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UNPACKED_AT_ONCE = 1 << 20
ROWS_A_BATCH = 1 << 14
"""That Parquet encodes at once: a third less work than in batches of 1,024."""
LARGEST_DICTIONARY = 1 << 30  # bytes: Parquet's own counts are of 31 bits


CHECKSUM = "checksum"
"""Key of a JSON object that knows its own digest."""


@contextmanager
def replacing(path: Path, elsewhere: str = ELSEWHERE) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends well, else remove it.

    elsewhere  what an error says about choosing another place
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    with plainly(path, elsewhere), removed_if_ended(temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, elsewhere: str = ELSEWHERE) -> Iterator[Path]:
    """The same of a folder: an older one is there until the new one is whole, or for good."""
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    older = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    with plainly(path, elsewhere), removed_if_ended(temporary):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb+") as handle:
                        os.fsync(handle.fileno())
            if path.exists():
                path.replace(older)
            try:
                temporary.replace(path)
            except OSError:
                if older.exists():
                    older.replace(path)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(older, ignore_errors=True)


def write_whole(data: bytes, path: Path) -> None:
    """Raises DamagedError where it is not read back as it was written."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
        if temporary.read_bytes() != data:
            raise _another(path)


def _another(path: Path) -> DamagedError:
    return DamagedError(path, "read back, is not what was written", "look after the disk")


# -- JSON -------------------------------------------------------------------------------------------------


def write_json(value: Any, path: Path) -> None:
    """Sorted keys, UTF-8, and never NaN or infinity. What UTF-8 has not (a file's name may) is escaped."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(text.encode("utf-8", "backslashreplace"), path)


def read_json(path: Path) -> Any:
    """Raises DamagedError where it is no JSON, StorageError where it cannot be read."""
    with plainly(path), open_stored(path) as handle:
        data = handle.read()
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, f"cannot be read as JSON ({error})") from error


def write_sealed_json(value: Mapping[str, Any], path: Path) -> None:
    """The same of an object, with its digest under CHECKSUM."""
    write_json({**value, CHECKSUM: digest(value)}, path)


def read_sealed_json(path: Path) -> dict[str, Any]:
    """What `write_sealed_json` wrote. An object without CHECKSUM is taken as it is.

    Raises DamagedError where the digest is another's, or where it is no object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedError(path, "is no JSON object")
    kept = value.pop(CHECKSUM, None)
    if kept is not None and kept != digest(value):
        raise DamagedError(path, "does not match its checksum")
    return value


# -- tables -----------------------------------------------------------------------------------------------


@contextmanager
def parquet_writer(
    path: Path, schema: pa.Schema, *, of: str = "", **options: Any
) -> Iterator[pq.ParquetWriter]:
    """Writes the file at `path` itself; when the block ends well it is sealed and has been read back.

    of       what the file is
    options  of pyarrow.parquet.ParquetWriter
    """
    with path.open("wb") as handle:
        sink = Summed(handle)
        with pq.ParquetWriter(sink, schema, write_page_checksum=True, **options) as writer:
            yield writer
    seal_parquet(path, sink.crc32, of)
    check_seal(path, of)


def write_parquet(
    table: pa.Table,
    path: Path,
    row_group_size: int | None = None,
    filtered_by: Sequence[str] | None = None,
    mark: str = "",
) -> None:
    """filtered_by: columns that somebody will look for values in; None: any. Only theirs get statistics.

    Each row group repeats the dictionaries whole, so a row_group_size makes large ones worth their while.
    Before the file takes its name it is read back: its bytes, its schema and its number of rows. Raises
    HardnegError for NaN and infinity.
    """
    refuse_not_finite(table, str(path))
    # Floats hardly ever repeat: a dictionary of them would be begun and thrown away.
    repeating = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    with replacing(path) as temporary:
        with parquet_writer(
            temporary,
            table.schema,
            of=_named(path, mark) or "",
            compression="zstd",
            use_dictionary=repeating,
            dictionary_pagesize_limit=None if row_group_size is None else LARGEST_DICTIONARY,
            write_statistics=True if filtered_by is None else list(filtered_by),
            write_batch_size=ROWS_A_BATCH,
        ) as writer:
            writer.write_table(table, row_group_size=row_group_size)
        check_written(temporary, table.schema.names, table.num_rows)


def check_written(path: Path, names: Sequence[str], rows: int) -> None:
    """Raises DamagedError where a Parquet file that was just written has other columns or rows."""
    found = read_metadata(path)
    if found.schema.to_arrow_schema().names != list(names) or found.num_rows != rows:
        raise DamagedError(path, f"holds {found.num_rows} rows, not the {rows} that were written")


def refuse_not_finite(table: pa.Table, what: str) -> None:
    """Raises HardnegError for NaN or infinity in a column of numbers: null says that there is none.

    Numbers in lists and objects are looked at too.
    """
    for name in table.column_names:
        for column in _leaves(table[name]):
            if not pa.types.is_floating(column.type):
                continue
            finite = pc.is_finite(column)
            if pc.all(finite).as_py() is False:
                row = pc.index(finite, False).as_py()
                raise HardnegError(
                    f"{what}, column {name!r}, value {row}: {column[row].as_py()} is no number to keep; give "
                    "null for none"
                )


def _leaves(column: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    """The column without the lists and objects around its values."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        yield from _leaves(pc.list_flatten(column))
    elif pa.types.is_struct(column.type):
        for member in column.flatten():
            yield from _leaves(member)
    else:
        yield column


def remove(path: Path) -> None:
    """A file, a link, or a folder with all that is in it; what is gone already is no matter."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _named(path: Path, mark: str) -> str | None:
    """What the file at this path is; None where nobody says."""
    return name_of(path, mark) if mark else None


def read_parquet(path: Path, columns: list[str] | None = None, mark: str = "") -> pa.Table:
    """Raises DamagedError where the file is not as it was written: all of it is compared with its seal."""
    # Not by read_table, which first loads pyarrow's datasets and pandas: half a second in each process.
    with parquet_file(path, mark) as file:
        table = file.read(columns)
        return table if columns is None else table.select(columns)


def read_parquet_where(path: Path, column: str, value: Any, mark: str = "") -> pa.Table:
    """The rows with this value. Raises what `read_parquet` raises, in every case."""
    try:
        check_seal(path, _named(path, mark))
        return pq.read_table(path, filters=pc.field(column) == value, page_checksum_verification=True)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise _unreadable(path, error, " as Parquet") from error


def is_whole(path: Path, mark: str = "") -> bool:
    """Whether the Parquet file is there and as it was written: one pass over it."""
    try:
        check_seal(path, _named(path, mark))
        read_metadata(path)
    except (OSError, DamagedError):
        return False
    return True


@contextmanager
def parquet_file(path: Path, mark: str = "") -> Iterator[pq.ParquetFile]:
    """The open file, compared with its seal before. Raises what `read_parquet` raises, in the block too."""
    try:
        check_seal(path, _named(path, mark))
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            yield file
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise _unreadable(path, error, " as Parquet") from error


def read_metadata(path: Path) -> pq.FileMetaData:
    """Schema and number of rows, without the rows. Raises DamagedError."""
    try:
        open_stored(path).close()
        return pq.read_metadata(path, memory_map=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error, " as Parquet") from error


def _unreadable(path: Path, error: Exception, how: str = "") -> HardnegError:
    """What is wrong with the file, or what the system refuses."""
    if isinstance(error, FileNotFoundError):
        return DamagedError(path, "is gone", "run again: what made it makes it again")
    if isinstance(error, OSError) and not is_damage(error):
        return refusal(error)
    return DamagedError(path, f"cannot be read{how} ({_first_line(error)})")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


# -- arrays -----------------------------------------------------------------------------------------------


_IDENTITY = "hardneg.identity"


def write_arrays(path: Path, mark: str, /, **arrays: Any) -> None:
    """Arrays by name, as .npz: zip keeps a checksum of each, and all are compared with theirs."""
    arrays[_IDENTITY] = np.frombuffer(identity(name_of(path, mark)), np.uint8)
    with replacing(path) as temporary:
        with temporary.open("wb") as handle:
            np.savez(handle, **arrays)
        if not _is_sound_archive(temporary):
            raise _another(path)


_HEADERS = threading.Lock()


def load_array(file: Path | IO[bytes], *, mapped: bool = False) -> NDArray[Any]:
    """An array from .npy, without pickle; errors are numpy's.

    numpy has Python parse the header, and Python 3.11 miscounts (a SystemError) where two threads parse.
    """
    with _HEADERS:
        found: NDArray[Any] = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
    return found


def read_arrays(path: Path, mark: str = "") -> dict[str, NDArray[Any]]:
    """What `write_arrays` wrote. Raises DamagedError where it is not as it was written."""
    expected = _named(path, mark)
    try:
        with open_stored(path) as handle, _HEADERS, np.load(handle, allow_pickle=False) as stored:
            if expected is not None and _IDENTITY not in stored.files:
                raise DamagedError(path, NO_SEAL)
            if expected is not None and stored[_IDENTITY].tobytes() != identity(expected):
                raise DamagedError(path, ANOTHERS)
            return {name: stored[name] for name in stored.files if name != _IDENTITY}
    except _NO_ARCHIVE as error:
        raise _unreadable(path, error) from error


# What zipfile and numpy raise for damaged files, wherever the damage is.
_NO_ARCHIVE = (
    OSError,
    KeyError,
    ValueError,
    EOFError,
    BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    AttributeError,
)


def _is_sound_archive(path: Path) -> bool:
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except _NO_ARCHIVE:
        return False


@contextmanager
def mapped_array(path: Path, dtype: Any, shape: tuple[int, ...], mark: str) -> Iterator[NDArray[Any]]:
    """A .npy file to be filled in place; when the block ends well it is sealed and takes its name.

    Its room is taken first: a disk that fills up under a mapping would end the process without a word.
    """
    create: Any = np.lib.format.open_memmap
    with replacing(path) as temporary:
        out = create(temporary, "w+", np.dtype(dtype), shape)
        if hasattr(os, "posix_fallocate") and temporary.stat().st_size:
            with temporary.open("rb+") as handle:
                os.posix_fallocate(handle.fileno(), 0, temporary.stat().st_size)
        yield out
        out.flush()
        seal_array(temporary, _named(path, mark) or "")


def open_mapped(path: Path, mark: str = "") -> NDArray[Any]:
    """What `mapped_array` made, mapped. Raises DamagedError where it is not as it was written."""
    try:
        if not check_seal(path, _named(path, mark)):
            raise DamagedError(path, NO_SEAL)
        return load_array(path, mapped=True)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from error


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacked where it holds gzip or zstd, whatever its name.

    What is damaged or cut off raises OSError, EOFError or zlib.error while it is read.
    """
    with path.open("rb") as handle:
        start = handle.read(4)
    if start.startswith(_GZIP):
        return io.BufferedReader(gzip.open(path), _UNPACKED_AT_ONCE)
    if start == _ZSTD:  # Arrow's reader notices a cut-off file; zstandard's takes it for a whole one
        unpacked = pa.CompressedInputStream(pa.OSFile(os.fspath(path)), "zstd")
        return io.BufferedReader(unpacked, _UNPACKED_AT_ONCE)
    return path.open("rb")
