"""In which numbers a model runs: what was asked for, and what a processor has of its own."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Literal

from hardneg.config import EncodeConfig
from hardneg.errors import UsageError

Precision = Literal["fp32", "bf16", "fp16", "int8", "int8-bf16"]
"""int8: products with weights alone, all else in float32, or (int8-bf16) in bfloat16."""

FULL_NAMES: dict[Precision, str] = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "int8": "int8",
    "int8-bf16": "int8-bfloat16",
}
"""As numpy, torch and the fingerprints call them."""

LEAST_COSINE: dict[Precision, float] = {
    "fp32": 0.99999,
    "bf16": 0.9995,
    "fp16": 0.9995,
    "int8": 0.97,
    "int8-bf16": 0.97,
}
"""How near a vector must be to the one that the model itself gives in float32."""

ACCEPTED_COSINE: dict[Precision, float] = {
    "fp32": 0.99999,
    "bf16": 0.99975,
    "fp16": 0.99975,
    "int8": 0.985,
    "int8-bf16": 0.985,
}
"""How near the worst of some thirty texts must come, for all others to come as near as that: half precision
and int8 err about twice as far on the worst of two hundred.
"""

_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def check_asked(config: EncodeConfig) -> None:
    """Raises UsageError for what no backend here can do, before a model is looked for."""
    if config.precision == "int8" and config.backend == "torch":
        raise UsageError("precision int8 is OpenVINO's alone; leave backend torch out, or take bf16 or fp32")
    if config.precision == "fp16" and config.backend == "openvino":
        raise UsageError(
            "precision fp16 is for GPUs, and backend openvino runs on the CPU; take bf16 or fp32"
        )


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str] | None:
    """The instruction sets of an x86 processor as Linux names them; None where nothing tells."""
    if not path.exists() or platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    with path.open(encoding="utf-8", errors="replace") as lines:
        line = next((line for line in lines if line.startswith("flags")), None)
    return None if line is None else frozenset(line.partition(":")[2].split())


def has_native_bfloat16(engine_says: bool, flags: frozenset[str] | None) -> bool:
    """Whether bfloat16 is computed, not emulated.

    OpenVINO takes bfloat16 from AVX-512 on, where it is emulated and slower than float32; so the processor
    must name it too, where it can be asked.
    """
    return engine_says and (flags is None or bool(flags & _BFLOAT16_FLAGS))
