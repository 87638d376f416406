"""Exact search over 2 million × 384 float16 vectors on disk: its peak anonymous memory, and its result.

Mapped pages of the vectors' file are the system's to drop and are not counted; what is counted is RssAnon of
a process of its own, above what the interpreter and the libraries held before the search. The result is
compared with a brute force of another kind (float64 matrix products, the best rescored with `math.fsum`): 100
of the queries over the whole corpus, and all of them over a part of it. One document in twenty is a twin.

    python benchmarks/search_memory.py [--documents N] [--queries N] [--depth N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hardneg.encode.own_vectors import OwnVectors
from measuring import print_table, write_result

DIMENSION = 384
ALLOWED_BYTES = 1 << 30
SAMPLE = 100
PART = 20_000


def mapped(path: Path) -> OwnVectors:
    """A float16 .npy file, mapped; read as float32."""
    array = np.load(path, mmap_mode="r")
    return OwnVectors(array, None, None, len(array))


class PeakMemory:
    """The largest RssAnon of this process while the block runs, bytes, looked at every 5 ms."""

    def __enter__(self) -> PeakMemory:
        self.before = self.peak = anonymous_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, anonymous_bytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


def anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this benchmark reads RssAnon from /proc/self/status, which only Linux has")


def make_vectors(path: Path, count: int, seed: int) -> None:
    """Unit vectors, one in twenty a copy of one before it."""
    rng = np.random.default_rng(seed)
    array = np.lib.format.open_memmap(path, "w+", np.float16, (count, DIMENSION))
    for start in range(0, count, 50_000):
        part = rng.standard_normal((min(50_000, count - start), DIMENSION), np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        twins = np.arange(19, len(part), 20)
        part[twins] = part[rng.integers(0, twins)]
        array[start : start + len(part)] = part
    array.flush()


def search(folder: Path, depth: int) -> None:
    """Search and measure; the process that runs this does nothing else."""
    import faiss

    from hardneg.progress import Silent
    from hardneg.search.exact import DenseRetriever

    faiss.knn(np.ones((32, 8), np.float32), np.ones((32, 8), np.float32), 1, faiss.METRIC_INNER_PRODUCT)
    queries, documents = mapped(folder / "queries.npy"), mapped(folder / "documents.npy")
    rows = np.arange(queries.shape[0], dtype=np.int32)
    positives = (rows[:, None] * 7 % documents.shape[0]).astype(np.int32)
    with PeakMemory() as memory:
        started = time.monotonic()
        ranking = DenseRetriever("dense", queries, documents).search(rows, depth, positives, Silent())
        seconds = time.monotonic() - started
    np.savez(folder / "found.npz", doc=ranking.doc, score=ranking.score)
    facts = {"seconds": seconds, "before_bytes": memory.before, "above_bytes": memory.peak - memory.before}
    (folder / "measured.json").write_text(json.dumps(facts))


def brute_force(queries: Any, documents: Any, depth: int) -> tuple[Any, Any]:
    """Documents and scores by (float32 of the exact dot product, row), through float64 and fsum."""
    fetch = min(len(documents), depth + 100)
    best_score, best_doc = np.zeros((len(queries), 0)), np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(documents), 20_000):
        score = queries.astype(np.float64) @ documents[start : start + 20_000].astype(np.float64).T
        row = np.broadcast_to(np.arange(start, start + score.shape[1]), score.shape)
        score, row = np.hstack([best_score, score]), np.hstack([best_doc, row])
        keep = np.argsort(-score, axis=1, kind="stable")[:, :fetch]
        best_score, best_doc = np.take_along_axis(score, keep, axis=1), np.take_along_axis(row, keep, axis=1)
    exact = np.array([exact_scores(q, documents[d]) for q, d in zip(queries, best_doc, strict=True)])
    order = np.lexsort((best_doc, -exact), axis=1)[:, :depth]
    return np.take_along_axis(best_doc, order, axis=1), np.take_along_axis(exact, order, axis=1)


def exact_scores(query: Any, documents: Any) -> Any:
    """float32 (n,): each dot product rounded once, from its exact value."""
    products = query.astype(np.float64) * documents.astype(np.float64)
    return np.array([math.fsum(row) for row in products.tolist()], np.float32)


def check_whole(folder: Path, depth: int) -> int:
    """Compare a sample of the queries over the whole corpus; how many were the same."""
    queries, documents = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("queries", "documents"))
    found = np.load(folder / "found.npz")
    sample = np.linspace(0, len(queries) - 1, min(SAMPLE, len(queries))).astype(int)
    doc, score = brute_force(queries[sample], documents, depth)
    same = (found["doc"][sample] == doc).all(axis=1) & (found["score"][sample] == score).all(axis=1)
    return report("whole corpus", same)


def check_part(folder: Path, depth: int) -> int:
    """Compare all queries over a part of the corpus."""
    from hardneg.progress import Silent
    from hardneg.search.exact import DenseRetriever

    np.save(folder / "part.npy", np.load(folder / "documents.npy", mmap_mode="r")[:PART])
    queries, documents = mapped(folder / "queries.npy"), mapped(folder / "part.npy")
    rows = np.arange(queries.shape[0], dtype=np.int32)
    retriever = DenseRetriever("dense", queries, documents, block_bytes=4 << 20)
    ranking = retriever.search(rows, depth, np.zeros((len(rows), 0), np.int32), Silent())
    doc, score = brute_force(queries.take(rows), np.load(folder / "part.npy"), depth)
    same = (ranking.doc == doc).all(axis=1) & (ranking.score == score).all(axis=1)
    return report("part of the corpus", same)


def report(what: str, same: Any) -> int:
    print(f"{what}: {int(same.sum()):,} of {len(same):,} queries equal the brute force", flush=True)
    if not same.all():
        raise SystemExit(f"{what}: query {int(np.argmin(same))} of those compared differs")
    return len(same)


def run(folder: Path, arguments: argparse.Namespace) -> None:
    make_vectors(folder / "documents.npy", arguments.documents, 1)
    make_vectors(folder / "queries.npy", arguments.queries, 2)
    command = [
        sys.executable,
        __file__,
        "--folder",
        str(folder),
        "--depth",
        str(arguments.depth),
        "--search-only",
    ]
    subprocess.run(command, check=True)
    facts = json.loads((folder / "measured.json").read_text())
    rows = [
        {
            "documents": arguments.documents,
            "queries": arguments.queries,
            "depth": arguments.depth,
            "seconds": facts["seconds"],
            "interpreter_and_libraries_mb": facts["before_bytes"] / 1e6,
            "above_mb": facts["above_bytes"] / 1e6,
            "allowed_mb": ALLOWED_BYTES / 1e6,
            "equal_over_whole_corpus": check_whole(folder, arguments.depth),
            "equal_over_part": check_part(folder, arguments.depth),
        }
    ]
    print_table(rows)
    write_result("search_memory", rows, dimension=DIMENSION, stored="float16", documents_of_the_part=PART)
    if facts["above_bytes"] > ALLOWED_BYTES:
        raise SystemExit(f"{facts['above_bytes']:,} bytes are more than the {ALLOWED_BYTES:,} allowed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=2_000_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument(
        "--folder", type=Path, help="where the vectors are written; default: a temporary folder"
    )
    parser.add_argument("--search-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.search_only:
        search(arguments.folder, arguments.depth)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run(Path(folder), arguments)


if __name__ == "__main__":
    main()
