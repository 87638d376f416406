"""Opens a model: takes the fastest backend and precision that are asked for, there, and right."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from hardneg.config import EncodeConfig
from hardneg.encode.backends.choice import Choice
from hardneg.encode.precision import Precision
from hardneg.errors import MissingExtraError, ModelError, UsageError

_PLAIN: dict[str, tuple[Precision, ...]] = {
    "auto": ("fp32",),
    "fp32": ("fp32",),
    "bf16": ("bf16",),
    "int8": ("int8",),
}
_NATIVE = {**_PLAIN, "auto": ("bf16", "fp32"), "int8": ("int8-bf16", "int8")}
"""What OpenVINO tries in turn, by what is asked for: without bfloat16 of the processor's own, and with it."""


class Model(Protocol):
    """What runs batches: a SentenceTransformer, perhaps with something else for its transformer."""

    def __call__(self, batch: dict[str, Any], *, task: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Running:
    """A model ready to run.

    model          SentenceTransformer: tokenises, and is called with a batch
    choice         how it runs
    lanes          how many batches may run at the same time, each called from a thread of its own
    texts_a_batch  the size of batches where neither the settings nor a warm-up say otherwise
    """

    model: Any
    choice: Choice
    lanes: int = 1
    texts_a_batch: int = 32


class NotConvertedError(Exception):
    """Why OpenVINO cannot run a model; the message is part of a line for people."""


def open_running(model: Any, config: EncodeConfig) -> Running:
    """The model with the backend and precision that `config` asks for; it is not changed itself.

    Raises UsageError for a precision or backend that this machine does not have, MissingExtraError where
    OpenVINO is asked for and not installed, and ModelError where it is asked for and cannot run the model.
    """
    from hardneg.encode.backends import torch_backend

    device = str(model.device.type)
    why = ""
    if device == "cpu" and config.backend != "torch":
        try:
            if torch_backend.own_precision(model) != "fp32":
                raise NotConvertedError("its weights are in half precision, as they were given")
            return _openvino(model, config)
        except NotConvertedError as error:
            if config.backend == "openvino":
                raise ModelError(f"backend openvino cannot run this model: {error}; take torch") from error
            if config.precision == "int8":
                raise ModelError(f"precision int8: {error}; take bf16 or fp32") from error
            why = str(error)
    if config.backend == "openvino":
        raise UsageError(f"backend openvino runs on the CPU, and the device is {device}; take --device cpu")
    if config.precision == "int8":
        raise UsageError(f"precision int8 is for CPUs, and the device is {device}; take bf16 or --device cpu")
    precision = torch_backend.precision_on(model, config.precision)
    return torch_backend.opened(model, precision, why)


def _openvino(model: Any, config: EncodeConfig) -> Running:
    if find_spec("openvino") is None:
        if config.backend == "openvino":
            raise MissingExtraError("backend openvino", "openvino")
        if config.precision == "int8":
            raise MissingExtraError("precision int8", "openvino")
        raise NotConvertedError("faster with OpenVINO: pip install 'hardneg[openvino]'")
    from hardneg.encode.backends import openvino_backend

    asked = config.precision
    if asked == "fp16":
        raise UsageError("precision fp16 is for GPUs, and the device is cpu; take bf16 or fp32")
    tried = _NATIVE if openvino_backend.has_bfloat16() else _PLAIN
    return openvino_backend.opened(model, tried[asked])
