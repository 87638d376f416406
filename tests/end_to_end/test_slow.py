"""Proofs that take minutes: a real collection from raw files to a trainer, and a run killed many times."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hardneg
from hardneg.encode.model_folder import find_model

pytestmark = pytest.mark.slow

SCIFACT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "scifact"
NOISE = 1e-5  # the same text encoded in another batch
GUARD = {"positive_text", "query_text", "same_query_positive", "near_duplicate", "empty_document"}
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _positives() -> dict[str, set[str]]:
    found = defaultdict(set)
    for line in (SCIFACT / "qrels" / "train.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        found[query].add(document)
    return found


def _scores(model: Any, names: list[str]) -> tuple[list[str], NDArray[np.float64]]:
    """Documents' ids and float64 scores (queries, documents), by sentence-transformers and numpy alone."""
    documents = _lines(SCIFACT / "corpus.jsonl")
    texts = [f"{row['title']} {row['text']}".strip() for row in documents]
    asked = {row["_id"]: row["text"] for row in _lines(SCIFACT / "queries.jsonl")}
    vectors = model.encode(texts).astype(np.float64)
    queries = model.encode([asked[name] for name in names]).astype(np.float64)
    return [row["_id"] for row in documents], queries @ vectors.T


def _by_query(table: Any, *columns: str) -> dict[str, dict[str, Any]]:
    """{query: {document: values}} in the table's order."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in table.select(["query_id", "doc_id", *columns]).to_pylist():
        found[row["query_id"]][row["doc_id"]] = row[columns[0]]
    return found


@pytest.mark.skipif(not SCIFACT.is_dir(), reason="needs ../shared/data/scifact, absent here")
def test_scifact_from_raw_files_to_a_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default run, each candidate's score and each decision, against numpy float64 and plain Python."""
    from sentence_transformers import SentenceTransformer

    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    mined = hardneg.mine(str(SCIFACT), run_dir=tmp_path / "run")
    model = SentenceTransformer(str(find_model(DEFAULT_MODEL).path), device="cpu")
    positives = _positives()
    names = sorted(positives)
    ids, scores = _scores(model, names)
    candidates, reasons = _by_query(mined.candidates, "score"), _by_query(mined.decisions, "reason")
    negatives = _by_query(mined.negatives, "score")
    for number, name in enumerate(names):
        expected = dict(zip(ids, scores[number].tolist(), strict=True))
        _check_candidates(candidates[name], expected)
        _check_reasons(reasons[name], expected, positives[name])
        assert list(negatives[name]) == [d for d in candidates[name] if reasons[name][d] == "selected"]
    _train_a_step(mined, model, tmp_path)


def _check_candidates(found: dict[str, float], expected: dict[str, float]) -> None:
    assert len(found) == 200
    assert max(abs(score - expected[doc]) for doc, score in found.items()) < NOISE
    assert max(score for doc, score in expected.items() if doc not in found) < min(found.values()) + NOISE


def _check_reasons(reasons: dict[str, str], expected: dict[str, float], positives: set[str]) -> None:
    reference = float(np.mean([expected[doc] for doc in positives]))
    cut = reference - abs(reference) * 0.05
    left = {doc: reason for doc, reason in reasons.items() if reason not in GUARD}
    for doc, reason in left.items():
        if abs(expected[doc] - cut) > NOISE:
            kept = "positive" if doc in positives else "relative_margin" if expected[doc] > cut else "kept"
            assert kept == (reason if reason in ("positive", "relative_margin") else "kept")
    selected = [expected[doc] for doc, reason in left.items() if reason == "selected"]
    others = [expected[doc] for doc, reason in left.items() if reason == "not_sampled"]
    assert len(selected) == 4 or not others
    assert not others or min(selected) > max(others) - NOISE


def _train_a_step(mined: hardneg.Mined, model: Any, folder: Path) -> None:
    from datasets import load_dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    mined.to("st-triplet", folder / "triplets.jsonl")
    rows = load_dataset(
        "json", data_files=str(folder / "triplets.jsonl"), split="train", cache_dir=str(folder)
    )
    assert rows.column_names == ["anchor", "positive", "negative"]
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "out"), max_steps=1, per_device_train_batch_size=4, report_to=[], use_cpu=True
    )
    loss = MultipleNegativesRankingLoss(model)
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=rows, loss=loss)
    assert np.isfinite(trainer.train().training_loss)


KILLED = """
import sys, hardneg
hardneg.mine(sys.argv[1], run_dir=sys.argv[2], model=sys.argv[3], retriever=("dense", "bm25"), depth=40)
"""


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    """Killed at random moments, forty times or until it ends by itself."""
    draw = random.Random(0)
    rows = [
        {"query": f"anchor {n} ember", "positive": f"basalt {n} falcon {n % 7} ridge"} for n in range(3000)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "pairs.jsonl")]

    def start(run: str, cache: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "HARDNEG_CACHE": str(tmp_path / cache)}
        return subprocess.Popen([*command, str(tmp_path / run), str(tiny)], env=environment)

    assert start("whole", "cache").wait() == 0
    for _ in range(40):
        process = start("killed", "cache-killed")
        try:
            process.wait(draw.uniform(1, 12))
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert start("killed", "cache-killed").wait() == 0
    for name in ("negatives", "outcomes", "decisions", "positives"):
        path = Path("selections") / "default" / f"{name}.parquet"
        assert (tmp_path / "killed" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()
