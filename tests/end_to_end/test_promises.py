"""The promises, end to end: nothing silent, never a known positive, the same bytes, nothing done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import hardneg
from hardneg.records import Float32, Int32, Ranking

WORDS = (
    "anchor basalt candle delta ember falcon granite harbor island juniper kettle lagoon meadow nectar "
    "orchid pebble quartz ridge saddle timber umber valley willow yarrow zephyr"
).split()


def write_beir(folder: Path, seed: int, documents: int = 120, queries: int = 30, order: int = 0) -> Path:
    """A collection with twins, several positives, judged negatives; lines shuffled."""
    draw = random.Random(seed)
    corpus, asked, qrels = [], [], []
    for number in range(documents):
        text = " ".join(draw.choice(WORDS) for _ in range(draw.randint(12, 30)))
        corpus.append({"_id": f"d{number}", "title": draw.choice(["", "a title"]), "text": text})
    for number in range(0, documents, 10):  # twins in other spelling
        twin = corpus[number]["text"].upper().replace(" ", "  ")
        corpus.append({"_id": f"t{number}", "title": corpus[number]["title"], "text": twin})
    for number in range(queries):
        positives = draw.sample(corpus, draw.randint(1, 3))
        words = positives[0]["text"].split()[:6]
        text = " ".join(words) if number % 5 else asked[0]["text"] if asked else " ".join(words)
        asked.append({"_id": f"q{number}", "text": text})
        qrels += [(f"q{number}", doc["_id"], 1) for doc in positives]
        qrels += [(f"q{number}", doc["_id"], 0) for doc in draw.sample(corpus, 1) if doc not in positives]
    shuffle = random.Random(order)
    (folder / "qrels").mkdir(parents=True)
    for rows in (corpus, asked, qrels):
        shuffle.shuffle(rows)
    dump = lambda rows: "".join(json.dumps(row) + "\n" for row in rows)  # noqa: E731  # used twice, once
    (folder / "corpus.jsonl").write_text(dump(corpus))
    (folder / "queries.jsonl").write_text(dump(asked))
    lines = "".join(f"{q}\t{d}\t{r}\n" for q, d, r in qrels)
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


SETTINGS: dict[str, Any] = {
    "retriever": ("bm25",),
    "depth": 60,
    "sampler": "random",
    "num_negatives": 5,
    "relative_margin": None,
    "seed": 11,
}


def selection_bytes(run: Path, name: str = "default") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "selections" / name).iterdir())}


def normalised(text: str) -> str:
    return " ".join(text.casefold().split())


@pytest.mark.parametrize("shortfall", ["keep", "drop", "deepen", "backfill"])
@pytest.mark.parametrize("reference", ["mean", "each"])
def test_no_known_positive_and_nothing_lost(tmp_path: Path, shortfall: str, reference: str) -> None:
    data = hardneg.load(str(write_beir(tmp_path / "data", seed=3)))
    settings = {
        **SETTINGS,
        "depth": 8,
        "shortfall": shortfall,
        "reference": reference,
        "relative_margin": 0.05,
    }
    mined = hardneg.mine(data, run_dir=tmp_path / "run", **settings)
    texts = dict(zip(data.corpus["doc_id"].to_pylist(), data.corpus["text"].to_pylist(), strict=True))
    titles = dict(zip(data.corpus["doc_id"].to_pylist(), data.corpus["title"].to_pylist(), strict=True))
    queries = dict(zip(data.queries["query_id"].to_pylist(), data.queries["text"].to_pylist(), strict=True))
    known: dict[str, set[str]] = {}
    for row in data.qrels.to_pylist():
        if row["relevance"] > 0:
            known.setdefault(row["query_id"], set()).add(row["doc_id"])

    def key(doc: str) -> str:
        return normalised(f"{titles[doc]} {texts[doc]}")

    chosen: dict[tuple[str, str | None], list[str]] = {}
    for row in mined.negatives.to_pylist():
        query, doc = row["query_id"], row["doc_id"]
        forbidden = {
            doc
            for q, docs in known.items()
            if normalised(queries[q]) == normalised(queries[query])
            for doc in docs
        }
        assert doc not in forbidden
        assert key(doc) not in {key(positive) for positive in forbidden}
        assert normalised(texts[doc]) != normalised(queries[query])
        chosen.setdefault((query, row["positive_id"]), []).append(doc)
    for docs in chosen.values():
        assert len({key(doc) for doc in docs}) == len(docs), "a document or its twin was chosen twice"
    outcomes = mined.outcomes.to_pylist()
    assert sorted(row["query_id"] for row in outcomes) == sorted(queries)
    candidates = mined.candidates.to_pylist()
    decided = {(row["query_id"], row["doc_id"]) for row in mined.decisions.to_pylist()}
    assert {(row["query_id"], row["doc_id"]) for row in candidates} <= decided
    assert all(row["reason"] for row in mined.decisions.to_pylist())


def test_the_order_of_the_inputs_rows_changes_no_byte(tmp_path: Path) -> None:
    runs = []
    for order in (1, 2):
        source = write_beir(tmp_path / f"data{order}", seed=5, order=order)
        hardneg.mine(str(source), run_dir=tmp_path / f"run{order}", **SETTINGS)
        runs.append(selection_bytes(tmp_path / f"run{order}"))
    assert runs[0] == runs[1]


def test_the_size_of_the_parts_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_beir(tmp_path / "data", seed=6)
    hardneg.mine(str(source), run_dir=tmp_path / "whole", **SETTINGS, max_reuse=3, shortfall="deepen")
    monkeypatch.setattr("hardneg.plan.retrieve.QUERIES_A_PART", 7)
    hardneg.mine(str(source), run_dir=tmp_path / "parts", **SETTINGS, max_reuse=3, shortfall="deepen")
    whole, parts = hardneg.open_run(tmp_path / "whole"), hardneg.open_run(tmp_path / "parts")
    for table in ("negatives", "positives", "outcomes"):
        assert getattr(whole, table).equals(getattr(parts, table)), table


def test_other_queries_change_no_querys_draws(tmp_path: Path) -> None:
    data = hardneg.load(str(write_beir(tmp_path / "data", seed=7)))
    half = hardneg.load(str(tmp_path / "data"), limit_queries=15)
    mined = [
        hardneg.mine(d, run_dir=tmp_path / f"run{n}", **SETTINGS).negatives
        for n, d in enumerate((data, half))
    ]
    kept = set(half.queries["query_id"].to_pylist())
    rows = [[row for row in table.to_pylist() if row["query_id"] in kept] for table in mined]
    # The same text asked by a query that is gone excludes less; such queries are compared elsewhere.
    texts = data.queries["text"].to_pylist()
    alone = {
        q for q, t in zip(data.queries["query_id"].to_pylist(), texts, strict=True) if texts.count(t) == 1
    }
    rows = [[row for row in part if row["query_id"] in alone] for part in rows]
    for row in (*rows[0], *rows[1]):
        del row["p_false_negative"]  # fitted on all labels: that is said
    assert rows[0] and rows[0] == rows[1]


def test_select_again_searches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mined = hardneg.mine(str(write_beir(tmp_path / "data", seed=8)), run_dir=tmp_path / "run", **SETTINGS)

    def never(*_: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr("hardneg.plan.retrieve._rankings", never)
    before = selection_bytes(tmp_path / "run")
    other = mined.select(name="other", window="2:20", sampler="top", num_negatives=3)
    assert other.negatives["rank"].to_numpy().min() > 2
    assert selection_bytes(tmp_path / "run") == before
    again = hardneg.open_run(tmp_path / "run").select(name="again")
    assert again.negatives.equals(mined.negatives)


def test_a_window_beyond_the_depth_searches_deeper(tmp_path: Path) -> None:
    source = write_beir(tmp_path / "data", seed=9)
    shallow = hardneg.mine(str(source), run_dir=tmp_path / "a", **{**SETTINGS, "depth": 10})
    deeper = shallow.select(name="deep", window="10:40", sampler="top")
    deep = hardneg.mine(
        str(source), run_dir=tmp_path / "b", **{**SETTINGS, "depth": 10, "sampler": "top"}, window="10:40"
    )
    assert len(deep.negatives) and deep.negatives.equals(deeper.negatives)


def test_a_run_file_is_not_deeper_than_it_is(tmp_path: Path) -> None:
    source = write_beir(tmp_path / "data", seed=9)
    queries = hardneg.load(str(source)).queries["query_id"].to_pylist()
    lines = [f"{q} Q0 d{n} {n + 1} {50 - n} x\n" for q in queries for n in range(12)]
    (tmp_path / "x.trec").write_text("".join(lines))
    settings = {**SETTINGS, "retriever": f"run:{tmp_path / 'x.trec'}", "window": "20:40", "shortfall": "keep"}
    mined = hardneg.mine(str(source), run_dir=tmp_path / "run", **settings)
    assert set(mined.outcomes["outcome"].to_pylist()) == {"empty"}
    assert all("window" in message for message in mined.outcomes["message"].to_pylist())


class Alphabetical:
    """A caller's own retriever: documents in row order, whatever the query."""

    name = "alphabetical"
    fingerprint = "alphabetical-1"

    def search(self, query: Int32, depth: int, positives: Int32, progress: object) -> Ranking:
        doc = np.tile(np.arange(depth, dtype=np.int32), (len(query), 1))
        score = -doc.astype(np.float32)
        known: Float32 = np.where(positives >= 0, -positives, np.nan).astype(np.float32)
        return Ranking(self.name, doc, score, known)


def test_a_retriever_of_ones_own(tmp_path: Path) -> None:
    source = write_beir(tmp_path / "data", seed=4)
    mined = hardneg.mine(
        str(source), run_dir=tmp_path / "run", retriever=[Alphabetical()], depth=20, relative_margin=None
    )
    assert set(mined.negatives["retriever"].to_pylist()) == {"alphabetical"}
    assert mined.negatives["score"].to_numpy().min() >= -19


def test_without_a_run_dir_the_run_lives_with_the_result(tmp_path: Path) -> None:
    mined = hardneg.mine(str(write_beir(tmp_path / "data", seed=4)), **SETTINGS)
    folder = mined.run_dir
    assert folder.is_dir() and isinstance(mined.negatives, pa.Table)
    del mined
    assert not folder.exists()


def test_block_lists_keep_evaluation_sets_out(tmp_path: Path) -> None:
    source = write_beir(tmp_path / "data", seed=10)
    plain = hardneg.mine(str(source), run_dir=tmp_path / "a", **SETTINGS)
    forbidden = plain.negatives["doc_id"][0].as_py()
    (tmp_path / "docs.txt").write_text(f"{forbidden}\n")
    query = plain.outcomes["query_id"][0].as_py()
    (tmp_path / "queries.txt").write_text(f"{query}\n")
    listed = hardneg.mine(
        str(source),
        run_dir=tmp_path / "b",
        exclude_docs=str(tmp_path / "docs.txt"),
        exclude_queries=str(tmp_path / "queries.txt"),
        **SETTINGS,
    )
    assert forbidden not in listed.negatives["doc_id"].to_pylist()
    outcome = next(row for row in listed.outcomes.to_pylist() if row["query_id"] == query)
    assert outcome["outcome"] == "dropped" and "list of excluded queries" in outcome["message"]
    assert query not in listed.negatives["query_id"].to_pylist()


KILLED = """
import sys, hardneg
hardneg.mine(sys.argv[1], run_dir=sys.argv[2], retriever="bm25", depth=40, relative_margin=None, seed=1)
"""


@pytest.mark.parametrize("after", [0.6, 1.0, 1.4, 1.8])
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, after: float) -> None:
    source = write_beir(tmp_path / "data", seed=12, documents=400, queries=200)
    environment = {**os.environ, "HARDNEG_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", KILLED, str(source)]
    process = subprocess.Popen([*command, str(tmp_path / "killed")], env=environment)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], env=environment, check=True)
    subprocess.run([*command, str(tmp_path / "whole")], env=environment, check=True)
    assert selection_bytes(tmp_path / "killed") == selection_bytes(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob(".tmp-*"))
