"""Code that a model brings along: run only where it is trusted, and then part of what decides its outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardneg.errors import DamagedError
from hardneg.files import read_json
from hardneg.model_files import hub_folder

_NAMING = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
_MODULES = "modules.json"
_LIBRARY = "sentence_transformers."


def brings_code(folder: Path) -> bool:
    """Whether a model's files name code that is not the libraries'."""
    return any(True for _ in _named(folder))


def code_hash(folder: Path) -> str:
    """sha256 (hex) of the code that the model names in other repositories, as it was fetched last.

    What lies in the model's own folder is among its files (`model_files`).
    """
    total = hashlib.sha256()
    for repository in sorted({name.split("--")[0] for name in _named(folder) if "--" in name}):
        total.update(f"{repository}\0".encode("utf-8", "replace"))
        found = Path(repository) if Path(repository).is_dir() else hub_folder(repository)
        for path in sorted(found.glob("*.py")) if found else ():
            total.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def _named(folder: Path) -> Iterator[str]:
    """References to classes: `module.Class`, or `repository--module.Class`."""
    for name in _NAMING:
        for path in folder.rglob(name):
            settings = _read(path)
            found = settings.get("auto_map") if isinstance(settings, dict) else None
            for value in found.values() if isinstance(found, dict) else ():
                several = value if isinstance(value, list) else [value]
                yield from (one for one in several if isinstance(one, str))
    modules = _read(folder / _MODULES)
    for module in modules if isinstance(modules, list) else ():
        kind = str(module.get("type", "")) if isinstance(module, dict) else ""
        if kind and not kind.startswith(_LIBRARY):
            yield kind


def _read(path: Path) -> Any:
    try:
        return read_json(path) if path.is_file() else None
    except DamagedError:
        return None  # loading it says so
