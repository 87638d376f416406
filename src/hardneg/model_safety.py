"""What a model from elsewhere may bring along: numbers and settings. Not pickles, and no code of its own.

Pickled weights run code as they are read, and are never read. Classes are the libraries' own, unless the user
names the model in `trust_remote_code`. The libraries refuse most of this too; which of it hangs on their
version, and on whether the model lies in a folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardneg.errors import ModelError
from hardneg.model_files import is_left_behind, model_folders
from hardneg.named_files import kind_of_path

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
NOT_FETCHED = [
    *(f"*{suffix}" for suffix in PICKLES),
    *("*.h5", "*.msgpack", "*.ot", "*.gguf", "*.onnx", "*.onnx_data", "onnx/*", "openvino/*", "*.mlmodel"),
    *("*.tflite", "*.parquet", "*.tar*"),
]
"""Of a model on the Hub: pickles, and exports for other backends."""
TRUST = "to run its code, name it: --trust-remote-code"
_OWN = re.compile(r"(?:sentence_transformers|torch\.nn)(?:\.\w+)*\.[A-Z]\w*")
_CLASSES = frozenset(
    {
        "type",
        "types",
        "tokenizer_class",
        "activation_function",
        "activation_fn",
        "sbert_ce_default_activation_function",
    }
)
"""Keys whose values, where they have a dot in them, are imported."""
_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json"})
"""Tens of megabytes, in which nothing is looked for but words."""


def fetched(name: str) -> Path:
    """The folder of a model of the Hugging Face Hub, without its pickles; errors are of many libraries."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, ignore_patterns=NOT_FETCHED))


def refuse_harmful(folder: Path, trusted: bool) -> None:
    """Raises ModelError for a folder of a model that is not to be loaded, and InputError for a pipe, a device
    or a link to itself in it: whoever reads those waits for ever.

    trusted  the user has named it as one whose code may run
    """
    for place in model_folders(folder):
        for path in sorted(place.iterdir()):
            kind_of_path(path)
    _refuse_modules_elsewhere(folder)
    for place in model_folders(folder):
        _refuse_pickles(place)
    if not trusted:
        refuse_code(folder)


def refuse_code(folder: Path) -> None:
    """Raises ModelError for a folder of a model that names code of its own."""
    for place in model_folders(folder):
        for path in sorted(place.glob("*.json")):
            if path.name not in _VOCABULARIES and not is_left_behind(path):
                _refuse_code(path)


def _refuse_pickles(folder: Path) -> None:
    """An adapter's weights are looked for by their own name, others by being the folder's only ones."""
    files = [path for path in folder.iterdir() if path.suffix in PICKLES and not is_left_behind(path)]
    adapter = (folder / "adapter_config.json").exists()
    safe = folder / "adapter_model.safetensors" if adapter else next(folder.glob("*.safetensors"), None)
    if files and (safe is None or not safe.exists()):
        raise ModelError(
            f"{min(files)}: holds pickled weights, which are never loaded; save the model there as "
            "safetensors (save_pretrained)"
        )


def _refuse_modules_elsewhere(folder: Path) -> None:
    """What lies outside of the folders that are looked through is neither known to be harmless, nor does it
    count for which model this is."""
    listed = folder / "modules.json"
    modules = _settings(listed) if listed.is_file() else []
    known = {place.resolve() for place in model_folders(folder)}
    for module in modules if isinstance(modules, list) else []:
        path = module.get("path") if isinstance(module, dict) else None
        if isinstance(path, str) and (folder / path).is_dir() and (folder / path).resolve() not in known:
            raise ModelError(
                f"{listed}: takes a module from {path!r}, which is not among the model's own folders; "
                "move it into one of another name there"
            )


def _settings(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        deep = "it is nested too deep" if isinstance(error, RecursionError) else None
        reason = deep or getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be read as JSON ({reason}); save the model again") from error


def _refuse_code(path: Path) -> None:
    for key, value in _values(_settings(path)):
        if key in _CLASSES and isinstance(value, str) and "." in value and not _OWN.fullmatch(value):
            raise ModelError(f"{path}: asks for {value!r}, which is code of its own; {TRUST}")
        if key.endswith("attn_implementation") and isinstance(value, str) and "/" in value:
            raise ModelError(f"{path}: asks for the kernel {value!r}, which is code; {TRUST}")


def hint(error: Exception) -> str:
    """What to do where a library has refused a model's own code."""
    return f"; {TRUST}" if "trust_remote_code" in str(error) else ""


def _values(settings: Any) -> Iterator[tuple[str, Any]]:
    """Each key, however deep, with its value; the values below a key of classes bear that key."""
    waiting: list[tuple[str, Any]] = [("", settings)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(key if key in _CLASSES else str(name), below) for name, below in value.items()]
        elif isinstance(value, list):
            waiting += [(key, below) for below in value if isinstance(below, dict | list | str)]
        else:
            yield key, value
