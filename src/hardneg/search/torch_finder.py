"""Candidates on a GPU, by torch: in half precision, or in float32 for the queries that this leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from hardneg.records import Float32, Int32
from hardneg.search.finders import BLOCK_BYTES_OF_A_GPU, Running, gpu_sum_error, half_error, scaled_rows

Precision = Literal["half", "float32"]
QUERIES_ON_A_GPU = 1 << 17
CANDIDATES_ON_A_GPU = 1 << 26
BLOCKS_AHEAD_OF_A_GPU = 4
"""Several threads read and widen blocks: one keeps no GPU busy."""
_TILE_ELEMENTS = 1 << 28
"""Scores held at once on the device: the matrix of all of them never is."""
_DIMENSIONS_OF = 64
"""In half precision dimensions are filled up with zeros to a multiple of this, as matrix units want them."""


class TorchFinder:
    """device  cuda, cuda:1, cpu, ..."""

    queries_at_once = QUERIES_ON_A_GPU
    candidates_at_once = CANDIDATES_ON_A_GPU
    block_bytes = BLOCK_BYTES_OF_A_GPU
    blocks_ahead = BLOCKS_AHEAD_OF_A_GPU

    def __init__(self, device: str, precision: Precision) -> None:
        self._device = device
        self._half = precision == "half"
        self.overfetch = 256 if self._half else 32

    def relative_error(self, dimension: int) -> float:
        return half_error(dimension) if self._half else gpu_sum_error(dimension)

    def begin(self, queries: Float32, fetch: int) -> Running:
        return OnDevice(queries, fetch, self._device, self._half)


class OnDevice:
    """The best so far, on the device.

    queries     (queries, dimension): in half precision or float32, each divided by a power of two of its own
    score, row  (queries, at most fetch): float32 but for those powers, and int32
    """

    def __init__(self, queries: Float32, fetch: int, device: str, half: bool) -> None:
        import torch

        self._torch, self._device, self._half, self.fetch = torch, device, half, fetch
        scaled, self._scale = scaled_rows(queries)
        self.queries = self._narrowed(torch.from_numpy(np.ascontiguousarray(scaled)).to(device))
        self.score = torch.zeros((len(queries), 0), dtype=torch.float32, device=device)
        self.row = torch.zeros((len(queries), 0), dtype=torch.int32, device=device)

    def add(self, start: int, vectors: Float32) -> None:
        documents, scale = self.there(vectors)
        step = max(1, _TILE_ELEMENTS // max(1, len(vectors)))
        parts = [
            self.best_of(slice(first, first + step), documents, scale, start)
            for first in range(0, len(self.queries), step)
        ]
        self.score = self._torch.cat([score for score, _ in parts])
        self.row = self._torch.cat([row for _, row in parts])

    def best(self) -> tuple[Int32, Float32]:
        return self.row.cpu().numpy(), self.score.cpu().numpy() * self._scale[:, None]

    def there(self, vectors: Float32) -> tuple[Any, float]:
        """A block of documents on the device, divided by a power of two, and that power."""
        torch = self._torch
        found = torch.from_numpy(np.ascontiguousarray(vectors)).to(self._device)
        exponent = int(torch.frexp(found.abs().max())[1]) if found.numel() else 0
        # In two steps, each of them a power of two that float32 has.
        first = exponent // 2
        found = found * 2.0**-first * 2.0 ** (first - exponent)
        return self._narrowed(found), 2.0**exponent

    def best_of(self, part: Any, documents: Any, scale: float, start: int) -> tuple[Any, Any]:
        """Score and row of the best of these queries (a slice, or numbers), so far and of a block."""
        with _full_sums(self._torch):
            score = (self.queries[part] @ documents.T).float() * scale
        score, row = self._torch.topk(score, min(self.fetch, score.shape[1]), dim=1, sorted=False)
        return self.merged(part, score, row.to(self._torch.int32) + start)

    def merged(self, part: Any, score: Any, row: Any) -> tuple[Any, Any]:
        """Score and row of the best of these queries, of those so far and of these, (queries, any) both."""
        score = self._torch.cat([self.score[part], score], dim=1)
        row = self._torch.cat([self.row[part], row], dim=1)
        score, place = self._torch.topk(score, min(self.fetch, score.shape[1]), dim=1, sorted=False)
        return score, row.gather(1, place)

    def _narrowed(self, vectors: Any) -> Any:
        if not self._half:
            return vectors
        beyond = -vectors.shape[1] % _DIMENSIONS_OF
        return self._torch.nn.functional.pad(vectors.half(), (0, beyond)).contiguous()


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
