"""Exact search over mapped float16 vectors beside FAISS's own flat search, which holds them all as float32.

Each pair runs both one after the other in one process, in turns; what counts is the ratio of the medians.
FAISS is given what it needs, the whole matrix in memory, before its time begins; hardneg reads the mapped
file block by block, widens it, proves every boundary and scores canonically. The matrix product alone, of
the same shapes, is the machine's rate.

    python benchmarks/search_rate.py [--documents N] [--queries N] [--depth N] [--pairs N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hardneg.encode.own_vectors import OwnVectors
from measuring import print_table, write_result
from search_memory import DIMENSION, make_vectors, mapped

TILE = 16_384


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=5_000_000)
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="where the vectors lie, or are made; default: a temporary"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hardneg-") as temporary:
        measure(asked.folder or Path(temporary), asked)


def measure(folder: Path, asked: argparse.Namespace) -> None:
    """One after the other, as often as there are pairs."""
    queries = stored(folder / f"queries-{asked.queries}.npy", asked.queries, 2)
    documents = stored(folder / f"documents-{asked.documents}.npy", asked.documents, 1)
    rows = np.arange(asked.queries, dtype=np.int32)
    vectors, whole = queries.take(rows), documents.block(0, asked.documents)
    ways: dict[str, Callable[[], Any]] = {
        "FAISS, all in memory": lambda: flat(vectors, whole, asked.depth),
        "hardneg, from the file": lambda: streamed(queries, documents, rows, asked.depth),
        "matrix product alone": lambda: product(vectors, whole),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.pairs):
        for name, way in ways.items():
            began, used = time.monotonic(), time.process_time()
            way()
            seconds[name].append(time.monotonic() - began)
            processor[name].append(time.process_time() - used)
            print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    operations = 2 * asked.documents * asked.queries * DIMENSION
    of_faiss = "FAISS, all in memory"
    table = [
        {
            "way": name,
            "seconds": median(seconds[name]),
            "GFLOP/s": operations / median(seconds[name]) / 1e9,
            "rate over FAISS's": median(seconds[of_faiss]) / median(seconds[name]),
            "same, processor time": median(processor[of_faiss]) / median(processor[name]),
        }
        for name in ways
    ]
    print_table(table)
    write_result(
        "search_rate",
        table,
        dimension=DIMENSION,
        stored="float16",
        documents=asked.documents,
        queries=asked.queries,
        depth=asked.depth,
        pairs=asked.pairs,
    )


def stored(path: Path, count: int, seed: int) -> OwnVectors:
    if not path.exists():
        make_vectors(path, count, seed)
    return mapped(path)


def flat(queries: Any, documents: Any, depth: int) -> Any:
    import faiss

    return faiss.knn(queries, documents, depth, faiss.METRIC_INNER_PRODUCT)


def streamed(queries: OwnVectors, documents: OwnVectors, rows: Any, depth: int) -> Any:
    from hardneg.progress import Silent
    from hardneg.search.exact import DenseRetriever

    nothing = np.zeros((len(rows), 0), np.int32)
    return DenseRetriever("dense", queries, documents).search(rows, depth, nothing, Silent())


def product(queries: Any, documents: Any) -> None:
    for start in range(0, len(documents), TILE):
        queries @ documents[start : start + TILE].T


if __name__ == "__main__":
    main()
