"""Candidates on a GPU, by torch: in half precision, or in float32 for the queries that this leaves open.

Vectors are scaled by powers of two, each by its own, so that their largest number lies in [1/2, 1): exact,
and nothing overflows. Rounding them to half precision moves each number by at most 2^-11 of it (or 2^-25,
where it is subnormal), so a vector of length 1 by at most 2^-11 + 2^-24 sqrt(d); the product of two halves is
exact in float32, in which they are summed; and a sum rounded to half precision moves by 2^-11 more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hardneg.records import Float32
from hardneg.search.finders import Running, float32_error

Precision = Literal["half", "float32"]
_TILE_ELEMENTS = 1 << 28
"""Scores held at once on the device: the matrix of all of them never is."""
_HALF = 2.0**-11


class TorchFinder:
    """device  cuda, cuda:1, mps, cpu, ..."""

    queries_at_once = 1 << 16

    def __init__(self, device: str, precision: Precision) -> None:
        self._device = device
        self._half = precision == "half"
        self.overfetch = 256 if self._half else 32

    def relative_error(self, dimension: int) -> float:
        # Tensor cores may cut off where others round, which costs a factor of two a step.
        summed = 4 * float32_error(dimension)
        if not self._half:
            return summed
        moved = _HALF + 2.0**-24 * float(np.sqrt(dimension))
        return (1 + moved) ** 2 * (1 + summed) * (1 + _HALF) - 1 + 2.0**-22

    def begin(self, queries: Float32, fetch: int) -> Running:
        return _TorchRunning(queries, fetch, self._device, self._half)


class _TorchRunning:
    def __init__(self, queries: Float32, fetch: int, device: str, half: bool) -> None:
        import torch

        self._torch, self._device, self._half, self._fetch = torch, device, half, fetch
        self._queries, self._scale = self._scaled(queries)
        self._score = torch.zeros((len(queries), 0), dtype=torch.float32, device=device)
        self._row = torch.zeros((len(queries), 0), dtype=torch.int32, device=device)

    def add(self, start: int, vectors: Float32) -> None:
        documents, scale = self._scaled(vectors)
        step = max(1, _TILE_ELEMENTS // max(1, len(vectors)))
        parts = [
            self._best_of(slice(first, first + step), documents, scale, start)
            for first in range(0, len(self._queries), step)
        ]
        self._score = self._torch.cat([score for score, _ in parts])
        self._row = self._torch.cat([row for _, row in parts])

    def best(self) -> tuple[NDArray[np.int32], Float32]:
        return self._row.cpu().numpy(), (self._score * self._scale[:, None]).cpu().numpy()

    def _scaled(self, vectors: Float32) -> tuple[Any, Any]:
        """The vectors with their largest numbers in [1/2, 1), and what to multiply by, float32 (rows,)."""
        torch = self._torch
        found = torch.from_numpy(np.ascontiguousarray(vectors)).to(self._device)
        _, exponent = torch.frexp(found.abs().amax(dim=1))
        # By two steps, so that no power of two is beyond float32's range.
        found = torch.ldexp(
            torch.ldexp(found, (-exponent // 2)[:, None]), (-exponent - -exponent // 2)[:, None]
        )
        scale = torch.ldexp(torch.ones_like(found[:, 0]), exponent)
        return (found.half() if self._half else found), scale

    def _best_of(self, part: slice, documents: Any, scale: Any, start: int) -> tuple[Any, Any]:
        """The best of these queries so far, and of the block: scores but for the queries' own scales."""
        torch = self._torch
        with _full_sums(torch):
            score = (self._queries[part] @ documents.T).float() * scale
        kept = min(self._fetch, score.shape[1])
        score, row = torch.topk(score, kept, dim=1, sorted=False)
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
