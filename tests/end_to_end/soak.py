"""Mines, chooses and exports again and again, in a process of its own: prints what it holds as JSON.

python soak.py FOLDER MODEL ROUNDS
"""

from __future__ import annotations

import gc
import json
import random
import sys
from pathlib import Path
from typing import Any

import psutil

import hardneg

WORDS = "anchor basalt candle delta ember falcon granite harbor island juniper kettle lagoon meadow".split()
WARM_UP = 3
"""Rounds after which what is loaded, started and cached once is there."""


def source(texts: int) -> list[dict[str, str]]:
    draw = random.Random(5)
    sentence = lambda: " ".join(draw.choices(WORDS, k=12))  # noqa: E731  # one line
    return [{"query": f"{sentence()} {n}", "positive": f"{sentence()} {n}"} for n in range(texts)]


class Held:
    """What this process holds now."""

    def __init__(self) -> None:
        gc.collect()
        process = psutil.Process()
        self.handles = process.num_fds()
        self.threads = process.num_threads()
        self.children = len(process.children())
        self.megabytes = process.memory_info().rss / 1e6


def soak(folder: Path, model: Path, rounds: int, texts: int = 200) -> tuple[Held, Held]:
    """What is held after the warm-up, and after all rounds.

    A round mines into a folder of its own (encoding, search and guard anew, its own cache), chooses twice,
    exports, looks at a query, and goes on from what is stored.
    """
    rows, warm = source(texts), None
    for number in range(rounds):
        place = folder / str(number % 2)
        settings: dict[str, Any] = {
            "retriever": ("dense", "bm25"),
            "model": str(model),
            "cache_dir": str(place / "cache"),
            "backend": "torch",
            "depth": 30,
            "query_prompt": f"{number}: ",  # other vectors: nothing of the round before will do
        }
        for _ in range(2):
            mined = hardneg.mine(rows, run_dir=place / "run", num_negatives=3, **settings)
        chosen = mined.select(name="other", sampler="random", seed=number, num_negatives=2)
        for name, run in (("first", mined), ("other", chosen)):
            run.to("flagembedding", place / f"{name}.jsonl")
        mined.inspect(mined.outcomes["query_id"][0].as_py())
        assert chosen.negatives.num_rows
        if number + 1 == WARM_UP:
            warm = Held()
    assert warm is not None
    return warm, Held()


if __name__ == "__main__":
    folder, model, rounds = sys.argv[1:]
    print(json.dumps([vars(held) for held in soak(Path(folder), Path(model), int(rounds))]))
