"""Do vectors of fewer bits mine the same negatives? The best of a real collection, in fp32 and in each other.

    HARDNEG_DATA=... python benchmarks/precision.py [--collection NAME] [--precision NAME ...]

A processor without bfloat16 computes it slowly; --max-length makes that bearable.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import hardneg
from measuring import print_table, shared_data, write_result

MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", default="scifact")
    parser.add_argument("--max-length", type=int, default=None)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", nargs="+", default=["bf16", "int8"], help="beside fp32")
    parser.add_argument("--num-negatives", type=int, default=15)
    arguments = parser.parse_args()
    chosen = {}
    with tempfile.TemporaryDirectory() as scratch:
        for precision in ("fp32", *arguments.precision):
            mined = hardneg.mine(
                str(shared_data(arguments.collection)),
                model=MODEL,
                run_dir=Path(scratch) / precision,
                precision=precision,
                backend=arguments.backend,
                max_length=arguments.max_length,
                window="10:210",
                depth=210,
                sampler="top",
                num_negatives=arguments.num_negatives,
            )
            rows = mined.negatives.select(["query_id", "doc_id"]).to_pylist()
            chosen[precision] = {(row["query_id"], row["doc_id"]) for row in rows}
    full = chosen["fp32"]
    rows = [
        {
            "collection": arguments.collection,
            "precision": precision,
            "negatives": len(full),
            "same": len(full & chosen[precision]) / len(full),
        }
        for precision in arguments.precision
    ]
    print_table(rows)
    write_result("precision", rows, max_length=arguments.max_length, backend=arguments.backend)


if __name__ == "__main__":
    main()
