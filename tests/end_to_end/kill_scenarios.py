"""What is run and killed: small sources in which every stage has something to do, in several parts."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hardneg
from hardneg.records import Float32

WORDS = (
    "anchor basalt candle delta ember falcon granite harbor island juniper kettle lagoon meadow nectar "
    "orchid pebble quartz ridge saddle timber umber valley willow yarrow zephyr"
).split()
QUERIES_A_PART, TEXTS_A_SHARD, PAIRS_AT_ONCE = 10, 16, 64


def cut_small() -> None:
    """Parts, shards and groups so small that there are several of each."""
    from hardneg.encode import plan
    from hardneg.plan import choose, part_scores, retrieve
    from hardneg.plan.checkup import run

    for module in (retrieve, choose, run):
        module.QUERIES_A_PART = QUERIES_A_PART  # type: ignore[attr-defined]
    plan.TEXTS_A_SHARD = TEXTS_A_SHARD
    part_scores.PAIRS_KEPT_AT_ONCE = PAIRS_AT_ONCE


# -- sources ----------------------------------------------------------------------------------------------


def write_sources(folder: Path) -> None:
    """`data`, `grown` (more of both), `turned` (other texts), vectors and a run file of `data`."""
    texts, asked = _texts(80, 1), _texts(40, 2)
    _write(folder / "data", texts[:60], asked[:30])
    _write(folder / "grown", texts, asked)
    _write(folder / "turned", [" ".join(reversed(text.split())) for text in texts[:60]], asked[:30])
    draws = np.random.default_rng(0)
    (folder / "vectors").mkdir()
    for name, letter, count in (("queries", "q", 30), ("documents", "d", 60)):
        vectors = draws.normal(size=(count, 8)).astype(np.float32)
        np.save(folder / "vectors" / f"{name}.npy", vectors)
        (folder / "vectors" / f"{name}.ids.txt").write_text(
            "".join(f"{letter}{n:03d}\n" for n in range(count))
        )
    lines = [
        f"q{q:03d} Q0 d{d:03d} {rank} {100 - rank} other\n"
        for q in range(30)
        for rank, d in enumerate(draws.permutation(60)[:20].tolist(), 1)
    ]
    (folder / "found.trec").write_text("".join(lines))


def _texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) for _ in range(draw.randint(6, 12))) for _ in range(count)]


def _write(folder: Path, texts: Sequence[str], asked: Sequence[str]) -> None:
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n:03d}", "title": "", "text": text} for n, text in enumerate(texts)]
    queries = [{"_id": f"q{n:03d}", "text": f"{text} {texts[n].split()[0]}"} for n, text in enumerate(asked)]
    pairs = [(n, d) for n in range(len(asked)) for d in (n, (7 * n + 3) % len(texts))[: 1 + n % 2]]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    qrels = "".join(f"q{n:03d}\td{d:03d}\t1\n" for n, d in pairs)
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)


# -- a user's own parts, which count what they are asked --------------------------------------------------


@dataclass
class Hashed:
    """An encoder: a vector of how often each word occurs, in eight sums."""

    log: Path
    name: str = "hashed"
    dimension: int = 8
    similarity: Any = "cosine"

    def fingerprint(self, kind: str) -> dict[str, Any]:
        return {"encoder": "hashed"}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: Sequence[str], kind: str, prompt: str) -> Float32:
        _worked(self.log, "texts", len(texts))
        weights = np.random.default_rng(5).normal(size=(len(WORDS), 8))
        rows = [sum(weights[WORDS.index(word)] for word in text.split()) for text in texts]
        return np.array(rows, np.float32)


@dataclass
class Shared:
    """A scorer: how many words two texts share; another version weighs them otherwise."""

    log: Path
    version: int = 1
    name: str = "shared"

    def fingerprint(self) -> dict[str, int]:
        return {"version": self.version}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        _worked(self.log, "pairs", len(pairs))
        return np.array([self._one(*pair) for pair in pairs], np.float32)

    def _one(self, query: str, document: str) -> float:
        words = document.split()
        return self.version * len(set(query.split()) & set(words)) + 1 / (self.version + len(words))


def _worked(log: Path, what: str, count: int) -> None:
    line = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(line, f"{what} {count}\n".encode())
    os.close(line)


def work(folder: Path) -> dict[str, int]:
    """What encoder and scorer were asked so far."""
    done = {"texts": 0, "pairs": 0}
    log = folder / "work.log"
    for line in log.read_text().splitlines() if log.exists() else []:
        what, count = line.split()
        done[what] += int(count)
    return done


# -- commands ---------------------------------------------------------------------------------------------


def typed(*arguments: str) -> Callable[[Path], None]:
    """As on the command line."""

    def run(folder: Path) -> None:
        from hardneg.cli import main

        sys.argv = ["hardneg", *arguments]
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise

    return run


def mined(source: str, scorer: int | None = None, encoder: bool = False, **settings: Any) -> Any:
    """By the Python API, with the encoder and the scorer of this version."""

    def run(folder: Path) -> None:
        hardneg.mine(str(folder / source), run_dir=folder / "run", **_own(folder, scorer, encoder, settings))

    return run


def _own(folder: Path, scorer: int | None, encoder: bool, settings: dict[str, Any]) -> dict[str, Any]:
    given = {"retriever": "bm25", "depth": 20, "num_negatives": 3, **settings}
    if encoder:
        given |= {"model": Hashed(folder / "work.log")}
    if scorer is not None:
        given |= {"cross_encoder": Shared(folder / "work.log", scorer)}
    return given


def mined_and_chosen(folder: Path) -> None:
    """Lazily scored, a second selection after it, and all exported."""
    settings = _own(folder, 1, False, {"sampler": "random", "rescore": "lazy", "num_negatives": 2})
    mine = hardneg.mine(str(folder / "data"), run_dir=folder / "run", **settings)
    mine.select(name="more", num_negatives=3).to("st-triplet", folder / "more.jsonl")


def damaged(folder: Path) -> None:
    """A part's candidates are cut short, and a byte is another in its positives and in two tables."""
    run = folder / "run"
    part = run / "candidates" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    for name in ("positives/part-00001.parquet", "selections/default/negatives.parquet", "qrels.parquet"):
        data = bytearray((run / name).read_bytes())
        data[len(data) // 2] ^= 1
        (run / name).write_bytes(data)


MINE = ("mine", "data", "--run-dir", "run", "--num-negatives", "3", "--depth", "20", "--retriever")
COMMANDS: dict[str, Callable[[Path], None]] = {
    "mine": typed(*MINE, "bm25", "--to", "st-triplet", "--output", "train.parquet"),
    "mine several": typed(
        *MINE, "bm25", "--retriever", "own=vectors:vectors", "--retriever", "other=run:found.trec",
        "--missing-positive-score", "0", "--combine", "any",
        "--to", "flagembedding", "--output", "train.jsonl",
    ),
    "mine turned": typed("mine", "turned", *MINE[2:], "bm25"),
    "select": typed("select", "run", "--sampler", "random", "--seed", "1"),
    "select otherwise": typed("select", "run", "--sampler", "random", "--seed", "2"),
    "select deeper": typed("select", "run", "--name", "deep", "--window", "10:40"),
    "select deepened": typed(
        "select", "run", "--name", "full", "--num-negatives", "30", "--shortfall", "deepen",
        "--max-reuse", "30",
    ),
    "export": typed("export", "run", "--to", "flagembedding", "--output", "exported.jsonl"),
    "suspects": typed("suspects", "run", "-n", "12"),
    "audit": typed("audit", "run", "--repeats", "1"),
    "trial": typed("trial", "run", "--student", "adapter", "--steps", "4", "--batch", "8", "--seeds", "1"),
    "damage": damaged,
    "doctor": typed("doctor", "run", "--repair"),
    "encode": mined("data", encoder=True, retriever="dense"),
    "encode grown": mined("grown", encoder=True, retriever="dense"),
    "rescore": mined("data", 1, rescore="all"),
    "rescore by another": mined("data", 2, rescore="all"),
    "rescore turned": mined("turned", 1, rescore="all"),
    "rescore lazily": mined_and_chosen,
}  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """before  commands that are run whole
    killed  those that are killed, and run again
    then    what is run after the kill in their place, and has to give what it gives alone; (): the same
    """

    killed: tuple[str, ...]
    before: tuple[str, ...] = ()
    then: tuple[str, ...] = ()


TYPED = (
    "all stages",
    "several retrievers",
    "another source",
    "a deeper search",
    "an audit",
    "a trial",
    "a repair",
)
"""Those of commands alone, which signals end with a word."""
SCENARIOS = {
    "all stages": Scenario(("mine", "select", "export", "suspects")),
    "several retrievers": Scenario(("mine several",)),
    "encoding": Scenario(("encode",)),
    "rescoring": Scenario(("rescore",)),
    "rescoring lazily": Scenario(("rescore lazily",)),
    "rescoring by another": Scenario(("rescore by another",), ("rescore",)),
    "a grown source": Scenario(("encode grown",), ("encode",)),
    "another source": Scenario(("mine turned",), ("mine",)),
    "a deeper search": Scenario(("select deeper", "select deepened"), ("mine",)),
    "an audit": Scenario(("audit",), ("mine",)),
    "a trial": Scenario(("trial",), ("mine several",)),
    "a repair": Scenario(("doctor", "mine"), ("mine", "damage")),
    "back to the earlier scorer": Scenario(("rescore by another",), ("rescore",), ("rescore",)),
    # Choosing otherwise needs all that the guard works out; a selection that is there needs none of it.
    "back to the earlier source": Scenario(("mine turned",), ("mine",), ("mine", "select")),
    "back to the earlier selection": Scenario(
        ("select otherwise",), ("mine", "select"), ("mine", "select", "export")
    ),
    "another source while rescoring": Scenario(("rescore",), (), ("rescore turned",)),
}
