"""What decides the vectors of a model that is given as an object, told by what it holds now."""

from __future__ import annotations

import hashlib
import inspect
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.model_files import content_hash

_LIBRARIES = ("torch", "transformers", "sentence_transformers")
"""Their modules are told by their settings. Of others the code counts, and what they hold beside tensors."""
_PLACES = frozenset({"_name_or_path", "name_or_path", "_commit_hash", "transformers_version"})
"""Settings that say where a model came from."""
_OF_CALLS = ("truncation_side", "padding_side", "chat_template", "split_special_tokens")


def object_hash(model: Any) -> str:
    """sha256 (hex) over a SentenceTransformer's modules, settings, tokenizer and tensors."""
    total = hashlib.sha256()

    def add(value: Any) -> None:
        total.update(json.dumps(_canonical(value), sort_keys=True).encode() + b"\0")

    add({"max_length": model.max_seq_length, "truncate_dim": model.truncate_dim})
    for module in model:
        add([type(module).__qualname__, _settings(module)])
        for part in module.modules():
            add(_of_part(part))
    add(_tokenizer(model.tokenizer))
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().cpu().contiguous().flatten()
        add([name, str(tensor.dtype), list(tensor.shape)])
        total.update(_bytes(values))
    return total.hexdigest()


def _settings(module: Any) -> Any:
    """As the module is saved."""
    return module.get_config_dict() if hasattr(module, "get_config_dict") else {}


def _of_part(part: Any) -> Any:
    """Of one torch module: heads, epsilons and activations, which no tensor shows."""
    config = getattr(part, "config", None)
    told: dict[str, Any] = {"class": type(part).__qualname__, "says": part.extra_repr()}
    if config is not None and hasattr(config, "to_dict"):
        told["config"] = {key: value for key, value in config.to_dict().items() if key not in _PLACES}
        told["attention"] = getattr(config, "_attn_implementation", None)
    if type(part).__module__.split(".")[0] not in _LIBRARIES:
        told |= {"code": _code(type(part)), "holds": dict(_held(part))}
    return told


def _code(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


def _held(part: Any) -> Iterator[tuple[str, Any]]:
    """Its plain attributes, such as what an adapter is scaled by and whether it is switched off."""
    import torch

    bookkeeping = vars(torch.nn.Module()).keys()
    for name, value in sorted(vars(part).items()):
        if name not in bookkeeping and "cache" not in name and _plain(value):
            yield name, value


def _canonical(value: Any) -> Any:
    """As JSON. What JSON has not is told by its text, or where that holds an address by its class."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(one) for one in value]
    if _plain(value):
        return value
    text = str(value)
    return type(value).__qualname__ if " at 0x" in text else text


def _plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_plain(key) and _plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _tokenizer(tokenizer: Any) -> Any:
    """All that decides the tokens. How long texts may be and are padded is left out: each call says it."""
    fast = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(fast, "to_str"):
        settings = {**json.loads(fast.to_str()), "padding": None, "truncation": None}
        return [settings, {name: getattr(tokenizer, name, None) for name in _OF_CALLS}]
    save = getattr(tokenizer, "save_pretrained", None) or getattr(tokenizer, "save", None)
    if save is None:
        return repr(tokenizer)
    with tempfile.TemporaryDirectory(prefix="hardneg-") as folder:
        save(folder)
        return content_hash(Path(folder))


def _bytes(values: Any) -> memoryview:
    import torch

    array: NDArray[np.uint8] = values.view(torch.uint8).numpy()
    return array.data
