"""A finished run of a million queries with 200 candidates each: choosing 15 negatives, and writing them.

`hardneg select` with the guard's exclusions, its stored probabilities, a relative margin and random sampling,
then `hardneg export` of the ids to Parquet: whole processes, from file to file, each on one core. Beside wall
time the table has processor time, which a busy machine changes less.

    python benchmarks/selection_at_scale.py [--queries N] [--run FOLDER]

The run (made up, see synthetic_run.py) is kept where --run says, for the next time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from measuring import print_table, run_process, write_result
from synthetic_run import make_run

RULES = "--relative-margin 0.05 --sampler random --num-negatives 15 --reference max --quiet".split()
ALLOWED_SECONDS, ALLOWED_BYTES = 60.0, 4 << 30


def measured(run: Path, output: Path) -> list[dict[str, Any]]:
    hardneg = [sys.executable, "-m", "hardneg"]
    output.unlink(missing_ok=True)
    # Another name and seed than any before: a selection that is there is not made again.
    number = len(list((run / "selections").glob("*"))) if (run / "selections").exists() else 0
    name = f"s{number}"
    chosen = run_process(
        [*hardneg, "select", str(run), *RULES, "--seed", str(number), "--name", name], one_core()
    )
    written = run_process(
        [*hardneg, "export", str(run), "--selection", name, "--to", "beir", "--output", str(output)],
        one_core(),
    )
    negatives = run / "selections" / name / "negatives.parquet"
    rows = pq.read_metadata(negatives).num_rows
    return [
        {"what": "hardneg select", **chosen, "negatives": rows},
        {"what": "hardneg export --to beir", **written, "negatives": pq.read_metadata(output).num_rows},
    ]


def one_core() -> dict[str, str]:
    """This process and its children keep to one core, where the system can be told so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return {"OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument("--run", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = arguments.run or Path(scratch) / "run"
        if not (run / "manifest.json").exists():
            make_run(run, arguments.queries, arguments.documents, arguments.depth)
        rows = measured(run, Path(scratch) / "negatives.parquet")
    print_table(rows)
    write_result(
        "selection_at_scale",
        rows,
        queries=arguments.queries,
        documents=arguments.documents,
        depth=arguments.depth,
        allowed_seconds=ALLOWED_SECONDS,
        allowed_bytes=ALLOWED_BYTES,
    )


if __name__ == "__main__":
    main()
