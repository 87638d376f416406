"""Candidates by FAISS: flat inner products, on the CPU in float32, or on all GPUs in half precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hardneg.errors import UsageError
from hardneg.records import Float32, Int32
from hardneg.search.faiss_library import faiss
from hardneg.search.finders import (
    BLOCK_BYTES,
    BLOCK_BYTES_OF_A_GPU,
    CANDIDATES_AT_ONCE,
    Best,
    Running,
    exponent_of,
    float32_error,
    half_error,
    scaled_rows,
)

_TILE = {"distance_compute_blas_query_bs": 1024, "distance_compute_blas_database_bs": 4096}
"""Queries and documents that FAISS multiplies at once. Its own 4096 and 1024 make a tile as large, and 5
to 18 % less speed: a matrix product gains more from wide blocks of documents.
"""
MOST_OF_A_GPU = 2048
"""Documents that a GPU index returns for a query at most."""


class FaissFinder:
    """On the CPU."""

    queries_at_once = 8192
    """All vectors are read, and widened to float32, once for so many."""
    candidates_at_once = CANDIDATES_AT_ONCE
    block_bytes = BLOCK_BYTES
    blocks_ahead = 1
    overfetch = 32

    def relative_error(self, dimension: int) -> float:
        return float32_error(dimension)

    def begin(self, queries: Float32, fetch: int) -> Running:
        return _OnCpu(queries, fetch)


class _OnCpu:
    def __init__(self, queries: Float32, fetch: int) -> None:
        self._queries, self._best = queries, Best(len(queries), fetch)

    def add(self, start: int, vectors: Float32) -> None:
        library = faiss()
        count = min(self._best.fetch, len(vectors))
        with _tiles(library.cvar):
            score, row = library.knn(self._queries, vectors, count, library.METRIC_INNER_PRODUCT)
        self._best.add(score, row + start)

    def best(self) -> tuple[Int32, Float32]:
        return self._best.unpacked()


@contextmanager
def _tiles(settings: Any) -> Iterator[None]:
    """Our tiles for one call: FAISS's settings are the process's, and others may use FAISS too."""
    before = {name: getattr(settings, name) for name in _TILE}
    try:
        for name, value in _TILE.items():
            setattr(settings, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


def sees_gpus() -> bool:
    """Whether FAISS is built for GPUs, and there is one."""
    library = faiss()
    return hasattr(library, "index_cpu_to_all_gpus") and library.get_num_gpus() > 0


class FaissGpuFinder:
    """A flat index of each block, sharded over all GPUs, as float16: what `--index faiss-gpu` asks for.

    Raises UsageError where FAISS is not built for GPUs, sees none, or more is wanted than it returns.
    """

    queries_at_once = 8192
    candidates_at_once = CANDIDATES_AT_ONCE
    block_bytes = BLOCK_BYTES_OF_A_GPU
    blocks_ahead = 1
    overfetch = 256
    deepest = MOST_OF_A_GPU - overfetch

    def __init__(self) -> None:
        if not sees_gpus():
            raise UsageError(
                "--index faiss-gpu: the FAISS that is installed sees no GPU; install one that is built for "
                "yours, or leave --index out (exact search takes a GPU through torch)"
            )

    def relative_error(self, dimension: int) -> float:
        return half_error(dimension)

    def begin(self, queries: Float32, fetch: int) -> Running:
        if fetch > MOST_OF_A_GPU:
            raise UsageError(
                f"--index faiss-gpu finds {self.deepest:,} documents a query at most; ask "
                "for a smaller --depth, or leave --index out"
            )
        return _OnGpus(queries, fetch)


class _OnGpus:
    def __init__(self, queries: Float32, fetch: int) -> None:
        self._queries, self._scale = scaled_rows(queries)
        self._best = Best(len(queries), fetch)

    def add(self, start: int, vectors: Float32) -> None:
        library, exponent = faiss(), exponent_of(vectors)
        index = library.index_cpu_to_all_gpus(library.IndexFlatIP(vectors.shape[1]), _half_shards(library))
        index.add(np.ldexp(vectors, -exponent))
        score, row = index.search(self._queries, min(self._best.fetch, len(vectors)))
        self._best.add(np.ldexp(score * self._scale[:, None], exponent), row + start)

    def best(self) -> tuple[Int32, Float32]:
        return self._best.unpacked()


def _half_shards(library: Any) -> Any:
    options = library.GpuMultipleClonerOptions()
    options.shard = True
    options.useFloat16 = True
    return options
