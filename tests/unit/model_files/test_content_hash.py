"""Two models at one path are two models (field.md: vectors of checkpoint A served for checkpoint B)."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from hardneg.errors import ModelError
from hardneg.model_files import CACHE_FILE, content_hash


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights A")
    (folder / "1_Pooling" / "config.json").write_text('{"mode": "mean"}')
    return folder


def test_a_copy_elsewhere_has_the_same_hash(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    (copy / "1_Pooling").mkdir(parents=True)
    for path in model.rglob("*.*"):
        if path.is_file():
            (copy / path.relative_to(model)).write_bytes(path.read_bytes())
    assert content_hash(copy) == content_hash(model)


@pytest.mark.parametrize(
    "name",
    "config.json model.safetensors 1_Pooling/config.json vocab.txt own.tiktoken bpe.codes spm.spm table.npy "
    "onnx_head/config.json adapter.pt words".split(),
)
def test_another_content_has_another_hash(model: Path, name: str) -> None:
    """Whatever a tokenizer or a model's own code may read."""
    before = content_hash(model)
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"weights B")
    assert content_hash(model) != before


def test_a_file_under_another_name_has_another_hash(model: Path) -> None:
    before = content_hash(model)
    (model / "config.json").rename(model / "settings.json")
    assert content_hash(model) != before


@pytest.mark.parametrize(
    "name",
    "README.md training_args.bin pytorch_model.bin checkpoint-5/config.json onnx/config.json rng_state_0.pth "
    "optimizer.pt runs/events.out.tfevents.1 .gitattributes eval/scores.csv LICENSE "
    "pytorch_model-00001-of-00002.bin".split(),
)
def test_what_decides_no_output_does_not_count(model: Path, name: str) -> None:
    before = content_hash(model)
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"else")
    assert content_hash(model) == before


def test_pickled_weights_count_where_there_are_no_others(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    before = content_hash(model)
    (model / "pytorch_model.bin").write_bytes(b"weights B")
    assert content_hash(model) != before


def test_the_cache_spares_the_reading_and_sees_a_change(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    long_ago = time.time() - 60
    plain = content_hash(model)
    assert content_hash(model, cache) == plain
    assert not (cache / CACHE_FILE).exists()  # written a moment ago: may change within the clock's tick
    # Only the hash kept in the cache can make the answer differ from the plain one.
    kept = {}
    for path in model.rglob("*.*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))
            status = path.stat()
            state = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            kept[str(path.resolve())] = [*state, "kept"]
    cache.mkdir(exist_ok=True)
    (cache / CACHE_FILE).write_text(json.dumps(kept))
    assert content_hash(model, cache) != plain
    # Same size and the same mtime put back by hand: ctime tells.
    before = content_hash(model, cache)
    (model / "model.safetensors").write_bytes(b"weights B")
    os.utime(model / "model.safetensors", (long_ago, long_ago))
    assert content_hash(model, cache) != before


def test_settled_files_are_kept_in_the_cache(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("hardneg.model_files.time.time_ns", lambda: later)
    plain = content_hash(model, tmp_path)
    kept = json.loads((tmp_path / CACHE_FILE).read_text())
    assert {Path(key).name for key in kept} == {"config.json", "model.safetensors"}
    assert content_hash(model, tmp_path) == plain


@pytest.mark.parametrize("content", ["not JSON", "[]", '{"a": 1}'])
def test_a_damaged_cache_is_as_good_as_none(model: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / CACHE_FILE).write_text(content)
    assert content_hash(model, tmp_path) == content_hash(model)


def test_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model files"):
        content_hash(tmp_path)
    with pytest.raises(ModelError, match="holds no model files"):
        content_hash(tmp_path / "absent")


def test_a_cache_that_cannot_be_written_is_done_without(model: Path, tmp_path: Path) -> None:
    long_ago = time.time() - 60
    for path in model.rglob("*.*"):
        os.utime(path, (long_ago, long_ago))
    (tmp_path / "file").write_text("in the way")
    assert content_hash(model, tmp_path / "file") == content_hash(model)


def test_the_model_that_an_adapter_is_put_on_counts(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model)}))
    before = content_hash(adapter)
    assert content_hash(adapter) == before
    (model / "model.safetensors").write_bytes(b"weights B")
    assert content_hash(adapter) != before
    for base in (str(tmp_path / "absent"), "", None):
        (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
        with pytest.raises(ModelError, match="is no folder of a model and not in the Hub cache; merge"):
            content_hash(adapter)
