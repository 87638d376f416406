"""The vector store: appended to by many, seen whole or not at all, and never wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.encode import Space, StoredVectors, VectorStore, store_root, text_hashes
from hardneg.encode.hashes import HASH, byte_lengths, first_places
from hardneg.errors import StorageError, StoreError

UNKNOWN = -1


def put(space: Space, texts: list[str], vectors: np.ndarray) -> str:
    return space.append(text_hashes(texts, ""), vectors, np.full(len(texts), UNKNOWN, np.int8))


def one_shard(tmp_path: Path, dtype: str = "float32") -> tuple[Space, np.ndarray]:
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    space = VectorStore(tmp_path, dtype).space({"model": "m"})
    put(space, ["a", "b", "c", "d"], vectors)
    return space, vectors


# -- hashes ----------------------------------------------------------------------------------------------


def test_prompt_and_text_are_told_apart() -> None:
    pairs = [("a", "bc"), ("ab", "c"), ("", "abc"), ("a\0", "bc"), ("a", "\0bc"), ("abc", "")]
    hashes = text_hashes([text for _, text in pairs], [prompt for prompt, _ in pairs])
    assert len(np.unique(hashes)) == len(pairs)


def test_hashes_do_not_depend_on_how_arrow_holds_the_texts() -> None:
    texts = ["", "ä\0b", "", "日本", "x" * 1000, ""]
    expected = text_hashes(texts, "p: ")
    whole = pa.array(["skip", *texts, "skip"], pa.string())
    chunked = pa.chunked_array([whole[1:3], whole[3:3], whole[3:7]])
    assert (text_hashes(chunked, "p: ") == expected).all()
    assert (text_hashes(chunked, ["p: "] * 6) == expected).all()
    assert byte_lengths(chunked.cast(pa.large_string())).tolist() == [0, 4, 0, 6, 1000, 0]


@given(st.lists(st.integers(0, 5), max_size=30))
def test_first_places(values: list[int]) -> None:
    first, own = first_places(text_hashes([str(value) for value in values], ""))
    assert first.tolist() == sorted({values.index(value) for value in values})
    assert [values[first[place]] for place in own] == values


# -- lookup ----------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20), st.data())
def test_lookup_is_right_even_where_halves_of_hashes_agree(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Hashes drawn from 16 values whose upper halves collide all the time; the first shard wins."""
    space = VectorStore(tmp_path_factory.mktemp("store")).space({})
    hashes = np.array(pairs, HASH)
    cut = data.draw(st.integers(0, len(pairs)))
    for part in (hashes[:cut], hashes[cut:]):
        number = {"a": 0.0}
        vectors = np.array([[float(h["high"]), float(h["low"]), number["a"]] for h in part], np.float32)
        space.append(part, vectors.reshape(-1, 3), np.zeros(len(part), np.int8))
    asked = np.array([(high, low) for high in range(5) for low in range(5)], HASH)
    found = space.lookup(asked)
    assert found.missing.tolist() == [(h["high"].item(), h["low"].item()) not in pairs for h in asked]
    for place in np.flatnonzero(~found.missing):
        vector = space.shard(found.stems[found.shard[place]])[found.row[place]]
        assert vector[:2].tolist() == [float(asked[place]["high"]), float(asked[place]["low"])]
        in_first = tuple(asked[place].tolist()) in pairs[:cut]
        assert found.shard[place] == (0 if in_first else 1)


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    space = VectorStore(tmp_path).space({})
    assert space.lookup(text_hashes(["a"], "")).missing.all()
    assert space.dimension is None


def test_vectors_in_any_order_and_repeated(tmp_path: Path) -> None:
    space, vectors = one_shard(tmp_path)
    more = np.full((1, 3), 7, np.float32)
    put(space, ["e"], more)
    stored = StoredVectors.open(space.folder, text_hashes(["d", "e", "a", "a", "b", "c"], ""))
    expected = np.concatenate([vectors[3:4], more, vectors[[0, 0, 1, 2]]])
    assert stored.shape == (6, 3)
    for start in range(7):
        for stop in range(start, 7):
            np.testing.assert_array_equal(stored.block(start, stop), expected[start:stop])
    np.testing.assert_array_equal(stored.take(np.array([5, 0, 0, 1], np.int32)), expected[[5, 0, 0, 1]])
    assert stored.take(np.zeros(0, np.int32)).shape == (0, 3)


def test_float16_is_given_back_as_float32(tmp_path: Path) -> None:
    space, vectors = one_shard(tmp_path, "float16")
    assert np.load(next(space.folder.glob("*.npy"))).dtype == np.float16
    stored = StoredVectors.open(space.folder, text_hashes(["a", "b"], ""))
    block = stored.block(0, 2)
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, vectors[:2])


def test_what_does_not_fit_float16_is_refused(tmp_path: Path) -> None:
    space = VectorStore(tmp_path, "float16").space({})
    with pytest.raises(StoreError, match="does not fit into float16"):
        put(space, ["a"], np.array([[70_000.0]], np.float32))
    assert space.lookup(text_hashes(["a"], "")).missing.all()


def test_many_shards_do_not_use_up_the_file_handles(tmp_path: Path) -> None:
    space = VectorStore(tmp_path).space({})
    for number in range(140):
        put(space, [str(number)], np.array([[float(number)]], np.float32))
    stored = StoredVectors.open(space.folder, text_hashes([str(n) for n in range(140)], ""))
    np.testing.assert_array_equal(stored.block(0, 140)[:, 0], np.arange(140))
    np.testing.assert_array_equal(stored.block(0, 140)[:, 0], np.arange(140))
    assert (
        len(list(Path("/proc/self/fd").iterdir())) < 100 + 140 * 2 if Path("/proc/self/fd").exists() else True
    )


# -- keys --------------------------------------------------------------------------------------------------


def test_another_fingerprint_or_dtype_is_another_folder(tmp_path: Path) -> None:
    folders = {
        VectorStore(tmp_path, dtype).space(fingerprint).folder
        for dtype in ("float32", "float16")
        for fingerprint in ({"model": "a"}, {"model": "b"}, {"model": "a", "max_length": 5})
    }
    assert len(folders) == 6
    again = VectorStore(tmp_path).space({"max_length": 5, "model": "a"}).folder
    assert again in folders


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "env"))
    assert store_root() == tmp_path / "env"
    assert store_root(str(tmp_path / "flag")) == tmp_path / "flag"
    monkeypatch.delenv("HARDNEG_CACHE")
    assert store_root().name == "hardneg"


# -- damage --------------------------------------------------------------------------------------------------


def test_a_flipped_bit_is_found_before_a_vector_is_used(tmp_path: Path) -> None:
    space, _ = one_shard(tmp_path)
    path = next(space.folder.glob("*.npy"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    stored = StoredVectors.open(space.folder, text_hashes(["a"], ""))
    with pytest.raises(StoreError, match=r"1 of 4 vectors do not match.*remove it and .*run again") as caught:
        stored.block(0, 1)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("how", ["gone", "cut short"])
def test_texts_of_a_lost_shard_count_as_missing(tmp_path: Path, how: str) -> None:
    space, _ = one_shard(tmp_path)
    path = next(space.folder.glob("*.npy"))
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    fresh = Space(space.folder)
    assert fresh.lookup(text_hashes(["a", "b"], "")).missing.all()
    assert fresh.lost == [path.stem]
    with pytest.raises(StoreError, match="holds no vector of 2 of 2 texts"):
        StoredVectors.open(space.folder, text_hashes(["a", "b"], ""))


def test_a_damaged_key_table_is_named(tmp_path: Path) -> None:
    space, _ = one_shard(tmp_path)
    path = next(space.folder.glob("*.keys.parquet"))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match="remove it and run again") as caught:
        Space(space.folder).lookup(text_hashes(["a"], ""))
    assert str(path) in str(caught.value)


def test_a_shard_without_keys_and_temporary_files_are_not_seen(tmp_path: Path) -> None:
    """What a process killed between its two renames, or before them, leaves behind."""
    space, _ = one_shard(tmp_path)
    next(space.folder.glob("*.keys.parquet")).unlink()
    (space.folder / ".tmp-00000000-x.keys.parquet").write_bytes(b"half")
    assert Space(space.folder).lookup(text_hashes(["a"], "")).missing.all()


def test_a_removed_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no part of a vector store any more"):
        StoredVectors.open(tmp_path / "gone", text_hashes(["a"], ""))


def test_a_store_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "vectors").write_text("a file in the way")
    with pytest.raises(StorageError, match="cannot be written.*HARDNEG_CACHE"):
        VectorStore(tmp_path).space({})


# -- two at once ---------------------------------------------------------------------------------------------

WRITER = """
    import sys
    import numpy as np
    from hardneg.encode import VectorStore, text_hashes
    number, root = int(sys.argv[1]), sys.argv[2]
    space = VectorStore(root).space({"model": "m"})
    for step in range(20):
        texts = [f"both {step}", f"{number} {step}"]
        vectors = np.array([[0, step], [number, step]], np.float32)
        space.append(text_hashes(texts, ""), vectors, np.zeros(2, np.int8))
        assert not space.lookup(text_hashes(texts, "")).missing.any()
"""


def test_two_processes_append_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER)]
    writers = [subprocess.Popen([*command, str(number), str(tmp_path)]) for number in (1, 2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    space = VectorStore(tmp_path).space({"model": "m"})
    for number, word in ((0, "both"), (1, "1"), (2, "2")):
        stored = StoredVectors.open(space.folder, text_hashes([f"{word} {step}" for step in range(20)], ""))
        np.testing.assert_array_equal(stored.block(0, 20), [[number, step] for step in range(20)])
    assert not list(space.folder.glob(".tmp-*"))


def test_what_a_model_is_called_need_not_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors are read from a cache that can only be read."""

    def refused(*_: object) -> None:
        raise StorageError("read-only")

    folder = VectorStore(tmp_path).space({"model": "a"}).folder
    monkeypatch.setattr("hardneg.encode.store.write_json", refused)
    assert VectorStore(tmp_path).space({"model": "a"}, "its name").folder == folder
