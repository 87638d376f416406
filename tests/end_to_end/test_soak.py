"""Long work stays calm: mining, choosing and exporting again and again holds no more than at first."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

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


def grown(warm: Held, now: Held, megabytes: float) -> list[str]:
    """What is more than it may be. Threads of pools come and go; a handle that is left is a fault."""
    bounds = {"handles": 0, "threads": 2, "children": 0, "megabytes": megabytes}
    return [
        f"{name}: {getattr(warm, name):,.0f}, then {getattr(now, name):,.0f}"
        for name, bound in bounds.items()
        if getattr(now, name) > getattr(warm, name) + bound
    ]


def test_ten_rounds_hold_no_more_than_three(tiny: Path, tmp_path: Path) -> None:
    warm, now = soak(tmp_path, tiny, 10)
    assert not grown(warm, now, megabytes=30)


@pytest.mark.slow
@pytest.mark.reliability
def test_hundreds_of_rounds_hold_no_more_than_three(
    tiny: Path, tmp_path: Path, tally: Callable[..., None]
) -> None:
    rounds = 300
    warm, now = soak(tmp_path, tiny, rounds)
    found = grown(warm, now, megabytes=60)
    tally("rounds of mine, select and export in one process", tried=rounds, failed=rounds if found else 0)
    print(vars(warm), vars(now))
    assert not found
