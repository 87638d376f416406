"""Search in one pass: the kernel on a GPU, or by Triton's interpreter on a CPU, where Triton is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
pytest.importorskip("triton", reason="Triton comes with torch's builds for GPUs")

from hardneg.search import fused_finder, fused_kernel
from hardneg.search.exact import DenseRetriever
from hardneg.search.fused_finder import FusedFinder
from hardneg.search.torch_finder import TorchFinder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if DEVICE == "cpu":
        monkeypatch.setattr(fused_kernel, "QUERIES", 16)
        monkeypatch.setattr(fused_kernel, "DOCUMENTS", 32)
    yield


class Rows:
    """Vectors in memory."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors, self.shape = vectors.astype(np.float32), vectors.shape

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors[rows]

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.vectors[start:stop]


class Silent:
    def track(self, label: str, total: int, unit: str) -> object:
        from contextlib import nullcontext

        return nullcontext(lambda n: None)


def searched(finder: object, queries: np.ndarray, documents: np.ndarray, depth: int, rows: int) -> np.ndarray:
    retriever = DenseRetriever(
        "dense",
        Rows(queries),  # type: ignore[arg-type]
        Rows(documents),  # type: ignore[arg-type]
        block_bytes=4 * rows * documents.shape[1],
        finders=[finder, TorchFinder(DEVICE, "float32")],  # type: ignore[list-item]
    )
    every = np.arange(len(queries), dtype=np.int32)
    return retriever.search(every, depth, np.zeros((len(queries), 0), np.int32), Silent()).doc  # type: ignore[arg-type]


def in_order(queries: np.ndarray, documents: np.ndarray, depth: int) -> np.ndarray:
    scores = queries.astype(np.float32).astype(np.float64) @ documents.astype(np.float32).T.astype(np.float64)
    return np.argsort(-scores, axis=1, kind="stable")[:, :depth]


@pytest.mark.parametrize("dimension", [5, 64, 100])
@pytest.mark.parametrize("rows_a_block", [90, 400, 1000])
def test_the_best_are_found(dimension: int, rows_a_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(dimension)
    queries = rng.standard_normal((37, dimension)) * 10.0 ** rng.integers(-3, 3, (37, 1))
    documents = rng.standard_normal((1000, dimension)) * (1 + 50 * (np.arange(1000) > 700))[:, None]
    finder = FusedFinder(DEVICE)
    finder.overfetch = 40
    monkeypatch.setattr(fused_finder, "_ROOM", 64)
    monkeypatch.setattr(fused_finder, "_FULL_ENOUGH", 32)
    found = searched(finder, queries, documents, 20, rows_a_block)
    np.testing.assert_array_equal(found, in_order(queries, documents, 20))


def test_a_block_with_more_than_the_buffer_holds_is_compared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents in the order of their scores: every block is better than all before it."""
    rng = np.random.default_rng(0)
    documents = np.abs(rng.standard_normal((600, 8))) * np.arange(1, 601)[:, None]
    queries = np.abs(rng.standard_normal((20, 8)))
    queries[::3] *= -1  # for these it is the other way round
    monkeypatch.setattr(fused_finder, "_ROOM", 16)
    monkeypatch.setattr(fused_finder, "_FULL_ENOUGH", 8)
    again = []
    best_of = fused_finder.OnDevice.best_of
    monkeypatch.setattr(
        fused_finder.OnDevice,
        "best_of",
        lambda self, part, *rest: (again.append(part), best_of(self, part, *rest))[1],
    )
    finder = FusedFinder(DEVICE)
    finder.overfetch = 10
    found = searched(finder, queries, documents, 5, 100)
    np.testing.assert_array_equal(found, in_order(queries, documents, 5))
    assert sum(not isinstance(part, slice) for part in again) > 3


def test_fewer_documents_than_wanted() -> None:
    rng = np.random.default_rng(1)
    queries, documents = rng.standard_normal((3, 4)), rng.standard_normal((7, 4))
    found = searched(FusedFinder(DEVICE), queries, documents, 20, 2)
    np.testing.assert_array_equal(found[:, :7], in_order(queries, documents, 7))
    assert (found[:, 7:] == -1).all()


@pytest.mark.parametrize("scale", [1.0, 2.0**-60, 2.0**40])
def test_scores_err_by_no_more_than_is_said(scale: float) -> None:
    rng = np.random.default_rng(2)
    queries = (rng.standard_normal((20, 100)) * scale).astype(np.float32)
    documents = (rng.standard_normal((300, 100)) * scale).astype(np.float32)
    finder = FusedFinder(DEVICE)
    running = finder.begin(queries, 30)
    for start in range(0, 300, 60):
        running.add(start + 5, documents[start : start + 60])
    row, score = running.best()
    exact = queries.astype(np.float64) @ documents.astype(np.float64).T
    off = np.abs(score - np.take_along_axis(exact, row - 5, axis=1))
    longest = np.linalg.norm(queries, axis=1, keepdims=True) * np.linalg.norm(documents, axis=1).max()
    assert (off <= finder.relative_error(100) * longest).all()
