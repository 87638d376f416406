"""A corpus grown by one per cent, and shrunk by as much: what mining it again costs beside mining it anew.

Texts are numbers, and the encoder is a table of random vectors, so that what is counted is the search (and
how many texts are asked for). Each source is mined into the run that knew the one before, and into a new one.

    python benchmarks/grown.py [--documents N] [--queries N] [--dimension N] [--depth N]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import hardneg
from hardneg.records import Float32
from hardneg.run_directory import RunDirectory
from measuring import print_table, write_result

SHARE = 0.01


class Table:
    """An encoder: text number n has random vector n."""

    name = "table"
    similarity = "cosine"

    def __init__(self, texts: int, dimension: int) -> None:
        vectors = np.random.default_rng(0).standard_normal((texts, dimension)).astype(np.float32)
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.dimension = dimension
        self.encoded = 0

    def fingerprint(self, kind: str) -> dict[str, Any]:
        return {"table": list(self._vectors.shape)}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Float32:
        self.encoded += len(texts)
        return self._vectors[np.array(texts, np.int64)]


def source(documents: range, queries: range) -> dict[str, pa.Table]:
    query_ids = [f"q{number:08d}" for number in queries]
    return {
        "corpus": pa.table(
            {"doc_id": [f"d{number:08d}" for number in documents], "text": [str(n) for n in documents]}
        ),
        "queries": pa.table({"query_id": query_ids, "text": [str(n) for n in queries]}),
        "qrels": pa.table({"query_id": query_ids, "doc_id": [f"d{documents[0]:08d}"] * len(queries)}),
    }


def mined(tables: dict[str, pa.Table], table: Table, run: Path, depth: int) -> dict[str, float]:
    before = table.encoded
    hardneg.mine(tables, model=table, run_dir=run, depth=depth, guard="off", near_duplicate=0)
    seconds = RunDirectory(run).manifest()["timings"]["search"]
    return {"texts_encoded": table.encoded - before, "search_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=4096)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--depth", type=int, default=100)
    arguments = parser.parse_args()
    count, few = arguments.documents, int(arguments.documents * SHARE)
    table = Table(count + few + arguments.queries, arguments.dimension)
    queries = range(count + few, count + few + arguments.queries)
    changes = {
        "all of it": range(count),
        "1 % more": range(count + few),
        "1 % fewer": range(few, count + few),
    }
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HARDNEG_CACHE"] = f"{scratch}/cache"
        for change, documents in changes.items():
            tables = source(documents, queries)
            again = mined(tables, table, Path(scratch) / "run", arguments.depth)
            anew = mined(tables, table, Path(scratch) / change.replace(" ", ""), arguments.depth)
            share = again["search_seconds"] / anew["search_seconds"]
            rows.append(
                {"corpus": change, **again, "search_anew_seconds": anew["search_seconds"], "share": share}
            )
    print_table(rows)
    write_result("grown", rows, **vars(arguments))


if __name__ == "__main__":
    main()
