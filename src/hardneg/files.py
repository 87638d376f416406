"""Files that are either whole or not there: written under a temporary name, flushed, then renamed."""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hardneg.errors import StoreError

TEMPORARY = ".tmp-"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UNPACKED_AT_ONCE = 1 << 20
ROWS_A_BATCH = 1 << 14
"""That Parquet encodes at once: a third less work than in batches of 1,024."""
LARGEST_DICTIONARY = 1 << 30  # bytes: Parquet's own counts are of 31 bits


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends well, else remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(value: Any, path: Path) -> None:
    """Sorted keys, UTF-8, and never NaN or infinity."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
        )


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read as JSON ({error}); remove it and run again") from error


def write_parquet(
    table: pa.Table,
    path: Path,
    row_group_size: int | None = None,
    filtered_by: Sequence[str] | None = None,
) -> None:
    """filtered_by: columns that somebody will look for values in; None: any. Only theirs get statistics.

    Each row group repeats the dictionaries whole, so a row_group_size makes large ones worth their while.
    """
    # Floats hardly ever repeat: a dictionary of them would be begun and thrown away.
    repeating = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    with replacing(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            row_group_size=row_group_size,
            use_dictionary=repeating,
            dictionary_pagesize_limit=None if row_group_size is None else LARGEST_DICTIONARY,
            write_statistics=True if filtered_by is None else list(filtered_by),
            write_batch_size=ROWS_A_BATCH,
        )


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    # Not by read_table, which first loads pyarrow's datasets and pandas: half a second in each process.
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            table = file.read(columns)
        return table if columns is None else table.select(columns)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise StoreError(f"{path}: cannot be read as Parquet ({error}); remove it and run again") from error


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
