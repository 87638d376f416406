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


def precision_on(model: Any, asked: str) -> Precision:
    """The precision to run in: `auto` is bfloat16 on a GPU that computes in it, else float32."""
    device = model.device.type
    if asked == "fp16" and device == "cpu":
        raise UsageError("precision fp16 is for GPUs, and the device is cpu; take bf16 or fp32")
    if asked != "auto":
        return "fp16" if asked == "fp16" else "bf16" if asked == "bf16" else "fp32"
    if transformer_of(model) is None or device != "cuda":
        return "fp32"
    import torch

    # 8.0 and above compute in bfloat16; what is older emulates it.
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def opened(model: Any, precision: Precision, why: str = "") -> Running:
    """The model in this precision; it is not changed itself.

    A half-precision transformer gives its token vectors as float32, so pooling and all that follows adds up
    in float32.
    """
    choice = Choice("torch", str(model.device.type), precision, why)
    if precision == "fp32":
        return Running(model, choice)
    inner = transformer_of(model)
    if inner is None:
        raise UsageError(f"precision {precision}: the model has no transformer to run in it; take fp32")
    import torch

    halved = deepcopy(inner).to(getattr(torch, FULL_NAMES[precision])).eval()

    def forward(**inputs: Any) -> Mapping[str, Any]:
        return {
            name: value.float() if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in halved(**inputs).items()
        }

    return Running(with_stand_in(model, forward, held=halved), choice)
