"""A sentence-transformers model in whose first module something else stands for the transformer.

Prompts, tokenizer, pooling, dense layers and normalisation stay the model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any


def transformer_of(model: Any) -> Any | None:
    """The torch module inside a model's first module, None where there is none (a static model)."""
    import torch

    inner = getattr(model[0], "model", None)
    return inner if isinstance(inner, torch.nn.Module) else None


def with_stand_in(model: Any, forward: Callable[..., Mapping[str, Any]]) -> Any:
    """A copy of the model whose transformer is `forward`; the model itself and its weights stay as they are.

    forward  keyword arguments, as the first module passes them on, → {"last_hidden_state": ...}
    """
    inner = transformer_of(model)
    stand_in = _stand_in(inner, forward)
    # deepcopy takes what its memo holds for a part already copied: the transformer's weights never are.
    return deepcopy(model, {id(inner): stand_in}).eval()


def _stand_in(inner: Any, forward: Callable[..., Mapping[str, Any]]) -> Any:
    import torch

    class StandIn(torch.nn.Module):  # type: ignore[misc]  # torch's types are not read
        def __init__(self) -> None:
            super().__init__()
            self.config = inner.config

        def forward(self, **inputs: Any) -> Mapping[str, Any]:
            return forward(**inputs)

    return StandIn()
