"""Candidates on a GPU, by torch: in half precision, or in float32 for the queries that this leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from hardneg.records import Float32, Int32
from hardneg.search.finders import Running, exponent_of, gpu_sum_error, half_error, scaled_rows

Precision = Literal["half", "float32"]
_TILE_ELEMENTS = 1 << 28
"""Scores held at once on the device: the matrix of all of them never is."""


class TorchFinder:
    """device  cuda, cuda:1, cpu, ..."""

    queries_at_once = 1 << 16

    def __init__(self, device: str, precision: Precision) -> None:
        self._device = device
        self._half = precision == "half"
        self.overfetch = 256 if self._half else 32

    def relative_error(self, dimension: int) -> float:
        return half_error(dimension) if self._half else gpu_sum_error(dimension)

    def begin(self, queries: Float32, fetch: int) -> Running:
        return _OnDevice(queries, fetch, self._device, self._half)


class _OnDevice:
    def __init__(self, queries: Float32, fetch: int, device: str, half: bool) -> None:
        import torch

        self._torch, self._device, self._half, self._fetch = torch, device, half, fetch
        scaled, self._scale = scaled_rows(queries)
        self._queries = self._there(scaled)
        self._score = torch.zeros((len(queries), 0), dtype=torch.float32, device=device)
        self._row = torch.zeros((len(queries), 0), dtype=torch.int32, device=device)

    def add(self, start: int, vectors: Float32) -> None:
        exponent = exponent_of(vectors)
        documents = self._there(np.ldexp(vectors, -exponent))
        step = max(1, _TILE_ELEMENTS // max(1, len(vectors)))
        parts = [
            self._best_of(slice(first, first + step), documents, 2.0**exponent, start)
            for first in range(0, len(self._queries), step)
        ]
        self._score = self._torch.cat([score for score, _ in parts])
        self._row = self._torch.cat([row for _, row in parts])

    def best(self) -> tuple[Int32, Float32]:
        return self._row.cpu().numpy(), self._score.cpu().numpy() * self._scale[:, None]

    def _there(self, vectors: Float32) -> Any:
        found = self._torch.from_numpy(np.ascontiguousarray(vectors)).to(self._device)
        return found.half() if self._half else found

    def _best_of(self, part: slice, documents: Any, scale: float, start: int) -> tuple[Any, Any]:
        """The best of these queries so far, and of the block; scores but for the queries' own scales."""
        torch = self._torch
        with _full_sums(torch):
            score = (self._queries[part] @ documents.T).float() * scale
        score, row = torch.topk(score, min(self._fetch, score.shape[1]), dim=1, sorted=False)
        score = torch.cat([self._score[part], score], dim=1)
        row = torch.cat([self._row[part], row.to(torch.int32) + start], dim=1)
        score, place = torch.topk(score, min(self._fetch, score.shape[1]), dim=1, sorted=False)
        return score, row.gather(1, place)


@contextmanager
def _full_sums(torch: Any) -> Iterator[None]:
    """Sums in float32 whatever the process has set: neither TF32 nor half-precision partial sums."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32, matmul.allow_fp16_reduced_precision_reduction
    matmul.allow_tf32, matmul.allow_fp16_reduced_precision_reduction = False, False
    try:
        yield
    finally:
        matmul.allow_tf32, matmul.allow_fp16_reduced_precision_reduction = before
