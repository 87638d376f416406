"""Vectors that the user brings along, matched by id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from hardneg.encode import load_own_vectors, own_vectors_fingerprint
from hardneg.errors import InputError
from hardneg.progress import Silent

VECTORS = np.array([[3, 4], [0, 2], [-1, 0], [6, 8]], np.float32)
IDS = ["d", "nan", "a", "07"]


def as_npy(folder: Path, stem: str, vectors: Any, ids: list[str]) -> None:
    np.save(folder / f"{stem}.npy", vectors)
    (folder / f"{stem}.ids.txt").write_text("".join(f"{name}\n" for name in ids), "utf-8")


def as_safetensors(folder: Path, stem: str, vectors: Any, ids: list[str]) -> None:
    save_file({"embeddings": np.asarray(vectors)}, folder / f"{stem}.safetensors", metadata={"made": "here"})
    (folder / f"{stem}.ids.json").write_text(json.dumps(ids), "utf-8")


def as_parquet(folder: Path, stem: str, vectors: Any, ids: list[str]) -> None:
    pq.write_table(pa.table({"id": ids, "vector": list(vectors)}), folder / f"{stem}.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    as_npy(tmp_path, "queries", np.eye(2, dtype=np.float32), ["q1", "q2"])
    as_npy(tmp_path, "documents", VECTORS, IDS)
    return tmp_path


@pytest.mark.parametrize("save", [as_npy, as_safetensors, as_parquet])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_matched_by_id_in_every_format(tmp_path: Path, save: Callable[..., None], dtype: str) -> None:
    save(tmp_path, "documents", VECTORS.astype(dtype), IDS)
    save(tmp_path, "queries", VECTORS.astype(dtype), IDS)
    found = load_own_vectors(tmp_path, "document", pa.chunked_array([["07", "a"], ["d", "nan"]]))
    assert found.shape == (4, 2)
    assert found.block(0, 4).dtype == np.float32
    np.testing.assert_array_equal(found.block(0, 4), VECTORS[[3, 2, 0, 1]])
    np.testing.assert_array_equal(found.block(1, 3), VECTORS[[2, 0]])
    np.testing.assert_array_equal(found.take(np.array([3, 0, 0], np.int32)), VECTORS[[1, 3, 3]])


def test_the_tables_own_order(folder: Path) -> None:
    found = load_own_vectors(folder, "document", IDS[:3])
    np.testing.assert_array_equal(found.block(0, 3), VECTORS[:3])
    np.testing.assert_array_equal(found.take(np.array([2, 1], np.int32)), VECTORS[[2, 1]])


@pytest.mark.parametrize("ids", [IDS, ["a", "d"]])
def test_npy_stays_on_disk(folder: Path, ids: list[str]) -> None:
    found = load_own_vectors(folder, "document", ids)
    assert isinstance(found._stored, np.memmap)


def test_cosine_divides_by_the_length(folder: Path) -> None:
    found = load_own_vectors(folder, "document", ["nan", "07", "d"], similarity="cosine")
    expected = np.array([[0, 2 / 2], [6 / 10, 8 / 10], [3 / 5, 4 / 5]], np.float32)
    np.testing.assert_array_equal(found.block(0, 3), expected)
    np.testing.assert_array_equal(found.take(np.array([2, 0], np.int32)), expected[[2, 0]])


def test_ids_as_npy(folder: Path) -> None:
    (folder / "documents.ids.txt").unlink()
    np.save(folder / "documents.ids.npy", np.array(IDS))
    np.testing.assert_array_equal(load_own_vectors(folder, "document", ["a"]).block(0, 1), VECTORS[2:3])


def test_ids_with_line_ends_of_windows_and_a_byte_order_mark(folder: Path) -> None:
    (folder / "documents.ids.txt").write_bytes("\ufeffd\r\nnan\r\na\r\n07\r\n".encode())
    np.testing.assert_array_equal(load_own_vectors(folder, "document", IDS).block(0, 4), VECTORS)


def test_vectors_of_no_row_are_passed_over_and_said(folder: Path) -> None:
    said: list[str] = []

    class Lines(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    load_own_vectors(folder, "document", ["a", "d"], progress=Lines())
    assert len(said) == 1
    assert "2 of 4 vectors belong to no row" in said[0]


def test_missing_ids_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no vector for 4 ids \('w', 'x', 'y', …\)") as caught:
        load_own_vectors(folder, "document", ["a", "w", "x", "y", "z"])
    assert caught.value.file == str(folder / "documents.npy")


@pytest.mark.parametrize(
    ("value", "what"), [([0, 0], "zero"), ([np.nan, 1], "NaN or infinite"), ([np.inf, 1], "NaN or infinite")]
)
def test_vectors_that_cannot_be_compared_are_named(folder: Path, value: list[float], what: str) -> None:
    vectors = VECTORS.copy()
    vectors[2] = value
    np.save(folder / "documents.npy", vectors)
    with pytest.raises(InputError, match=rf"vectors of 1 ids \('a'\) are {what}"):
        load_own_vectors(folder, "document", ["d", "a"])
    assert load_own_vectors(folder, "document", ["d", "07"]).shape == (2, 2)  # it is not among those used


def test_dimensions_must_agree(folder: Path) -> None:
    np.save(folder / "queries.npy", np.ones((2, 3), np.float32))
    for kind, ids in (("document", ["a"]), ("query", ["q1"])):
        with pytest.raises(InputError, match="numbers a vector"):
            load_own_vectors(folder, kind, ids)  # type: ignore[arg-type]


def broken(folder: Path, how: str) -> None:
    documents = folder / "documents.npy"
    ids = folder / "documents.ids.txt"
    if how == "no file":
        documents.unlink()
    elif how == "no ids":
        ids.unlink()
    elif how == "too few ids":
        ids.write_text("d\na\n")
    elif how == "an id twice":
        ids.write_text("d\na\nd\nb\n")
    elif how == "pickled":
        np.save(documents, np.array([{}, {}], object), allow_pickle=True)
    elif how == "whole numbers":
        np.save(documents, np.ones((4, 2), np.int64))
    elif how == "one dimension":
        np.save(documents, np.ones(4, np.float32))
    elif how == "cut short":
        documents.write_bytes(documents.read_bytes()[:-4])
    elif how == "two formats":
        as_parquet(folder, "documents", VECTORS, IDS)
    elif how == "not UTF-8":
        ids.write_bytes(b"\xff\xfe\n")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no file", "holds no documents.npy or documents.safetensors or documents.parquet"),
        ("no ids", "has no ids beside it"),
        ("too few ids", "2 ids for 4 vectors"),
        ("an id twice", r"1 ids \('d'\) stand more than once"),
        ("pickled", "cannot be read as .npy"),
        ("whole numbers", r"holds int64 of shape \(4, 2\)"),
        ("one dimension", r"of shape \(4,\)"),
        ("cut short", "cannot be read as .npy"),
        ("two formats", "holds both"),
        ("not UTF-8", "is not UTF-8"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(folder: Path, how: str, message: str) -> None:
    broken(folder, how)
    with pytest.raises(InputError, match=message) as caught:
        load_own_vectors(folder, "document", ["d"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"])
def test_damaged_safetensors(folder: Path, content: bytes) -> None:
    (folder / "documents.npy").unlink()
    (folder / "documents.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_own_vectors(folder, "document", ["d"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["d"]}, "columns `id` and `vector`"),
        ({"vector": [[1.0]]}, "columns `id` and `vector`"),
        ({"id": ["d", "a"], "vector": [[1.0], [1.0, 2.0]]}, "not of one length"),
        ({"id": ["d"], "vector": [[1.0, None]]}, "holds nulls"),
        ({"id": ["d"], "vector": ["text"]}, "no lists of numbers"),
    ],
)
def test_parquet_of_another_shape(folder: Path, table: dict[str, Any], message: str) -> None:
    (folder / "documents.npy").unlink()
    pq.write_table(pa.table(table), folder / "documents.parquet")
    with pytest.raises(InputError, match=message):
        load_own_vectors(folder, "document", ["d"])


def test_the_fingerprint_follows_the_content(folder: Path) -> None:
    before = own_vectors_fingerprint(folder, "dot")
    assert own_vectors_fingerprint(folder, "cosine") != before
    (folder / "notes.txt").write_text("no part of it")
    assert own_vectors_fingerprint(folder, "dot") == before
    (folder / "documents.ids.txt").write_text("d\nnan\na\n08\n")
    assert own_vectors_fingerprint(folder, "dot") != before
