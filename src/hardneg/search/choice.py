"""Which finders search, by what was asked for and what the machine has."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hardneg.config import Index
from hardneg.search.faiss_finder import FaissFinder, FaissGpuFinder
from hardneg.search.finders import Finder
from hardneg.search.fused_finder import FusedFinder, can_fuse
from hardneg.search.torch_finder import TorchFinder

_DRIVER = Path("/proc/driver/nvidia/version")


def finders(index: Index, device: str | None) -> Sequence[Finder]:
    """The first to ask, and those that look at what it left open; the result is the same whoever searches.

    device  as for encoding; None: a GPU where there is one. torch is not loaded to find that there is none.

    Raises UsageError where `faiss-gpu` cannot be had.
    """
    if index == "faiss-gpu":
        return (FaissGpuFinder(), FaissFinder())
    gpu = _gpu(device)
    if gpu is None:
        return (FaissFinder(),)
    half = FusedFinder(gpu) if can_fuse(gpu) else TorchFinder(gpu, "half")
    return (half, TorchFinder(gpu, "float32"))


def deepest(index: Index) -> int | None:
    """How many documents a query can be searched for; None: any number."""
    return FaissGpuFinder.deepest if index == "faiss-gpu" else None


def _gpu(device: str | None) -> str | None:
    if device is not None:
        return device if device.startswith("cuda") else None
    if "torch" not in sys.modules and not _DRIVER.exists():
        return None
    import torch

    return "cuda" if torch.cuda.is_available() else None
