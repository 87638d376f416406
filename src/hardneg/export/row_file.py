"""Rows that people look at or fill in, as CSV, JSON lines or Parquet, by the file's suffix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import UsageError
from hardneg.export.neutralise import neutralised
from hardneg.export.read_back import Passed, check_lines
from hardneg.export.rendering import csv_lines, decimals, header, json_lines
from hardneg.files import replacing, write_parquet
from hardneg.named_files import kind_of_path

SUFFIXES = (".csv", ".jsonl", ".parquet")


def check_suffix(path: Path) -> None:
    """Raises UsageError for a name that says no format, InputError for a pipe or a device."""
    if path.suffix not in SUFFIXES or kind_of_path(path) == "folder":
        raise UsageError(f"{path}: give a file that ends in {', '.join(SUFFIXES)}")


def write_rows(table: pa.Table, path: Path) -> None:
    """Texts, numbers and truth values, nothing nested; the file is whole, and read back, or not there.

    In CSV what is null is empty, and cells are marked where they must be (`spreadsheet.marked_cell`). Raises
    UsageError as `check_suffix`, StorageError as `replacing`, DamagedError where the file is not read back
    as it was written.
    """
    check_suffix(path)
    if path.suffix == ".parquet":
        write_parquet(table, path)
        return
    as_json, written = path.suffix == ".jsonl", Passed()
    with replacing(path, "choose another file") as temporary:
        with temporary.open("wb") as handle:
            for piece in written.counted(json_lines(table) if as_json else _csv(table)):
                handle.write(piece)
        check_lines(temporary, path, written, table.column_names if as_json else None)


def _csv(table: pa.Table) -> Iterator[bytes | pa.Buffer]:
    columns = []
    for column in table.columns:
        values = column.combine_chunks()
        texts = pc.fill_null(decimals(values).cast(pa.large_string()), "")
        is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        columns.append(texts.dictionary_encode() if is_text else texts)
    safe, _ = neutralised(pa.table(columns, names=table.column_names))
    yield header(safe, ",")
    yield from csv_lines(safe)
