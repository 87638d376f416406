"""Which model a folder holds, told by its content: two checkpoints at one path never share a fingerprint."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardneg.errors import HardnegError, ModelError
from hardneg.files import read_json, write_json

CACHE_FILE = "model-files.json"
# Configuration, tokenizer, weights and code: what decides an output.
_SUFFIXES = frozenset({".json", ".txt", ".model", ".vocab", ".jinja", ".py", ".safetensors", ".bin", ".pt"})
# What training leaves beside a model and no output depends on.
_LEFT_BEHIND = frozenset(
    {"trainer_state.json", "training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt"}
)
# Exports for other backends, and earlier checkpoints of the same training.
_OTHER_FOLDERS = ("onnx", "openvino", "checkpoint-", ".", "__pycache__")
# A file changed so shortly before it was hashed may change again within the clock's tick: hash it anew.
_SETTLED_NS = 2_000_000_000

Cache = dict[str, list[int | str]]


def content_hash(folder: Path, cache: Path | None = None) -> str:
    """sha256 (hex) over the sorted relative names and contents of a model's files.

    folder  a model as saved: configuration, tokenizer and weights, in folders below it too
    cache   folder that keeps the files' hashes in `model-files.json`, each by path, size, mtime and ctime,
            so that gigabytes of weights are read once; nothing is kept without it

    Pickled weights beside safetensors of the same folder do not count: they are not what is loaded. Raises
    ModelError where the folder holds no such file.
    """
    files = sorted(_model_files(folder), key=lambda path: path.relative_to(folder).as_posix())
    if not files:
        raise ModelError(f"{folder}: holds no model files; name a folder with config.json and weights")
    known = _read_cache(cache)
    fresh: Cache = {}
    total = hashlib.sha256()
    for path in files:
        digest = _file_hash(path, known, fresh)
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode("utf-8", "surrogateescape"))
    if cache is not None and fresh:
        write_json({**known, **fresh}, cache / CACHE_FILE)
    return total.hexdigest()


def _model_files(folder: Path) -> Iterator[Path]:
    entries = list(folder.iterdir()) if folder.is_dir() else []
    safe = any(path.suffix == ".safetensors" for path in entries)
    for path in entries:
        if path.is_dir():
            if not path.name.startswith(_OTHER_FOLDERS):
                yield from _model_files(path)
        elif path.suffix in _SUFFIXES and path.name not in _LEFT_BEHIND:
            if safe and path.suffix in {".bin", ".pt"}:
                continue
            yield path


def _file_hash(path: Path, known: Cache, fresh: Cache) -> str:
    """The file's sha256, from `known` where its state is the same; a new one is put into `fresh`."""
    status = path.stat()
    state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    key = str(path.resolve())
    entry = known.get(key)
    if entry is not None and entry[:3] == state:
        return str(entry[3])
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if time.time_ns() - max(state[1:]) > _SETTLED_NS:
        fresh[key] = [*state, digest]
    return digest


def _read_cache(cache: Path | None) -> Cache:
    """What was hashed before; a cache that is damaged is as good as none."""
    if cache is None or not (cache / CACHE_FILE).exists():
        return {}
    try:
        values = read_json(cache / CACHE_FILE)
    except HardnegError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: entry for key, entry in values.items() if isinstance(entry, list) and len(entry) == 4}


def refuse_wordless(tokenizer: Any, model: object) -> None:
    """Raises ModelError for a tokenizer that knows only its own marks: transformers makes up such a one where
    the folder holds none, and every text would get the vector of unknown words."""
    if not hasattr(tokenizer, "get_vocab") or not hasattr(tokenizer, "all_special_tokens"):
        return
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ModelError(
            f"{model}: its tokenizer knows no words; save the model's tokenizer (save_pretrained) there too"
        )
