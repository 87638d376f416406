"""Weights that are in none of a model's files: the libraries put random numbers there, and go on.

A pooler that nobody asks may be missing; a layer must not, or every loading gives another model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.errors import ModelError

_SHOWN = 3


def load_whole(load: Callable[[], Any], ask: Callable[[Any], NDArray[Any]], model: object) -> Any:
    """What `load` gives. Raises ModelError where it gives another model each time.

    load   makes a torch model; where it draws no random number, nothing was made up
    ask    what the model says to some text, by which two of them are compared
    model  what it is called
    """
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
    raise ModelError(
        f"{model}: lacks weights, and random numbers would stand for them ({', '.join(differing[:_SHOWN])}"
        f"{', …' if len(differing) > _SHOWN else ''}); save the whole model there again (save_pretrained)"
    )


def _glimpses(model: Any) -> dict[str, float]:
    """The first number of each tensor."""
    return {name: float(tensor.flatten()[0]) for name, tensor in model.state_dict().items() if tensor.numel()}
