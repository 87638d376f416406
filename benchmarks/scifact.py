"""SciFact (train, MiniLM), raw files to training file: hardneg beside sentence-transformers, in pairs.

Both: 15 random negatives of raw ranks 11 to 210, in processes of their own, hardneg's vector store empty.
Then hardneg alone: choosing again with another seed and with another window.

    python benchmarks/scifact.py [--pairs N] [--precisions auto fp32]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import print_table, run_process, shared_data, write_result

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
HARDNEG = str(Path(sys.executable).with_name("hardneg"))
OFFLINE = {"HF_HUB_OFFLINE": "1"}
_GB = ("peak_bytes", 1e9)


def peer(data: str, output: str, batch_size: int) -> None:
    """What a careful user of sentence-transformers writes for the same task."""
    import csv

    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    from hardneg.encode.model_folder import find_model

    folder = Path(data)
    corpus = {}
    with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            corpus[row["_id"]] = f"{row['title']} {row['text']}".strip()
    with (folder / "queries.jsonl").open(encoding="utf-8") as lines:
        queries = {row["_id"]: row["text"] for row in map(json.loads, lines)}
    with (folder / "qrels" / "train.tsv").open(encoding="utf-8") as lines:
        pairs = [(row["query-id"], row["corpus-id"]) for row in csv.DictReader(lines, delimiter="\t")]
    mined = mine_hard_negatives(
        Dataset.from_dict({"query": [queries[q] for q, _ in pairs], "answer": [corpus[d] for _, d in pairs]}),
        SentenceTransformer(str(find_model(MODEL).path)),
        corpus=list(corpus.values()),
        range_min=10,
        range_max=210,
        num_negatives=15,
        sampling_strategy="random",
        output_format="n-tuple",
        batch_size=batch_size,
        verbose=False,
    )
    mined.to_json(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16, help="of sentence-transformers: its best here")
    parser.add_argument("--precisions", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        peer(*arguments.peer, arguments.batch_size)
        return
    data = str(shared_data("scifact"))
    mined: dict[str, list[dict[str, float]]] = {precision: [] for precision in arguments.precisions}
    theirs, again = [], []
    for _ in range(arguments.pairs):
        with tempfile.TemporaryDirectory() as scratch:
            for precision, runs in mined.items():
                runs.append(mine(data, Path(scratch) / precision, precision))
            theirs.append(
                run_process([sys.executable, __file__, "--peer", data, f"{scratch}/b.jsonl",
                             "--batch-size", str(arguments.batch_size)], OFFLINE)
            )  # fmt: skip
            for extra in (["--seed", "7"], ["--window", "5:50"]):
                first = Path(scratch) / arguments.precisions[0]
                select = [HARDNEG, "select", str(first / "run"), "--name", f"again{len(again)}", *extra]
                again.append(run_process(select, environment(first)))
    rows = []
    for precision, runs in mined.items():
        ratios = [peer["seconds"] / own["seconds"] for peer, own in zip(theirs, runs, strict=True)]
        rows += [
            {"what": f"hardneg mine, {precision} (s)", "median": _median(runs), "all": _all(runs)},
            {"what": f"peer over {precision}, pairwise", "median": statistics.median(ratios), "all": ratios},
            {"what": f"hardneg mine, {precision}, peak (GB)", "median": _peak(runs), "all": _all(runs, *_GB)},
        ]
    rows += [
        {"what": "sentence-transformers, the same (s)", "median": _median(theirs), "all": _all(theirs)},
        {"what": "sentence-transformers, peak (GB)", "median": _peak(theirs), "all": _all(theirs, *_GB)},
        {"what": "hardneg select, other seed or window (s)", "median": _median(again), "all": _all(again)},
    ]
    print_table([{**row, "all": ", ".join(f"{value:.2f}" for value in row["all"])} for row in rows])
    write_result("scifact", rows, batch_size_of_peer=arguments.batch_size)


def mine(data: str, scratch: Path, precision: str) -> dict[str, float]:
    command = [HARDNEG, "mine", data, "--run-dir", f"{scratch}/run", "--recipe", "bge"]
    command += ["--shortfall", "backfill", "--precision", precision]
    command += ["--to", "st-n-tuple", "--output", f"{scratch}/a.jsonl"]
    return run_process(command, environment(scratch))


def environment(scratch: Path) -> dict[str, str]:
    return {"HARDNEG_CACHE": str(scratch / "cache"), **OFFLINE}


def _all(runs: list[dict[str, float]], what: str = "seconds", unit: float = 1.0) -> list[float]:
    return [round(run[what] / unit, 2) for run in runs]


def _median(runs: list[dict[str, float]]) -> float:
    return statistics.median(_all(runs))


def _peak(runs: list[dict[str, float]]) -> float:
    return statistics.median(_all(runs, *_GB))


if __name__ == "__main__":
    main()
