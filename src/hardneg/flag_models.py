"""What models that FlagEmbedding runs share: where their files lie, errors, formats of instructions."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Formatter
from typing import TypeVar

from hardneg.errors import HardnegError, InputError, ModelError, UsageError
from hardneg.model_safety import hint
from hardneg.named_files import kind_of_path

Name = TypeVar("Name", bound=str)


def has_flagembedding() -> bool:
    return importlib.util.find_spec("FlagEmbedding") is not None


def called(model: str) -> str:
    """A model's name, which tells its class: of a checkpoint the name of the folder that it lies in."""
    path = Path(model)
    return path.parent.name if path.name.startswith("checkpoint-") else path.name


def class_by_name(model: str, classes: Mapping[str, Name], every: Sequence[Name], flag: str) -> Name:
    """The class that FlagEmbedding runs a model of this name by. Raises UsageError for an unknown one.

    classes  pattern of names → class
    flag     takes one of `every`, where the name tells nothing
    """
    for pattern, found in classes.items():
        if re.fullmatch(pattern, called(model).lower()):
            return found
    raise UsageError(
        f"model {model!r}: its name tells no class; name it with {flag}, one of {', '.join(every)}"
    )


def model_folder(model: str, cache_dir: str | None, *, only_tokenizer: bool = False) -> Path:
    """Where a model's files lie, fetched from the Hub if need be. Raises ModelError where there are none."""
    path = Path(model).expanduser()
    kind = kind_of_path(path)
    if kind == "folder":
        return path
    if kind == "file":
        raise InputError("is a file; give the folder of a model, or its id on the Hub", file=path)
    if not model or path.is_absolute() or model.count("/") > 1 or model.startswith((".", "~")):
        raise ModelError(f"{model!r}: no such folder; give the folder of a model, or its id on the Hub")
    from huggingface_hub import snapshot_download

    with told(model):
        left = [*_NOT_FETCHED, *(_WEIGHTS if only_tokenizer else ())]
        return Path(snapshot_download(model, cache_dir=cache_dir, ignore_patterns=left))


_NOT_FETCHED = [
    *("*.h5", "*.msgpack", "*.ot", "*.gguf", "*.onnx", "*.onnx_data", "*.tflite", "onnx/*", "openvino/*"),
]
_WEIGHTS = ["*.safetensors", "*.bin", "*.pt"]


def device_kind(devices: Sequence[str]) -> str:
    """cpu, cuda, mps, ...: where a model runs; none are named: on a GPU where there is one."""
    if devices:
        return devices[0].partition(":")[0]
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def told(model: str) -> Iterator[None]:
    """What a library raises in the block becomes a ModelError that names the model."""
    try:
        yield
    except HardnegError:
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"model {model!r}: cannot be run ({line}){hint(error)}") from error


def refuse_no_format(text: str, places: int, what: str) -> None:
    """Raises UsageError unless the format has a place, {} or {0}, {1}, ..., for each of so many texts."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(text) if field is not None]
        numbers = {int(field) if field else place for place, field in enumerate(fields)}
        text.format(*[""] * places)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise UsageError(f"format {text!r}: {error}; {_wanted(places, what)}") from error
    if numbers != set(range(places)):
        raise UsageError(f"format {text!r}: {_wanted(places, what)}")


def _wanted(places: int, what: str) -> str:
    return f"write {'{}' * places}, or around them, for {what}"
