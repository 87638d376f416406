"""A source that has grown, shrunk or changed a little, mined into the run that knew it before."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg
from hardneg.progress import Silent
from hardneg.records import Float32

WORDS = [f"word{number}" for number in range(60)]
RULES: dict[str, Any] = {"depth": 20, "num_negatives": 3, "window": "2:", "guard": "off"}
STAGES = ("candidates", "positives", "selections/default")


class Counting:
    """An encoder of words by their letters, and what it was asked for."""

    name = "counting"
    similarity = "dot"
    dimension = 16

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def fingerprint(self, kind: str) -> dict[str, str]:
        return {"encoder": "counting"}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Float32:
        self.encoded += texts
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Float32:
        draws = [np.random.default_rng(sum(word.encode())).standard_normal(16) for word in text.split()]
        return np.mean(draws, axis=0).astype(np.float32)


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @property
    def search(self) -> str:
        return next(line for line in self.lines if line.startswith("search "))


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=8)) for _ in range(count)]


def data(documents: list[str], queries: list[str]) -> dict[str, pa.Table]:
    """Ids are by place, so that they stay where others come or go ("": is not there)."""
    doc_ids = [f"d{number:04d}" for number, text in enumerate(documents) if text]
    query_ids = [f"q{number:03d}" for number in range(len(queries))]
    return {
        "corpus": pa.table({"doc_id": doc_ids, "text": [text for text in documents if text]}),
        "queries": pa.table({"query_id": query_ids, "text": queries}),
        "qrels": pa.table({"query_id": query_ids, "doc_id": doc_ids[-1:] * len(queries)}),
    }


DOCUMENTS, QUERIES = texts(600, 1), texts(30, 2)


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))


def mine(source: Any, run: Path, **settings: Any) -> tuple[Counting, Said]:
    model, said = Counting(), Said()
    hardneg.mine(source, run_dir=run, model=model, progress=said, **{**RULES, **settings})
    return model, said


def same(one: Path, other: Path) -> None:
    """Every table of both runs, byte for byte."""
    for stage in STAGES:
        names = sorted(path.name for path in (one / stage).glob("*.parquet"))
        assert names == sorted(path.name for path in (other / stage).glob("*.parquet")) != []
        for name in names:
            assert (one / stage / name).read_bytes() == (other / stage / name).read_bytes(), (stage, name)


CHANGES = {
    "documents came": (DOCUMENTS + texts(12, 3), QUERIES, 12),
    "documents went": (DOCUMENTS[:400] + [""] * 10 + DOCUMENTS[410:], QUERIES, 0),
    "a text changed": ([*DOCUMENTS[:300], "word1 word2 word3", *DOCUMENTS[301:]], QUERIES, 1),
    "queries came": (DOCUMENTS, QUERIES + texts(5, 4), 5),
    "a query changed": (DOCUMENTS, ["word4 word5", *QUERIES[1:]], 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_result_is_that_of_a_new_run_and_only_what_is_new_is_encoded(change: str, tmp_path: Path) -> None:
    documents, queries, new = CHANGES[change]
    mine(data(DOCUMENTS, QUERIES), tmp_path / "run")
    model, said = mine(data(documents, queries), tmp_path / "run")
    assert len(model.encoded) == new
    assert "earlier candidates kept" in said.search
    assert not (tmp_path / "run" / "earlier").exists()
    mine(data(documents, queries), tmp_path / "fresh")
    same(tmp_path / "run", tmp_path / "fresh")


def test_what_was_searched_is_told(tmp_path: Path) -> None:
    mine(data(DOCUMENTS, QUERIES), tmp_path / "run")
    _, said = mine(data(DOCUMENTS + texts(12, 3), QUERIES + texts(5, 4)), tmp_path / "run")
    assert "12 of 612 documents are new; 5 queries searched whole" in said.search


def test_growing_again_and_again_uses_up_no_candidates(tmp_path: Path) -> None:
    """Also where documents go each time; of a corpus smaller than the depth too."""
    documents = DOCUMENTS[:15]
    for step in range(6):
        documents = ["" if number % 9 == step else text for number, text in enumerate(documents)]
        documents += texts(4 + 30 * (step == 3), 10 + step)
        mine(data(documents, QUERIES[:4]), tmp_path / "run")
        mine(data(documents, QUERIES[:4]), tmp_path / f"fresh{step}")
        same(tmp_path / "run", tmp_path / f"fresh{step}")


def test_a_corpus_smaller_than_the_depth_was_found_whole(tmp_path: Path) -> None:
    mine(data(DOCUMENTS[:15], QUERIES), tmp_path / "run")
    _, said = mine(data(DOCUMENTS[:18], QUERIES), tmp_path / "run")
    assert "3 of 18 documents are new; 0 queries searched whole" in said.search


def test_other_settings_of_the_retriever_search_everything(tmp_path: Path) -> None:
    mine(data(DOCUMENTS, QUERIES), tmp_path / "run")
    grown = data(DOCUMENTS + texts(12, 3), QUERIES)
    _, said = mine(grown, tmp_path / "run", store_dtype="float16")
    assert not any(line.startswith("search ") and "new" in line for line in said.lines)
    mine(grown, tmp_path / "fresh", store_dtype="float16")
    same(tmp_path / "run", tmp_path / "fresh")


def test_beside_other_retrievers_and_a_greater_depth(tmp_path: Path) -> None:
    both = {"retriever": ("dense", "bm25")}
    mine(data(DOCUMENTS, QUERIES), tmp_path / "run", **both)
    grown = data(DOCUMENTS + texts(12, 3), QUERIES)
    mine(grown, tmp_path / "run", **{**both, "depth": 30})
    mine(grown, tmp_path / "fresh", **{**both, "depth": 30})
    same(tmp_path / "run", tmp_path / "fresh")


def test_a_search_that_broke_off_goes_on_with_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardneg.plan.retrieve.QUERIES_A_PART", 8)
    mine(data(DOCUMENTS, QUERIES), tmp_path / "run")
    grown = data(DOCUMENTS + texts(12, 3), QUERIES + texts(3, 4))
    from hardneg.plan import retrieve

    save, saved = retrieve.save_block, []

    def breaks_off(prepared: Any, block: Any, name: str, mark: str = "") -> None:
        if saved:
            raise KeyboardInterrupt
        saved.append(name)
        save(prepared, block, name, mark)

    with monkeypatch.context() as patch:
        patch.setattr(retrieve, "save_block", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            mine(grown, tmp_path / "run")
    # Other input in between is worth nothing, and costs nothing of what was kept.
    with monkeypatch.context() as patch:
        patch.setattr(retrieve, "save_block", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            mine(data(DOCUMENTS[:50], QUERIES), tmp_path / "run")
    _, said = mine(grown, tmp_path / "run")
    assert "12 of 612 documents are new; 3 queries searched whole" in said.search
    mine(grown, tmp_path / "fresh")
    same(tmp_path / "run", tmp_path / "fresh")


def test_where_a_reserve_is_damaged_everything_is_searched(tmp_path: Path) -> None:
    mine(data(DOCUMENTS, QUERIES), tmp_path / "run")
    (tmp_path / "run" / "candidates" / "part-00000.reserve.npz").write_bytes(b"damaged")
    grown = data(DOCUMENTS + texts(12, 3), QUERIES)
    _, said = mine(grown, tmp_path / "run")
    assert any(
        "part-00000.reserve.npz: cannot be read" in line and "; removed, and made again" in line
        for line in said.lines
    )
    mine(grown, tmp_path / "fresh")
    same(tmp_path / "run", tmp_path / "fresh")


def test_candidates_hold_no_more_than_the_depth(tmp_path: Path) -> None:
    mine(data(DOCUMENTS, QUERIES), tmp_path / "run")
    table = pq.read_table(tmp_path / "run" / "candidates" / "part-00000.parquet")
    assert max(table["rank"].to_pylist()) == 20
