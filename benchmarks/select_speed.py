"""Choosing negatives for 100,000 queries of 200 candidates each, by relative margin and at random.

Three ways: the select stage on blocks in memory; `hardneg select` on a finished run, a whole process from
Parquet to Parquet; and, for scale, the same rule in a plain Python loop over some of the queries.

    python benchmarks/select_speed.py [--queries N] [--depth N] [--repeats N]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import hardneg
from hardneg.config import SelectConfig
from hardneg.records import Block, Int32, Ranking
from hardneg.search.union import union
from hardneg.select import Corpus, Selector
from measuring import print_table, run_process, write_result
from synthetic_run import random_candidates, tables

QUERIES_A_BLOCK = 4096
QUERIES_LOOPED = 2000
RULES = {"relative_margin": 0.05, "sampler": "random", "num_negatives": 4}


class Synthetic:
    """A retriever of random documents with falling scores; the positive lies among the best."""

    name = "synthetic"
    fingerprint = "synthetic"

    def __init__(self, documents: int) -> None:
        self._documents = documents

    def search(self, query: Int32, depth: int, positives: Int32, progress: Any) -> Ranking:
        draw = np.random.default_rng(int(query[0]) if len(query) else 0)
        doc, score = random_candidates(draw, self._documents, len(query), depth)
        own = draw.uniform(0.6, 0.95, positives.shape).astype(np.float32)
        return Ranking(self.name, doc, score, np.where(positives < 0, np.nan, own))


def blocks(retriever: Synthetic, queries: int, documents: int, depth: int) -> Iterator[Block]:
    for start in range(0, queries, QUERIES_A_BLOCK):
        query = np.arange(start, min(start + QUERIES_A_BLOCK, queries), dtype=np.int32)
        positives = (query % documents)[:, None].astype(np.int32)
        yield union(query, [retriever.search(query, depth, positives, None)], positives)


def in_memory(made: list[Block], found: dict[str, pa.Table]) -> float:
    """Seconds of the select stage alone, known positives excluded."""
    corpus = Corpus(
        query_ids=found["queries"]["query_id"],
        doc_ids=found["corpus"]["doc_id"],
        classes=np.full(found["corpus"].num_rows, -1, np.int32),
    )
    excluded = [(block.doc == block.positive).astype(np.uint8) for block in made]
    started = time.monotonic()
    selector = Selector(SelectConfig(**RULES), ("", "positive"), corpus)  # type: ignore[arg-type]
    for block, one in zip(made, excluded, strict=True):
        selector.select(block, one)
    return time.monotonic() - started


def python_loop(made: list[Block]) -> float:
    """Seconds a query of the same rule written as loops over lists."""
    block, draw = made[0], random.Random(0)
    count = min(QUERIES_LOOPED, len(block.query))
    docs, scores = block.doc[:count].tolist(), block.scores["synthetic"][:count].tolist()
    positives, own = block.positive[:count].tolist(), block.positive_scores["synthetic"][:count].tolist()
    chosen: list[tuple[int, int, float]] = []
    started = time.monotonic()
    for place in range(count):
        limit = max(own[place]) - abs(max(own[place])) * 0.05
        known = set(positives[place])
        kept = [
            (doc, score)
            for doc, score in zip(docs[place], scores[place], strict=True)
            if doc not in known and score <= limit
        ]
        for doc, score in draw.sample(kept, min(4, len(kept))):
            chosen.append((place, doc, score))
    return (time.monotonic() - started) / count


def whole_command(found: dict[str, pa.Table], retriever: Any, depth: int, repeats: int) -> list[float]:
    """Seconds of `hardneg select` on a run of these tables, another seed each time."""
    with tempfile.TemporaryDirectory() as scratch:
        run = str(Path(scratch) / "run")
        data = hardneg.load(found)
        hardneg.mine(data, retriever=retriever, run_dir=run, depth=depth, relative_margin=0.05, guard="off")
        command = [str(Path(sys.executable).with_name("hardneg")), "select", run, "--sampler", "random"]
        return [
            run_process([*command, "--seed", str(seed), "--name", f"s{seed}", "--quiet"], {})["seconds"]
            for seed in range(repeats)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    queries, documents, depth = arguments.queries, arguments.documents, arguments.depth
    found, retriever = tables(queries, documents), Synthetic(documents)
    made = list(blocks(retriever, queries, documents, depth))
    stage = [in_memory(made, found) for _ in range(arguments.repeats)]
    loop = [python_loop(made) * queries for _ in range(arguments.repeats)]
    del made
    command = whole_command(found, retriever, depth, arguments.repeats)
    rows = [
        {"what": "select stage, blocks in memory", **_seconds(stage)},
        {"what": "hardneg select, Parquet to Parquet, whole process", **_seconds(command)},
        {"what": f"plain Python loop, scaled from {QUERIES_LOOPED:,} queries", **_seconds(loop)},
    ]
    print_table(rows)
    write_result("select_speed", rows, queries=queries, depth=depth, allowed_seconds=5.0)


def _seconds(values: list[float]) -> dict[str, float]:
    return {
        "median_seconds": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


if __name__ == "__main__":
    main()
