"""Who searches: what was asked for, and what the machine has."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest

import hardneg
from hardneg.errors import HardnegWarning, UsageError
from hardneg.search import choice, fused_finder
from hardneg.search.choice import finders
from hardneg.search.faiss_finder import MOST_OF_A_GPU, FaissFinder, FaissGpuFinder
from hardneg.search.fused_finder import can_fuse
from hardneg.search.torch_finder import TorchFinder


def names(found: Any) -> list[str]:
    return [type(finder).__name__ for finder in found]


def machine(monkeypatch: pytest.MonkeyPatch, *, gpu: bool, driver: bool, loaded: bool = True) -> None:
    there = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: gpu))
    monkeypatch.setitem(sys.modules, "torch", there)
    if not loaded:
        monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(choice, "_DRIVER", Path(__file__ if driver else "/nowhere"))


def test_a_gpu_searches_in_half_precision_and_then_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpu=True, driver=True)
    found = finders("exact", None)
    assert names(found) == ["TorchFinder", "TorchFinder"]
    assert found[0].relative_error(384) > 1e-3 > found[1].relative_error(384)
    assert found[0]._device == "cuda"  # type: ignore[attr-defined]
    assert finders("exact", "cuda:1")[0]._device == "cuda:1"  # type: ignore[attr-defined]
    assert names(finders("exact", "cpu")) == names(finders("exact", "mps")) == ["FaissFinder"]


@pytest.mark.parametrize("compiles", [True, False])
def test_where_the_kernel_does_not_compile_torch_searches_and_says_so(
    compiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with a GPU and no C compiler, as most containers are."""
    import torch

    def keep_above(*arguments: Any) -> None:
        if not compiles:
            raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")

    monkeypatch.setitem(sys.modules, "hardneg.search.fused_kernel", SimpleNamespace(keep_above=keep_above))
    monkeypatch.setattr(fused_finder, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    if compiles:
        assert can_fuse("cpu")
        return
    with pytest.warns(HardnegWarning, match=r"goes by torch alone.*\(Failed to find C compiler\.\)"):
        assert not can_fuse("cpu")


def test_without_a_gpu_torch_is_not_loaded_to_find_out(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpu=False, driver=False)
    assert names(finders("exact", None)) == ["FaissFinder"]
    machine(monkeypatch, gpu=False, driver=False, loaded=False)
    assert names(finders("exact", None)) == ["FaissFinder"]
    assert "torch" not in sys.modules


def test_faiss_without_gpus_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(faiss, "index_cpu_to_all_gpus", raising=False)
    with pytest.raises(UsageError, match="--index faiss-gpu: .* sees no GPU; .* leave --index out"):
        finders("faiss-gpu", None)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", object(), raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0, raising=False)
    with pytest.raises(UsageError, match="sees no GPU"):
        finders("faiss-gpu", None)


def test_more_than_faiss_returns_from_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filled up with -1 it would look like a corpus with no more documents."""
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", object(), raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    gpu, cpu = finders("faiss-gpu", None)
    assert isinstance(gpu, FaissGpuFinder) and isinstance(cpu, FaissFinder)
    queries = np.ones((2, 4), np.float32)
    gpu.begin(queries, MOST_OF_A_GPU)
    with pytest.raises(UsageError, match="finds 1,792 documents a query at most; ask for a smaller --depth"):
        gpu.begin(queries, MOST_OF_A_GPU + 1)
    assert TorchFinder("cpu", "half").overfetch == gpu.overfetch


def test_an_index_that_cannot_be_made_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "vectors").mkdir()
    with pytest.raises(UsageError, match="sees no GPU"):
        hardneg.mine(
            "no/such/source",
            run_dir=tmp_path / "run",
            retriever=f"vectors:{tmp_path / 'vectors'}",
            index="faiss-gpu",
        )
    assert not (tmp_path / "run").exists()
