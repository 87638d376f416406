"""Which backend, device and precision a model runs with, remembered so that asking again loads nothing.

Only opening a model decides. What was decided lies in the cache folder, keyed by model, machine, settings and
versions, and tells a later process the vectors' fingerprint without torch.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from hardneg.config import EncodeConfig
from hardneg.encode.precision import FULL_NAMES, Precision, processor_flags
from hardneg.notes import Notes
from hardneg.versions import installed

BackendName = Literal["torch", "openvino"]
_DEVICE_FILES = ("nvidia*", "kfd", "dri/render*", "accel*")
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
_PACKAGES = ("openvino", "torch", "transformers", "sentence-transformers")


@dataclass(frozen=True)
class Choice:
    """How a model runs here.

    device  "" where that is not known before the model is open
    why     says in part of a line what kept it from running faster; "" if nothing
    """

    backend: BackendName
    device: str
    precision: Precision
    why: str = ""

    def __str__(self) -> str:
        name = {"torch": "torch", "openvino": "OpenVINO"}[self.backend]
        place, why = f" on {self.device}" if self.device else "", f" ({self.why})" if self.why else ""
        return f"{name}{place} in {self.precision}{why}"

    def fingerprint(self) -> dict[str, str]:
        """What of it decides a vector: the device does not."""
        return {"backend": self.backend, "precision": FULL_NAMES[self.precision]}


def notes_of(cache: Path, model: str, config: EncodeConfig) -> Notes:
    """What is remembered of one model with these settings on this machine."""
    asked = [config.backend, config.precision, config.device, config.max_length]
    return Notes.about(cache, {"model": model, "asked": asked, "machine": _machine()})


def kept_choice(notes: Notes) -> Choice | None:
    """What opening this model came to last time; None where it was not opened here yet."""
    found = notes.read("choice")
    if found is None or set(found) != set(Choice.__dataclass_fields__):
        return None
    return Choice(
        cast("BackendName", found["backend"]),
        str(found["device"]),
        cast("Precision", found["precision"]),
        str(found["why"]),
    )


def keep_choice(notes: Notes, choice: Choice) -> None:
    notes.write("choice", asdict(choice))


def _machine() -> dict[str, Any]:
    """What tells which devices and instructions there are, as far as it shows without torch."""
    return {
        "name": [platform.node(), platform.machine(), platform.processor()],
        "flags": sorted(processor_flags() or ()),
        "devices": sorted(str(path) for pattern in _DEVICE_FILES for path in Path("/dev").glob(pattern)),
        "visible": [os.environ.get(name) for name in _VISIBLE],
        "versions": installed(_PACKAGES),
    }
