"""Files that know their checksum, and what the system refuses."""

from __future__ import annotations

import errno
import io
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg.errors import DamagedError, HardnegError, OutOfMemoryError, StorageError
from hardneg.files import (
    is_whole,
    mapped_array,
    open_mapped,
    read_arrays,
    read_json,
    read_parquet,
    read_sealed_json,
    write_arrays,
    write_json,
    write_parquet,
    write_sealed_json,
)
from hardneg.refusals import plainly
from hardneg.seals import check_seal

TABLE = pa.table({"id": ["a", "b", None], "score": pa.array([0.5, None, -1], pa.float32())})


def test_a_sealed_table_is_an_ordinary_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_parquet(TABLE, path)
    assert check_seal(path)
    assert read_parquet(path).equals(TABLE) and pq.read_table(path).equals(TABLE)
    polars = pytest.importorskip("polars")
    assert polars.read_parquet(path)["score"].to_list() == [0.5, None, -1]


def test_a_table_without_a_seal_is_taken_as_it_is(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "old.parquet")
    assert not check_seal(tmp_path / "old.parquet")
    assert read_parquet(tmp_path / "old.parquet").equals(TABLE)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_table_and_no_json_holds_what_is_no_number(tmp_path: Path, bad: float) -> None:
    for column in (pa.array([1.0, bad]), pa.array([[1.0], [2.0, bad]])):
        with pytest.raises(HardnegError, match=r"table.parquet, column 'x', value \d: .* is no number"):
            write_parquet(pa.table({"x": column}), tmp_path / "table.parquet")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"x": bad}, tmp_path / "x.json")
    assert not list(tmp_path.iterdir())


def test_what_is_not_read_back_as_it_was_written_takes_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(path: Path, crc32: int, of: str) -> None:
        held = bytearray(path.read_bytes())
        held[10] ^= 1
        path.write_bytes(held)
        sealed(path, crc32, of)

    from hardneg import files

    sealed = files.seal_parquet
    monkeypatch.setattr(files, "seal_parquet", lossy)
    with pytest.raises(DamagedError, match="does not match its checksum"):
        write_parquet(TABLE, tmp_path / "table.parquet")
    assert not list(tmp_path.iterdir())


def test_json_that_is_not_read_back_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json({"depth": 7}, path)
    written = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: written(path, data.replace(b"100", b"101")))
    with pytest.raises(DamagedError, match=r"/a\.json: read back, is not what was written"):
        write_json({"depth": 100}, path)
    assert [one.read_text() for one in tmp_path.iterdir()] == ['{\n  "depth": 7\n}\n']


@pytest.mark.parametrize("how", ["a byte is another", "cut short"])
def test_arrays_that_are_not_read_back_take_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    save = np.savez

    def lossy(handle: BinaryIO, **arrays: Any) -> None:
        whole = io.BytesIO()
        save(whole, **arrays)
        held = whole.getvalue()
        place = held.index(np.arange(100).tobytes())
        changed = held[:place] + b"?" + held[place + 1 :] if how == "a byte is another" else held[:-30]
        handle.write(changed)

    monkeypatch.setattr(np, "savez", lossy)
    with pytest.raises(DamagedError, match=r"/a\.npz: read back, is not what was written"):
        write_arrays(tmp_path / "a.npz", "mark", values=np.arange(100))
    assert not list(tmp_path.iterdir())


# -- a sound file in another's place -----------------------------------------------------------------------

OTHER_PLACES = {"another mark": ("a", "mark of another"), "another name": ("b", "mark")}


@pytest.mark.parametrize("other", OTHER_PLACES)
@pytest.mark.parametrize("kind", ["parquet", "npz", "npy"])
def test_a_file_written_as_another_is_refused(tmp_path: Path, kind: str, other: str) -> None:
    def write(path: Path, mark: str) -> None:
        if kind == "parquet":
            write_parquet(TABLE, path, mark=mark)
        elif kind == "npz":
            write_arrays(path, mark, values=np.arange(3))
        else:
            with mapped_array(path, np.int16, (3,), mark) as out:
                out[:] = 7

    read = {"parquet": read_parquet, "npz": read_arrays, "npy": open_mapped}[kind]
    name, mark = OTHER_PLACES[other]
    path, foreign = tmp_path / f"a.{kind}", tmp_path / "other" / f"{name}.{kind}"
    write(path, "mark")
    foreign.parent.mkdir()
    write(foreign, mark)
    read(path, mark="mark")
    foreign.replace(path)
    read(path)  # sound as it is
    with pytest.raises(DamagedError, match=rf"/a\.{kind}: is not the file that was written here"):
        read(path, mark="mark")


def test_a_table_that_somebody_else_wrote_is_refused_where_ours_belongs(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE, path)
    assert read_parquet(path).equals(TABLE)
    assert not is_whole(path, "mark")
    with pytest.raises(DamagedError, match="it has no checksum: cut short, or not written by this version"):
        read_parquet(path, mark="mark")


@pytest.mark.parametrize("what", ["folder", "pipe"])
@pytest.mark.parametrize("name", ["a.parquet", "a.npz", "a.npy", "a.json"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str, what: str) -> None:
    """Who opens a pipe waits for a writer."""
    path = tmp_path / name
    path.mkdir() if what == "folder" else os.mkfifo(path)
    read = {".parquet": read_parquet, ".npz": read_arrays, ".npy": open_mapped, ".json": read_json}
    with pytest.raises(DamagedError, match=rf"{name}: is a {what}.*, not a file"):
        read[path.suffix](path)


def test_a_mapped_array_knows_its_checksum(tmp_path: Path) -> None:
    path, values = tmp_path / "a.npy", np.arange(12, dtype=np.int16).reshape(4, 3)
    with mapped_array(path, np.int16, (4, 3), "mark") as out:
        out[:] = values
    np.testing.assert_array_equal(open_mapped(path), values)
    np.testing.assert_array_equal(np.load(path), values)
    np.save(path, values)
    with pytest.raises(DamagedError, match="no checksum"):
        open_mapped(path)


def test_json_knows_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_json({"depth": 100}, path)
    assert read_sealed_json(path) == {"depth": 100}
    path.write_text(path.read_text().replace("100", "101"))
    with pytest.raises(DamagedError, match="does not match its checksum"):
        read_sealed_json(path)
    path.write_text('{"depth": 7}')
    assert read_sealed_json(path) == {"depth": 7}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"cannot be written \(no space left, [\d,]+ MB free\); make room there, or name"),
        (errno.EROFS, "Read-only file system.*name another folder"),
        (errno.EACCES, "Permission denied.*check that it is there and yours"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "the disk reports an error"),
    ],
)
def test_a_refusal_says_where_and_what_to_do(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(StorageError, match=said) as caught, plainly(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_numpy_could_not_write_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space left"), plainly(tmp_path / "file"):
        raise OSError("1000000 requested and 131056 written")


def test_memory_that_does_not_suffice_is_said() -> None:
    with pytest.raises(OutOfMemoryError, match=r"out of memory \(of 9 TiB\); .*--batch-size"), plainly():
        raise MemoryError("of 9 TiB")
