"""One stored file: whether it is as it was written, of its schema, and its numbers finite."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from hardneg.errors import DamagedError, HardnegError, OutOfMemoryError, StorageError
from hardneg.files import (
    CHECKSUM,
    open_mapped,
    parquet_file,
    read_arrays,
    read_json,
    read_sealed_json,
    refuse_not_finite,
)
from hardneg.plan.checkup.findings import What
from hardneg.refusals import plainly
from hardneg.seals import open_stored

Fault = tuple[What, str]
"""What kind of fault, and what is wrong."""
_ROWS_AT_ONCE = 1 << 20


def fault_of(path: Path, schema: pa.Schema | None = None, mark: str = "") -> Fault | None:
    """What is wrong with a file, told by its suffix how to read it; None: nothing.

    schema  of a table: columns that must be there, with these types
    mark    what the file must be marked with; "": anything
    """
    try:
        with plainly():
            return _fault(path, schema, mark)
    except DamagedError as damage:
        return "damaged", damage.what
    except (StorageError, OutOfMemoryError) as error:
        return "unreadable", str(error)


def _fault(path: Path, schema: pa.Schema | None, mark: str) -> Fault | None:
    if path.suffix == ".parquet":
        return _fault_of_table(path, schema, mark)
    if path.suffix == ".npz":
        read_arrays(path, mark)
    elif path.suffix == ".npy":
        open_mapped(path, mark)
    elif path.suffix == ".json":
        read_sealed_json(path) if CHECKSUM in _keys(path) else read_json(path)
    elif path.suffix == ".jsonl":
        _read_lines(path)
    return None


def _fault_of_table(path: Path, schema: pa.Schema | None, mark: str) -> Fault | None:
    with parquet_file(path, mark) as file:
        found = file.schema_arrow
        for field in schema or ():
            if field.name not in found.names:
                return "damaged", f"has no column {field.name!r}"
            if found.field(field.name).type != field.type:
                return "damaged", f"column {field.name!r} is {found.field(field.name).type}, not {field.type}"
        names = [one.name for one in found if pa.types.is_floating(one.type)]
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=names) if names else ():
            try:
                refuse_not_finite(pa.table(batch), "the table")
            except HardnegError as error:
                return "not finite", str(error)
    return None


def _keys(path: Path) -> set[str]:
    value = read_json(path)
    return set(value) if isinstance(value, dict) else set()


def _read_lines(path: Path) -> None:
    try:
        with open_stored(path) as lines:
            for line in lines:
                json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, f"holds a line that is no JSON ({error})") from error
