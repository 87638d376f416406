"""What mining costs as the corpus grows ten and a hundred times: time of each stage in a chart, peak memory.

Made-up texts of 30 words, of a vocabulary of 50,000 with Zipf's frequencies, are written as a BEIR folder and
mined by `dense` and `bm25` with the guard on, a process for each size. The encoder makes vectors from the
number that a text begins with, so its stage is hashing, storing and checking; a model costs so much a text.

    python benchmarks/growth.py [--smallest N] [--queries N]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import hardneg
from hardneg.records import Float32
from hardneg.run_directory import RunDirectory
from measuring import RESULTS, print_table, run_process, write_result

TIMES = (1, 10, 100)
WORDS, VOCABULARY, DIMENSION = 30, 50_000, 384
STAGES = {"read": ("read",), "encode": ("encode",), "search": ("search",), "guard and select": ("select",)}


class Numbered:
    """An encoder: a text that begins with number n has the sum of two of 2,048 random vectors, by n."""

    name = "numbered"
    similarity = "cosine"
    dimension = DIMENSION

    def __init__(self) -> None:
        self._base = np.random.default_rng(0).standard_normal((2, 1024, DIMENSION)).astype(np.float32)

    def fingerprint(self, kind: str) -> dict[str, str]:
        return {"encoder": "numbered"}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Float32:
        number = np.array([text.partition(" ")[0] for text in texts], np.int64)
        vectors = self._base[0, number % 1024] + self._base[1, number // 1024 % 1024]
        found: Float32 = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return found


def write_beir(folder: Path, documents: int, queries: int) -> None:
    draws = np.random.default_rng(1)
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as corpus:
        for start in range(0, documents, 10_000):
            rows = np.minimum(draws.zipf(1.3, (min(10_000, documents - start), WORDS)), VOCABULARY)
            for number, words in enumerate(rows.tolist(), start):
                text = f"{number} " + " ".join(f"w{word}" for word in words)
                corpus.write(json.dumps({"_id": f"d{number}", "title": "", "text": text}) + "\n")
    with (folder / "queries.jsonl").open("w") as file:
        for number in range(queries):
            words = " ".join(f"w{word}" for word in np.minimum(draws.zipf(1.3, 8), VOCABULARY).tolist())
            file.write(json.dumps({"_id": f"q{number}", "text": f"{number} {words}"}) + "\n")
    judged = "".join(f"q{number}\td{number}\t1\n" for number in range(queries))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)


def mine(folder: str, run: str) -> None:
    hardneg.mine(folder, model=Numbered(), run_dir=run, retriever=("dense", "bm25"))


def measured(documents: int, queries: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder, run = Path(scratch) / "data", Path(scratch) / "run"
        write_beir(folder, documents, queries)
        command = [sys.executable, __file__, "--mine", str(folder), str(run)]
        used = run_process(command, {"HARDNEG_CACHE": f"{scratch}/cache"})
        timings = RunDirectory(run).manifest()["timings"]
    stages = {
        name: sum(seconds for stage, seconds in timings.items() if stage.startswith(prefixes))
        for name, prefixes in STAGES.items()
    }
    return {"documents": documents, "seconds": used["seconds"], **stages, "peak_bytes": used["peak_bytes"]}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    import altair
    import vl_convert

    last = rows[-1]
    points = [
        {
            "documents": row["documents"],
            "seconds": max(row[stage], 0.01),
            "what": "all" if stage == "seconds" else stage,
        }
        for row in rows
        for stage in ("seconds", *STAGES)
    ]
    points += [
        {
            "documents": row["documents"],
            "seconds": last["seconds"] * row["documents"] / last["documents"],
            "what": "in proportion to the largest",
        }
        for row in rows
    ]
    x = altair.X("documents:Q", scale=altair.Scale(type="log"))
    y = altair.Y("seconds:Q", scale=altair.Scale(type="log"))
    lines = altair.Chart(altair.Data(values=points)).mark_line(point=True).encode(x, y, color="what:N")
    figure = lines.properties(width=480, height=320, background="white").to_dict()
    path.write_text(vl_convert.vegalite_to_svg(figure), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smallest", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--mine", nargs=2, metavar=("FOLDER", "RUN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mine:
        mine(*arguments.mine)
        return
    rows = [measured(arguments.smallest * times, arguments.queries) for times in TIMES]
    print_table(rows)
    write_result("growth", rows, queries=arguments.queries)
    draw(rows, RESULTS / "growth.svg")


if __name__ == "__main__":
    main()
