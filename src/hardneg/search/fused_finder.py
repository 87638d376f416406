"""Candidates on a GPU in one pass: what lies above a query's threshold, compared as it is multiplied."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from hardneg.errors import HardnegWarning
from hardneg.records import Float32, Int32
from hardneg.search.finders import BLOCK_BYTES_OF_A_GPU, Running, half_error
from hardneg.search.torch_finder import (
    BLOCKS_AHEAD_OF_A_GPU,
    CANDIDATES_ON_A_GPU,
    QUERIES_ON_A_GPU,
    OnDevice,
)

_ROOM = 1024
"""Candidates that a query's row of the buffer holds."""
_FULL_ENOUGH = _ROOM // 2


class FusedFinder:
    """device  cuda, cuda:1, ...; or cpu with Triton's interpreter, to try it out"""

    queries_at_once = QUERIES_ON_A_GPU
    candidates_at_once = CANDIDATES_ON_A_GPU
    block_bytes = BLOCK_BYTES_OF_A_GPU
    blocks_ahead = BLOCKS_AHEAD_OF_A_GPU
    overfetch = 256

    def __init__(self, device: str) -> None:
        self._device = device

    def relative_error(self, dimension: int) -> float:
        return half_error(dimension)

    def begin(self, queries: Float32, fetch: int) -> Running:
        return FusedOnDevice(queries, fetch, self._device)


def can_fuse(device: str) -> bool:
    """Whether Triton is installed, the device has matrix units that sum in float32 (NVIDIA's from 8.0), and
    the kernel, which Triton compiles on the spot, runs there. Warns where only that fails."""
    if find_spec("triton") is None:
        return False
    import torch

    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    reason = _why_not(device)
    if reason is not None:
        warnings.warn(
            HardnegWarning(
                f"search on {device} goes by torch alone, several times slower: Triton's kernel does not run "
                f"there ({reason}); Triton needs a C compiler such as gcc"
            ),
            stacklevel=2,
        )
    return reason is None


def _why_not(device: str) -> str | None:
    """What keeps the kernel from running, with tiles of the size that it always has; None: nothing."""
    one = np.ones((1, 1), np.float32)
    try:
        running = FusedOnDevice(one, 1, device)
        for start in range(2):  # the first fills the list, the second is compared with its threshold
            running.add(start, one)
    except Exception as error:  # no compiler, no headers, too little shared memory: whatever Triton runs into
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


class FusedOnDevice:
    """Once `fetch` documents are known, the least of them is the threshold of the blocks that follow.

    What is above it gathers in a buffer, until a query's row is half full; then the best are kept, and the
    threshold rises. A block that has more for a query than a row holds is compared again for that query, with
    all scores of the block: that is slow, but happens only where documents lie in order of their scores.
    """

    def __init__(self, queries: Float32, fetch: int, device: str) -> None:
        import torch

        self._torch = torch
        self._best = OnDevice(queries, fetch, device, half=True)
        count = len(queries)
        self._count = torch.zeros(count, dtype=torch.int32, device=device)
        self._score = torch.empty((count, _ROOM), dtype=torch.float32, device=device)
        self._row = torch.empty((count, _ROOM), dtype=torch.int32, device=device)
        self._threshold = torch.empty(count, dtype=torch.float32, device=device)

    def add(self, start: int, vectors: Float32) -> None:
        if self._best.score.shape[1] < self._best.fetch:
            self._best.add(start, vectors)
            self._raise_threshold()
            return
        self.add_there(start, *self._best.there(vectors))

    def add_there(self, start: int, documents: Any, scale: float) -> None:
        """A block that is on the device, float16 (rows, dimension), and what its scores are multiplied by."""
        from hardneg.search.fused_kernel import keep_above

        before = self._count.clone()
        buffer = self._count, self._score, self._row
        keep_above(self._best.queries, documents, scale, self._threshold, *buffer, start)
        most = int(self._count.max())
        if most > _ROOM:
            over = self._torch.nonzero(self._count > _ROOM).flatten()
            self._count[over] = before[over]
            self._keep_best()
            self._best.score[over], self._best.row[over] = self._best.best_of(over, documents, scale, start)
            self._raise_threshold()
        elif most > _FULL_ENOUGH:
            self._keep_best()

    def best(self) -> tuple[Int32, Float32]:
        self._keep_best()
        return self._best.best()

    def _keep_best(self) -> None:
        """Of those kept before and of the buffer, which is empty then."""
        used = min(_ROOM, int(self._count.max())) if len(self._count) else 0
        if not used:
            return
        torch = self._torch
        place = torch.arange(used, device=self._count.device)
        empty = place[None, :] >= self._count[:, None]
        score = self._score[:, :used].masked_fill(empty, -np.inf)
        self._best.score, self._best.row = self._best.merged(slice(None), score, self._row[:, :used])
        self._count.zero_()
        self._raise_threshold()

    def _raise_threshold(self) -> None:
        if self._best.score.shape[1] == self._best.fetch:
            self._threshold = self._best.score.amin(dim=1)
