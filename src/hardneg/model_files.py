"""Which model a folder holds, told by its content: two checkpoints at one path never share a fingerprint."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hardneg.errors import HardnegError, ModelError, StorageError
from hardneg.files import read_json, write_json

CACHE_FILE = "model-files.json"
# All files count, for a model may read any: a tokenizer's `.tiktoken` or `.codes`, what its own code loads.
# But for these, which no model is loaded from: papers, pictures, measurements, exports for other libraries;
_PASSED_OVER = frozenset(
    ".md .rst .pdf .ipynb .png .jpg .jpeg .gif .svg .csv .tsv .log .lock .pyc "
    ".onnx .onnx_data .h5 .msgpack .ot .gguf .tflite .mlmodel".split()
)
# what training leaves beside a model;
_LEFT_BEHIND = re.compile(
    r"trainer_state\.json|training_args\.bin|(optimizer|scheduler|scaler|rng_state).*\.(pt|pth|bin)"
    r"|events\.out\.tfevents.*|\..*|(LICEN[SC]E|NOTICE|README).*",
    re.IGNORECASE,
)
# and pickled weights where there are the same as safetensors.
_PICKLED = re.compile(r"(pytorch_model|adapter_model).*\.bin")
# Exports for other backends, and earlier checkpoints of the same training.
_OTHER_FOLDERS = re.compile(r"onnx|openvino|checkpoint-.*|\..*|__pycache__")
# A file changed so shortly before it was hashed may change again within the clock's tick: hash it anew.
_SETTLED_NS = 2_000_000_000

Cache = dict[str, list[int | str]]
ADAPTER = "adapter_config.json"


def content_hash(folder: Path, cache: Path | None = None) -> str:
    """sha256 (hex) over the sorted relative names and contents of a model's files.

    folder  a model as saved: configuration, tokenizer and weights, in folders below it too
    cache   folder that keeps the files' hashes in `model-files.json`, each by path, inode, size, mtime and
            ctime, so that gigabytes of weights are read once; nothing is kept without it

    Pickled weights beside safetensors of the same folder do not count: they are not what is loaded. The
    model that an adapter is put on does, wherever it lies. Raises ModelError where the folder holds no such
    file.
    """
    known = _read_cache(cache)
    fresh: Cache = {}
    total = hashlib.sha256()
    for name, path in _named_files(folder):
        digest = _file_hash(path, known, fresh)
        total.update(f"{name}\0{digest}\n".encode("utf-8", "surrogateescape"))
    if cache is not None and fresh:
        with suppress(StorageError):  # where it cannot be written, files are hashed each time
            write_json({**known, **fresh}, cache / CACHE_FILE)
    return total.hexdigest()


def take_out_of_files(model: Any) -> None:
    """Give a torch model memory of its own: safetensors are mapped, and who overwrites a checkpoint in place
    would change the weights of the models that are open, or end their processes.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def _named_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The model's files, then those of what its adapters are put on, each with what it is called there."""
    files = list(_sorted_files(folder))
    if not files:
        raise ModelError(f"{folder}: holds no model files; name a folder with config.json and weights")
    yield from files
    for name, path in files:
        if path.name == ADAPTER:
            base = _adapted(path)
            yield from ((f"{name}\0{theirs}", file) for theirs, file in _sorted_files(base))


def _sorted_files(folder: Path) -> Iterator[tuple[str, Path]]:
    yield from sorted((path.relative_to(folder).as_posix(), path) for path in _model_files(folder))


def _model_files(folder: Path) -> Iterator[Path]:
    for place in model_folders(folder):
        files = [path for path in place.iterdir() if path.is_file()]
        safe = any(path.suffix == ".safetensors" for path in files)
        for path in files:
            if _counts(path.name) and not (safe and _PICKLED.fullmatch(path.name)):
                yield path


def model_folders(folder: Path) -> Iterator[Path]:
    """The folder and those below it whose files decide what the model gives."""
    if folder.is_dir():
        yield folder
        for path in folder.iterdir():
            if path.is_dir() and not _OTHER_FOLDERS.fullmatch(path.name) and not _is_round(path):
                yield from model_folders(path)


def _is_round(path: Path) -> bool:
    """Whether it is a link to a folder that it lies in."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def is_left_behind(path: Path) -> bool:
    """Whether training left the file there and no output hangs on it."""
    return _LEFT_BEHIND.fullmatch(path.name) is not None


def _counts(name: str) -> bool:
    return Path(name).suffix.lower() not in _PASSED_OVER and not _LEFT_BEHIND.fullmatch(name)


def _adapted(adapter: Path) -> Path:
    """The folder of the model that an adapter is put on."""
    about = read_json(adapter)
    base = str(about.get("base_model_name_or_path") or "") if isinstance(about, dict) else ""
    folder = Path(base) if (Path(base) / "config.json").is_file() else hub_folder(base)
    if not base or folder is None:
        raise ModelError(
            f"{adapter}: is put on {base!r}, which is no folder of a model and not in the Hub cache; merge "
            "the adapter into its model and save that, or fetch it"
        )
    return folder


def hub_folder(name: str) -> Path | None:
    """Where the files of a model of the Hub lie that was fetched before; None where they do not."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json", os.environ.get("SENTENCE_TRANSFORMERS_HOME"))
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _file_hash(path: Path, known: Cache, fresh: Cache) -> str:
    """The file's sha256, from `known` where its state is the same; a new one is put into `fresh`."""
    status = path.stat()
    state = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    key = str(path.resolve())
    entry = known.get(key)
    if entry is not None and entry[:-1] == state:
        return str(entry[-1])
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
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
    return {key: entry for key, entry in values.items() if isinstance(entry, list) and len(entry) == 5}


def refuse_wordless(tokenizer: Any, model: object) -> None:
    """Raises ModelError for a tokenizer that knows only its own marks: transformers makes up such a one where
    the folder holds none, and every text would get the vector of unknown words."""
    if not hasattr(tokenizer, "get_vocab") or not hasattr(tokenizer, "all_special_tokens"):
        return
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ModelError(
            f"{model}: its tokenizer knows no words; save the model's tokenizer (save_pretrained) there too"
        )
