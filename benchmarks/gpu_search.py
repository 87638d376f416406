"""Exact search on a GPU: one pass (Triton) beside torch's product and topk, and the product alone.

What lies on the device already is searched first, as a rate; then documents come from float16 in main memory,
through the retriever that `mine` uses, every boundary proved and all scores canonical, and a sample of the
queries is compared with float64.

    python benchmarks/gpu_search.py [--documents N] [--queries N] [--whole-queries N] [--dimension N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hardneg.progress import Silent
from hardneg.search.choice import finders
from hardneg.search.exact import DenseRetriever
from hardneg.search.finders import BLOCK_BYTES_OF_A_GPU
from hardneg.search.fused_finder import FusedFinder, FusedOnDevice
from hardneg.search.torch_finder import OnDevice
from measuring import print_table, write_result

SAMPLE = 32


class InMemory:
    """`protocols.Vectors` over float16 in main memory."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors, self.shape = vectors, vectors.shape

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors[rows].astype(np.float32)

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.vectors[start:stop].astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--whole-queries", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--depth", type=int, default=200)
    arguments = parser.parse_args()
    import torch

    torch.manual_seed(0)
    documents = made(arguments.documents, arguments.dimension)
    queries = made(arguments.queries, arguments.dimension).float().cpu().numpy()
    fetch = arguments.depth + FusedFinder.overfetch
    rows = on_device(queries, documents, fetch)
    vectors = documents.cpu().numpy()
    del documents
    torch.cuda.empty_cache()
    rows += whole(queries[: arguments.whole_queries], vectors, arguments.depth)
    print_table(rows)
    write_result("gpu_search", rows, gpu=torch.cuda.get_device_name(), torch=torch.__version__)


def made(rows: int, dimension: int) -> Any:
    """float16 (rows, dimension) on the device: directions drawn at random."""
    import torch

    found = torch.empty((rows, dimension), dtype=torch.float16, device="cuda")
    for part in found.split(1 << 20):
        drawn = torch.randn(part.shape, device="cuda")
        part.copy_(drawn / drawn.norm(dim=1, keepdim=True))
    return found


def on_device(queries: np.ndarray, documents: Any, fetch: int) -> list[dict[str, Any]]:
    """Rates in operations of the product, 2 x queries x documents x dimension, over time."""
    step = BLOCK_BYTES_OF_A_GPU // (4 * documents.shape[1]) // 256 * 256
    blocks = documents.split(step)
    fused = FusedOnDevice(queries, fetch, "cuda")
    half = fused._best.queries

    def product() -> None:
        for block in blocks[:20]:
            for part in half.split(1 << 14):
                part @ block.T

    def one_pass(state: FusedOnDevice) -> None:
        state._best.add(0, blocks[0].float().cpu().numpy())
        state._raise_threshold()
        for number, block in enumerate(blocks[1:], 1):
            state.add_there(number * step, block, 1.0)
        state._keep_best()

    def product_and_topk() -> None:
        state = OnDevice(queries, fetch, "cuda", half=True)
        for number, block in enumerate(blocks[:5]):
            parts = [
                state.best_of(slice(first, first + 4096), block, 1.0, number * step)
                for first in range(0, len(queries), 4096)
            ]
            state.score, state.row = (torch_cat(part) for part in zip(*parts, strict=True))

    per_block = 2 * len(queries) * step * documents.shape[1]
    one_pass(FusedOnDevice(queries[:1000], fetch, "cuda"))
    alone = [seconds(product) for _ in range(3)]
    passed = [seconds(lambda: one_pass(FusedOnDevice(queries, fetch, "cuda"))) for _ in range(2)]
    beside = seconds(product_and_topk)
    rate = 20 * per_block / min(alone)
    all_work = 2 * len(queries) * len(documents) * documents.shape[1]
    return [
        row("the product alone, 20 blocks", min(alone), rate, rate),
        row("one pass, all documents", min(passed), all_work / min(passed), rate),
        row("torch's product and topk, 5 blocks", beside, 5 * per_block / beside, rate),
    ]


def torch_cat(parts: Any) -> Any:
    import torch

    return torch.cat(parts)


def whole(queries: np.ndarray, vectors: np.ndarray, depth: int) -> list[dict[str, Any]]:
    retriever = DenseRetriever(
        "dense", InMemory(queries), InMemory(vectors), finders=finders("exact", "cuda")
    )
    every = np.arange(len(queries), dtype=np.int32)
    started = time.perf_counter()
    found = retriever.search(every, depth, np.zeros((len(queries), 0), np.int32), Silent())
    took = time.perf_counter() - started
    sample = np.linspace(0, len(queries) - 1, SAMPLE).astype(int)
    wrong = int((found.doc[sample] != brute_force(queries[sample], vectors, depth)).any(axis=1).sum())
    work = 2 * len(queries) * vectors.size
    what = f"mine's search of {len(queries):,} queries from main memory"
    return [
        row(what, took, work / took),
        {"what": f"wrong of {SAMPLE} queries", "seconds": "", "TFLOP/s": wrong, "of the product": ""},
    ]


def brute_force(queries: np.ndarray, vectors: np.ndarray, depth: int) -> np.ndarray:
    import torch

    left = torch.from_numpy(queries).cuda().double()
    scores = torch.cat(
        [
            left @ torch.from_numpy(vectors[start : start + (1 << 19)]).cuda().double().T
            for start in range(0, len(vectors), 1 << 19)
        ],
        dim=1,
    )
    best: np.ndarray = scores.topk(depth, dim=1).indices.cpu().numpy()
    return best


def row(what: str, took: float, rate: float, ceiling: float | None = None) -> dict[str, Any]:
    share = "" if ceiling is None else f"{rate / ceiling:.2f}"
    return {
        "what": what,
        "seconds": round(took, 3),
        "TFLOP/s": round(rate / 1e12, 1),
        "of the product": share,
    }


def seconds(work: Callable[[], Any]) -> float:
    import torch

    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
