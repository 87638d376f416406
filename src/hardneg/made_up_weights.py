"""Weights that are in none of a model's files: the libraries put random or default numbers there, and go on.

A pooler that nobody asks may be missing; a layer must not, or every loading gives another model. A norm that
is missing is not random: it is ones and zeros.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.errors import ModelError
from hardneg.model_files import model_folders

_SHOWN = 3
_COUNTS_OF_LAYERS = frozenset(
    {"num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers"}
    | {"n_layer", "n_layers"}
)
_NUMBER_OF_A_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
_MOST_LAYERS = 1000
"""Where the tensors' names tell of no layers: some models use one many times."""
_LONGEST_HEADER = 100 << 20
"""Of safetensors, as its library has it."""


def load_whole(
    load: Callable[[], Any], ask: Callable[[Any], NDArray[Any]], model: object, folder: Path
) -> Any:
    """What `load` gives. Raises ModelError where it gives another model each time, where norms are not in the
    files, and, before anything is built, where the settings ask for layers that are not.

    load    makes a torch model from the folder; where it draws no random number, nothing random was made up
    ask     what the model says to some text, by which two of them are compared
    model   what it is called
    """
    refuse_more_layers(folder)
    made = _not_random(load, ask, model)
    lacking = list(_default_norms(made, _tensor_names(folder)))
    if lacking:
        raise ModelError(
            f"{model}: lacks weights, and default numbers would stand for them {_named(lacking)}"
        )
    return made


def refuse_more_layers(folder: Path) -> None:
    """Raises ModelError where a configuration asks for more layers than its weights have."""
    for place in model_folders(folder):
        names = _names_in(place)
        if not names:
            continue
        numbers = [int(found[1]) for name in names if (found := _NUMBER_OF_A_LAYER.search(name))]
        held = max(numbers) + 1 if numbers else 0
        decodes = any("decoder" in name for name in names)
        for key, asked in _counts_of_layers(place / "config.json"):
            if isinstance(asked, bool) or not isinstance(asked, int) or asked < 0:
                raise ModelError(f"{place / 'config.json'}: {key} is {asked!r:.40}, no number of layers")
            if "decoder" in key and not decodes:
                continue  # an encoder that was saved alone keeps the settings of both
            if asked > (held or _MOST_LAYERS):
                there = f"the weights hold {held:,}" if held else "more than any model has"
                raise ModelError(
                    f"{place / 'config.json'}: asks for {asked:.3g} layers ({key}), {there}; save the whole "
                    "model there again (save_pretrained)"
                )


def _counts_of_layers(config: Path) -> Iterator[tuple[str, Any]]:
    """What the file says of them, in its parts too (`text_config`); of damage tells who opens the model."""
    try:
        waiting: list[Any] = [json.loads(config.read_text("utf-8"))]
    except (OSError, ValueError, RecursionError):
        return
    while waiting:
        settings = waiting.pop()
        for key, value in settings.items() if isinstance(settings, dict) else ():
            if key in _COUNTS_OF_LAYERS and value is not None:
                yield key, value
            waiting.append(value)


def _tensor_names(folder: Path) -> set[str]:
    return {name for place in model_folders(folder) for name in _names_in(place)}


def _names_in(place: Path) -> set[str]:
    """Of the tensors in the folder's safetensors, by their headers."""
    names: set[str] = set()
    for path in place.glob("*.safetensors"):
        try:
            with path.open("rb") as handle:
                length = int.from_bytes(handle.read(8), "little")
                header = json.loads(handle.read(length)) if length <= _LONGEST_HEADER else {}
        except (OSError, ValueError, RecursionError):
            continue
        names |= set(header) if isinstance(header, dict) else set()
    return names - {"__metadata__"}


def _default_norms(model: Any, names: set[str]) -> Iterator[str]:
    """Parameters of norms that are as a library makes them, all ones or zeros, and that no file names.

    Files name them without the modules around them, or with the whole model's name before.
    """
    plain = {name.replace(".gamma", ".weight").replace(".beta", ".bias") for name in names}
    # Two words alone (`LayerNorm.weight`) would be the end of any norm's name.
    plain |= {end for name in plain if (end := name.partition(".")[2]).count(".") > 1}
    for module_name, module in model.named_modules():
        if "Norm" not in type(module).__name__:
            continue
        for name, value in module.named_parameters(recurse=False):
            parts = f"{module_name}.{name}".split(".")
            known = any(".".join(parts[start:]) in plain for start in range(len(parts)))
            if not known and bool((value == (0 if name == "bias" else 1)).all()):
                yield ".".join(parts)


def _not_random(load: Callable[[], Any], ask: Callable[[Any], NDArray[Any]], model: object) -> Any:
    """What `load` gives, where random numbers play no part in what it says."""
    import torch

    with torch.random.fork_rng(devices=[]):
        before = torch.default_generator.manual_seed(0).get_state()
        made = load()
        if torch.equal(before, torch.get_rng_state()):
            return made
        said, glimpsed = ask(made), _glimpses(made)
        del made
        torch.default_generator.manual_seed(1)
        again = load()
        if np.array_equal(said, ask(again), equal_nan=True):
            return again
    differing = [name for name, value in _glimpses(again).items() if glimpsed[name] != value]
    raise ModelError(f"{model}: lacks weights, and random numbers would stand for them {_named(differing)}")


def _named(names: list[str]) -> str:
    more = ", …" if len(names) > _SHOWN else ""
    return f"({', '.join(names[:_SHOWN])}{more}); save the whole model there again (save_pretrained)"


def _glimpses(model: Any) -> dict[str, float]:
    """The first number of each tensor."""
    return {name: float(tensor.flatten()[0]) for name, tensor in model.state_dict().items() if tensor.numel()}
