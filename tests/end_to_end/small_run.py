"""A run of thirty queries that takes a fifth of a second: its data, models, and what is done with it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import hardneg
from hardneg.errors import HardnegError
from hardneg.records import Float32

WORDS = [f"word{number}" for number in range(60)]
RULES: dict[str, Any] = {"depth": 20, "num_negatives": 3, "window": "2:", "relative_margin": 0.05}
OTHER: dict[str, Any] = {"sampler": "random", "seed": 7}


TABLES = ("corpus", "queries", "qrels", "given")
FILES = (
    "manifest.json",
    *(f"{name}.parquet" for name in TABLES),
    "candidates/part-00000.parquet",
    "candidates/part-00000.reserve.npz",
    "candidates/plan.json",
    "positives/part-00000.parquet",
    "guard/text_classes.parquet",
    "guard/sketches.npy",
    "guard/sketches-first.npy",
    "guard/lexical-documents.npy",
    "guard/lexical-queries.npy",
    "guard/near-queries.npz",
    "guard/judged/*/model.npz",
    "guard/judged/*/part-00000-20.npz",
    *(f"selections/default/{name}.parquet" for name in ("decisions", "positives", "negatives", "outcomes")),
)
"""What such a run stores; a selection is among it."""


class Letters:
    """An encoder of words by their letters."""

    name = "letters"
    similarity = "dot"
    dimension = 16

    def fingerprint(self, kind: str) -> dict[str, str]:
        return {"encoder": "letters"}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Float32:
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Float32:
        draws = [np.random.default_rng(sum(word.encode())).standard_normal(16) for word in text.split()]
        return np.mean(draws, axis=0).astype(np.float32)


class Overlap:
    """A scorer of words in common."""

    name = "overlap"

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": "overlap"}

    def score(self, pairs: list[tuple[str, str]]) -> Float32:
        return np.array([len({*a.split()} & {*b.split()}) + len(b) / 1e4 for a, b in pairs], np.float32)


def data(seed: int = 1) -> dict[str, pa.Table]:
    """Of the same ids and sizes, whatever the seed: only the texts tell two apart."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=8)) for _ in range(230)]
    doc_ids, query_ids = [f"d{n:03d}" for n in range(200)], [f"q{n:02d}" for n in range(30)]
    return {
        "corpus": pa.table({"doc_id": doc_ids, "text": texts[:200]}),
        "queries": pa.table({"query_id": query_ids, "text": texts[200:]}),
        "qrels": pa.table({"query_id": query_ids * 2, "doc_id": doc_ids[:60]}),
    }


SOURCE = data()


def mine(run: Path, source: Any = SOURCE, **changed: Any) -> hardneg.Mined:
    settings = {"model": Letters(), "cross_encoder": Overlap(), **RULES, **changed}
    return hardneg.mine(source, run_dir=run, **settings)


def select(run: Path) -> hardneg.Mined:
    return hardneg.open_run(run).select(name="other", **OTHER)


def export(run: Path) -> bytes:
    hardneg.open_run(run).to("st-triplet", run / "train.jsonl")
    return (run / "train.jsonl").read_bytes()


def result(run: Path, name: str) -> dict[str, bytes]:
    """A selection's tables."""
    return {path.name: path.read_bytes() for path in (run / "selections" / name).glob("*.parquet")}


def one_line_that_names_a_place(error: HardnegError) -> bool:
    return "\n" not in str(error) and "/" in str(error) and len(str(error)) < 600
