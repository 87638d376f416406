"""Which model a folder holds, told by its content: two checkpoints at one path never share a fingerprint."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

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
    for place in model_folders(folder):
        files = [path for path in place.iterdir() if path.suffix in _SUFFIXES and path.is_file()]
        safe = any(path.suffix == ".safetensors" for path in files)
        for path in files:
            if not is_left_behind(path) and not (safe and path.suffix in {".bin", ".pt"}):
                yield path


def model_folders(folder: Path) -> Iterator[Path]:
    """The folder and those below it whose files decide what the model gives."""
    if folder.is_dir():
        yield folder
        for path in folder.iterdir():
            if path.is_dir() and not path.name.startswith(_OTHER_FOLDERS) and not _is_round(path):
                yield from model_folders(path)


def _is_round(path: Path) -> bool:
    """Whether it is a link to a folder that it lies in."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def is_left_behind(path: Path) -> bool:
    """Whether training left the file there and no output hangs on it."""
    return path.name in _LEFT_BEHIND


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
