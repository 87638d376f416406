"""Encoding a column of texts: each distinct one once, resumable, and the cache never lies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hardneg.config import EncodeConfig
from hardneg.encode import DenseEncoder, StoredVectors, VectorStore, encode_texts, open_encoder, text_hashes
from hardneg.encode import calls as calls_module
from hardneg.encode import dense as dense_module
from hardneg.encode import encode as encode_module
from hardneg.encode import plan as plan_module
from hardneg.encode.plan import ShardPlan
from hardneg.errors import InputError, ModelError
from hardneg.progress import Silent


class Counting:
    """An encoder that counts: a text's vector is (letters, prompt's letters, calls so far)."""

    name = "counting"
    dimension = 3
    similarity = "dot"

    def __init__(self, **fingerprint: Any) -> None:
        self.seen: list[tuple[str, str]] = []
        self._fingerprint = fingerprint

    def fingerprint(self, kind: str) -> Mapping[str, Any]:
        return {"encoder": "counting", **self._fingerprint}

    def prompt(self, kind: str) -> str:
        return "q: " if kind == "query" else ""

    def encode(self, texts: Sequence[str], kind: str, prompt: str) -> Any:
        self.seen += [(prompt, text) for text in texts]
        return np.array([[len(text), len(prompt), 1] for text in texts], np.float32)


class Lines(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "cache")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "TEXTS_A_SHARD", 16)


# -- once ------------------------------------------------------------------------------------------------


def test_twins_are_encoded_once_and_nothing_twice(store: VectorStore) -> None:
    encoder = Counting()
    column = pa.chunked_array([["bb", "a"], ["bb", "", "a", "bb"]])
    done = encode_texts(encoder, column, "document", store=store)
    assert sorted(encoder.seen) == [("", ""), ("", "a"), ("", "bb")]
    assert (done.encoded, done.reused, done.truncated) == (3, 0, None)
    assert done.vectors.block(0, 6)[:, 0].tolist() == [2, 1, 2, 0, 1, 2]
    again = encode_texts(encoder, ["a", "new"], "document", store=store)
    assert (again.encoded, again.reused) == (1, 1)
    assert len(encoder.seen) == 4


def test_prompts_of_the_encoder_and_of_the_rows(store: VectorStore) -> None:
    encoder = Counting()
    prompts = pa.chunked_array([[None, "own prompt ", "", None]])
    done = encode_texts(encoder, ["x", "x", "x", "x"], "query", store=store, prompts=prompts)
    assert sorted(encoder.seen) == [("", "x"), ("own prompt ", "x"), ("q: ", "x")]
    assert done.vectors.block(0, 4)[:, 1].tolist() == [3, 11, 0, 3]
    assert done.example == "q: x"
    with pytest.raises(InputError, match="2 prompts for 1 texts"):
        encode_texts(encoder, ["x"], "query", store=store, prompts=["a", "b"])


def test_no_texts(store: VectorStore) -> None:
    done = encode_texts(Counting(), pa.chunked_array([], pa.string()), "document", store=store)
    assert (done.vectors.shape, done.encoded, done.reused, done.example) == ((0, 3), 0, 0, "")
    assert done.vectors.block(0, 0).shape == (0, 3)


def test_a_null_is_refused(store: VectorStore) -> None:
    with pytest.raises(InputError, match="document row 1 is null"):
        encode_texts(Counting(), pa.chunked_array([["a", None]]), "document", store=store)


def test_vectors_are_found_again_without_the_encoder(store: VectorStore, small_shards: None) -> None:
    texts = [f"text {'x' * number}" for number in range(50)]
    done = encode_texts(Counting(), texts, "query", store=store)
    again = StoredVectors.open(done.folder, text_hashes(texts, "q: "))
    np.testing.assert_array_equal(again.block(0, 50), done.vectors.block(0, 50))


def test_truncated_texts_are_counted_once_and_remembered(
    tiny: Path, config: EncodeConfig, store: VectorStore
) -> None:
    texts = ["cell " * 20, "gene", "cell " * 20, "drug " * 15]
    for _ in range(2):
        done = encode_texts(open_encoder(tiny, config), texts, "document", store=store)
        assert done.truncated == 2
    assert done.reused == 3


# -- shards ----------------------------------------------------------------------------------------------


def test_shards_are_cut_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "TEXTS_A_SHARD", 3)
    monkeypatch.setattr(plan_module, "BYTES_A_SHARD", 10)
    lengths = np.array([1, 1, 1, 1, 99, 6, 4, 1, 0])
    missing = np.array([True] * 9)
    missing[1] = False
    parts = ShardPlan.of(missing, lengths).parts()
    assert [part.tolist() for part in parts] == [[0, 2, 3], [4], [5, 6], [7, 8]]
    assert ShardPlan.of(np.zeros(9, np.bool_), lengths).parts() == []


def test_neighbours_in_the_table_are_neighbours_in_a_shard(store: VectorStore, small_shards: None) -> None:
    texts = [f"{'x' * (97 * number % 40)} {number}" for number in range(60)]
    done = encode_texts(Counting(), texts, "document", store=store)
    shards = [np.load(path) for path in sorted(done.folder.glob("*.npy"))]
    assert [len(shard) for shard in shards] == [16, 16, 16, 12]
    np.testing.assert_array_equal(np.concatenate(shards), done.vectors.block(0, 60))
    assert not list(done.folder.glob("*.plan.parquet"))  # removed when all is done


# -- interrupted -------------------------------------------------------------------------------------------


def test_resume_follows_the_plan_and_gives_the_same_bytes(
    tiny: Path, config: EncodeConfig, tmp_path: Path, texts: list[str], small_shards: None
) -> None:
    whole = encode_texts(open_encoder(tiny, config), texts, "document", store=VectorStore(tmp_path / "whole"))

    store = VectorStore(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        encode_texts(Dies(open_encoder(tiny, config), 5), texts, "document", store=store)
    # Other limits in the second run: only the stored plan can make the same shards.
    plan_module.TEXTS_A_SHARD = 7
    done = encode_texts(open_encoder(tiny, config), texts, "document", store=store)
    assert (done.reused, done.encoded) == (5 * 16, 198 - 5 * 16)
    assert done.vectors.block(0, 200).tobytes() == whole.vectors.block(0, 200).tobytes()
    assert _shards(done.folder) == _shards(whole.folder)


class Dies:
    """An encoder that is interrupted after so many shards."""

    def __init__(self, inner: Any, shards: int) -> None:
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "left", shards)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)

    def encode_calls(self, *args: Any) -> Any:
        object.__setattr__(self, "left", self.left - 1)
        if self.left < 0:
            raise KeyboardInterrupt
        return self.inner.encode_calls(*args)


def test_resume_follows_the_batches_that_the_warm_up_chose(
    tiny: Path, config: EncodeConfig, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "TEXTS_A_SHARD", 64)
    monkeypatch.setattr(encode_module, "WARM_UP_PAYS", 0)
    monkeypatch.setattr(DenseEncoder, "_fastest", lambda self, texts, kind, prompt: 1)
    seen: list[int] = []
    real = calls_module.batches
    monkeypatch.setattr(
        calls_module, "batches", lambda lengths, tokens: seen.append(tokens) or real(lengths, tokens)
    )
    store = VectorStore(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        encode_texts(Dies(open_encoder(tiny, config), 2), texts, "document", store=store)
    # Another machine, so to speak: what was found is gone, and it would find something else.
    monkeypatch.setattr(DenseEncoder, "_fastest", lambda self, texts, kind, prompt: 16)
    for note in (Path(config.cache_dir or "") / "backends").glob("*.batch.json"):
        note.unlink()
    encode_texts(open_encoder(tiny, config), texts, "document", store=store)
    assert seen == [64] * 4  # one text of 64 tokens
    seen.clear()
    encode_texts(open_encoder(tiny, config), texts, "document", store=VectorStore(tmp_path / "new"))
    assert seen == [16 * 64] * 4


def test_a_warm_up_encodes_as_much_as_it_is_meant_to_and_only_where_it_pays(
    tiny: Path, config: EncodeConfig, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample too large by the square is no smaller than what there is to do."""
    texts = sorted(set(texts), key=len)
    wanted = sum(map(len, texts)) // 4
    monkeypatch.setattr(dense_module, "WARM_UP_BYTES", wanted)
    seen: list[list[str]] = []
    monkeypatch.setattr(
        DenseEncoder, "_fastest", lambda self, sample, kind, prompt: seen.append(list(sample)) or 8
    )
    encode_texts(open_encoder(tiny, config), texts, "document", store=VectorStore(tmp_path / "small"))
    assert seen == []
    monkeypatch.setattr(encode_module, "WARM_UP_PAYS", 4)
    encode_texts(open_encoder(tiny, config), texts, "document", store=VectorStore(tmp_path / "large"))
    (sample,) = seen
    assert 0.5 * wanted < sum(map(len, sample)) < 1.5 * wanted
    assert {"short": sample[0] in texts[:30], "long": sample[-1] in texts[-30:]} == {
        "short": True,
        "long": True,
    }


def _shards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("[!.]*.npy"))]


KILLED = """
    import sys
    from hardneg.config import EncodeConfig
    from hardneg.encode import VectorStore, encode_texts, open_encoder, plan
    plan.TEXTS_A_SHARD = 16
    model, root, texts = sys.argv[1], sys.argv[2], sys.argv[3].split("|")
    encoder = open_encoder(model, EncodeConfig(cache_dir=root))
    encode_texts(encoder, texts, "document", store=VectorStore(root))
"""


def test_a_killed_process_loses_one_shard_at_most(
    tiny: Path, config: EncodeConfig, tmp_path: Path, texts: list[str], small_shards: None
) -> None:
    encoder = open_encoder(tiny, config)
    whole = encode_texts(encoder, texts, "document", store=VectorStore(tmp_path / "whole"))
    cut = tmp_path / "cut"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tiny), str(cut), "|".join(texts)]
    process = subprocess.Popen(command)
    while _keys(cut) < 3 and process.poll() is None:
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = _keys(cut)
    assert 3 <= left < 13  # of ceil(198 / 16)
    done = encode_texts(encoder, texts, "document", store=VectorStore(cut))
    assert done.reused == left * 16
    assert _keys(cut) == 13  # no text was encoded twice
    assert done.vectors.block(0, 200).tobytes() == whole.vectors.block(0, 200).tobytes()
    assert _shards(done.folder) == _shards(whole.folder)


def _keys(root: Path) -> int:
    return len(list(root.rglob("[!.]*.keys.parquet")))


def test_a_damaged_plan_is_made_anew(store: VectorStore, small_shards: None) -> None:
    encoder = Counting()
    texts = [str(number) for number in range(40)]
    folder = store.space(encoder.fingerprint("document")).folder
    path = plan_module.plan_path(folder, text_hashes(texts, ""))
    path.write_bytes(b"no plan")
    assert encode_texts(encoder, texts, "document", store=store).encoded == 40


def test_a_lost_shard_is_encoded_anew_and_said(store: VectorStore, small_shards: None) -> None:
    texts = [str(number) for number in range(40)]
    done = encode_texts(Counting(), texts, "document", store=store)
    sorted(done.folder.glob("*.npy"))[1].unlink()
    lines = Lines()
    again = encode_texts(Counting(), texts, "document", store=store, progress=lines)
    assert (again.encoded, again.reused) == (16, 24)
    assert "is gone or cut short" in lines.said[0]
    assert again.vectors.block(0, 40)[:, 0].tolist() == [len(text) for text in texts]


# -- the cache never lies ------------------------------------------------------------------------------------


def test_each_thing_that_decides_a_vector_makes_new_ones(
    make_model: Callable[..., Path], config: EncodeConfig, store: VectorStore, tmp_path: Path
) -> None:
    """After each change all is encoded anew, and the vectors are the changed encoder's own."""
    texts = ["cell gene drug heart blood", "virus causes heart", "is not"]
    models: dict[str, dict[str, Any]] = {
        "as it is": {},
        "weights": {"seed": 1},
        "tokenizer": {"words": "gene cell drug heart blood virus the of and in is not causes".split()},
        "pooling": {"pooling": "cls"},
        "normalisation": {"similarity": "dot"},
        "truncation": {"max_length": 4},
        "pooling of the prompt": {"include_prompt": False},
    }
    cases: dict[str, tuple[Path, dict[str, Any]]] = {
        name: (make_model(**settings), {}) for name, settings in models.items()
    }
    same = cases["as it is"][0]
    cases["prompt"] = (same, {"document_prompt": "passage : "})
    cases["max length"] = (same, {"max_length": 5})
    for name, (folder, settings) in cases.items():
        encoder = open_encoder(folder, config.model_copy(update=settings))
        done = encode_texts(encoder, texts, "document", store=store)
        assert (done.encoded, done.reused) == (3, 0), name
        expected = encoder.encode(texts, "document", encoder.prompt("document"))
        np.testing.assert_allclose(done.vectors.block(0, 3), expected, rtol=1e-4, atol=1e-6)
        assert encode_texts(encoder, texts, "document", store=store).reused == 3, name
    half = VectorStore(tmp_path / "cache", "float16")
    assert encode_texts(open_encoder(same, config), texts, "document", store=half).encoded == 3


def test_two_checkpoints_in_one_folder_at_different_times(
    make_model: Callable[..., Path], config: EncodeConfig, store: VectorStore, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    found = []
    for seed in (1, 2, 1):
        make_model(folder, seed=seed)
        done = encode_texts(open_encoder(folder, config), ["cell gene"], "document", store=store)
        found.append((done.encoded, done.vectors.block(0, 1)))
    assert [encoded for encoded, _ in found] == [1, 1, 0]
    assert not np.allclose(found[0][1], found[1][1])
    np.testing.assert_array_equal(found[0][1], found[2][1])


def test_a_copy_of_the_model_elsewhere_shares_its_vectors(
    tiny: Path, config: EncodeConfig, store: VectorStore, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(tiny, tmp_path / "copy")
    encode_texts(open_encoder(tiny, config), ["cell"], "document", store=store)
    assert (
        encode_texts(open_encoder(tmp_path / "copy", config), ["cell"], "document", store=store).reused == 1
    )


# -- encoders that misbehave ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (np.full((2, 3), np.nan, np.float32), "returned NaN or infinity"),
        (np.zeros((1, 3), np.float32), r"returned shape \(1, 3\) for 2 texts"),
        (np.zeros(2, np.float32), r"returned shape \(2,\) for 2 texts"),
    ],
)
def test_what_no_encoder_may_return(store: VectorStore, returned: Any, message: str) -> None:
    encoder = Counting()
    encoder.encode = lambda texts, kind, prompt: returned  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=message):
        encode_texts(encoder, ["a", "b"], "document", store=store)
    assert encode_texts(Counting(), ["a"], "document", store=store).encoded == 1  # nothing was stored


class Silenced(Counting):
    """Zeros for what has no `a`."""

    def encode(self, texts: Sequence[str], kind: str, prompt: str) -> Any:
        return super().encode(texts, kind, prompt) * np.array([["a" in text] for text in texts])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_of_zeros_are_told_of_texts_with_words(tmp_path: Path, dtype: str) -> None:
    """Also where they come from the store; a text without a word has nothing to say."""
    store = VectorStore(tmp_path, dtype)
    for _ in range(2):
        found = encode_texts(Silenced(), ["a", "bcd", " ", "bcd", "ab", "?!", "c"], "document", store=store)
        assert found.zeros.tolist() == [1, 6]
