"""What the guard costs: 100,000 queries × 100 candidates, five positives a query, vectors at hand."""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from hardneg.guard.fitted import Company, Judge, Others, Sight, Space, learn, shipped_weights
from hardneg.guard.fitted.episodes import known_places
from hardneg.guard.fitted.model import FOLDS
from hardneg.records import Block, Pairs
from measuring import print_table, write_result

DOCUMENTS, DIMENSION, WORDS, POSITIVES, SAMPLE = 200_000, 384, 512, 5, 3000
PART = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--depth", type=int, default=100)
    asked = parser.parse_args()
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=(DOCUMENTS, DIMENSION)).astype(np.float32)
    words = draws.integers(-127, 128, (DOCUMENTS, WORDS)).astype(np.int8)
    query_rows = draws.integers(0, DOCUMENTS, asked.queries)
    space = Space("dense", lambda rows: vectors[query_rows[rows]], lambda rows: vectors[rows])
    lexical = Space(
        "words",
        lambda rows: words[query_rows[rows]].astype(np.float32),
        lambda rows: words[rows].astype(np.float32),
        whole=True,
    )
    positive = draws.integers(0, DOCUMENTS, (asked.queries, POSITIVES), dtype=np.int32)
    rows = np.repeat(np.arange(asked.queries, dtype=np.int32), POSITIVES)
    positives = Pairs.from_rows(rows, positive.ravel(), asked.queries)
    near = draws.integers(0, asked.queries, (asked.queries, 50), dtype=np.int32)
    weight = (draws.integers(0, 1025, near.shape) / 1024).astype(np.float32)
    first, whole = shipped_weights()
    started = time.perf_counter()
    sight = Sight((space,), lexical, Company(Others(positives, near, weight, DOCUMENTS)), first)
    fold = (np.arange(asked.queries) % FOLDS).astype(np.int32)
    sample = block_of(draws, positives, np.arange(min(SAMPLE, asked.queries), dtype=np.int32), asked.depth)
    model = learn([(sample, ~known_places(sample))], sight, whole, fold, queries=len(sample.query))
    fitted = time.perf_counter() - started
    judge, judging = Judge(sight, model, fold), 0.0
    for start in range(0, asked.queries, PART):
        query = np.arange(start, min(start + PART, asked.queries), dtype=np.int32)
        block = block_of(draws, positives, query, asked.depth)
        started = time.perf_counter()
        judge.log_odds(block, ~known_places(block))
        judging += time.perf_counter() - started
    row = {
        "queries": asked.queries,
        "depth": asked.depth,
        "fit, s": round(fitted, 1),
        "judge, s": round(judging, 1),
        "in all, s": round(fitted + judging, 1),
        "peak, GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print_table([row])
    write_result("guard_cost", [row])


def block_of(draws: np.random.Generator, positives: Pairs, query: np.ndarray, depth: int) -> Block:
    """Random candidates in falling order, two of the positives among them."""
    known = positives.padded(query)
    doc = draws.integers(0, DOCUMENTS, (len(query), depth), dtype=np.int32)
    doc[:, 5], doc[:, 40] = known[:, 0], known[:, 1]
    score = -np.sort(-draws.random(doc.shape, dtype=np.float32), axis=1)
    rank = np.tile(np.arange(1, depth + 1, dtype=np.int32), (len(query), 1))
    held = draws.random(known.shape, dtype=np.float32)
    nothing = np.full(doc.shape, np.nan, np.float32)
    return Block(query, doc, {"dense": rank}, {"dense": score}, known, {"dense": held}, nothing)


if __name__ == "__main__":
    main()
