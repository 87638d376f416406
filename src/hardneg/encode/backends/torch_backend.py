"""torch as it is, or with the transformer in half precision; on a GPU with room made when memory runs out."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from hardneg.encode.backends.choice import Choice
from hardneg.encode.backends.running import Running
from hardneg.encode.backends.stand_in import transformer_of, with_stand_in
from hardneg.encode.precision import FULL_NAMES, Precision
from hardneg.errors import UsageError

TEXTS_A_BATCH = {"cuda": 128}
"""A smaller batch is over before Python has set the next one going."""


def precision_on(model: Any, asked: str) -> Precision:
    """The precision to run in: `auto` is bfloat16 on a GPU that computes in it, else the model's own."""
    device, own = model.device.type, own_precision(model)
    if asked == own:
        return own
    if asked == "fp16" and device == "cpu":
        raise UsageError("precision fp16 is for GPUs, and the device is cpu; take bf16 or fp32")
    if asked != "auto":
        return "fp16" if asked == "fp16" else "bf16" if asked == "bf16" else "fp32"
    if own != "fp32" or device != "cuda" or transformer_of(model) is None:
        return own
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def own_precision(model: Any) -> Precision:
    """Of the weights as they are: a model that was given as an object may be in half precision already."""
    weight = next(model.parameters(), None)
    name = "float32" if weight is None else str(weight.dtype).removeprefix("torch.")
    return next((short for short, full in FULL_NAMES.items() if full == name), "fp32")


def opened(model: Any, precision: Precision, why: str = "") -> Running:
    """The model in this precision; it is not changed itself.

    Half precision is torch's autocast around the transformer: matrix products in it, sums and norms in
    float32. Casting all weights loses more than is promised (`precision.LEAST_COSINE`).
    """
    device = str(model.device.type)
    choice = Choice("torch", str(model.device), precision, why)
    own = own_precision(model)
    texts_a_batch = TEXTS_A_BATCH.get(device, Running.texts_a_batch)
    if precision == own:
        return Running(model, choice, texts_a_batch=texts_a_batch)
    inner = transformer_of(model)
    if inner is None:
        raise UsageError(f"precision {precision}: the model has no transformer to run in it; take fp32")
    inner = inner if own == "fp32" else deepcopy(inner).float()
    import torch

    half = precision != "fp32"
    dtype = getattr(torch, FULL_NAMES[precision])

    def forward(**inputs: Any) -> Mapping[str, Any]:
        with torch.autocast(device, dtype if half else None, enabled=half):
            found = inner(**inputs)
        # Pooling and all that follows is in float32.
        return {
            name: value.float() if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in found.items()
        }

    return Running(with_stand_in(model, forward).float(), choice, texts_a_batch=texts_a_batch)
