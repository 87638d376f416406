"""What is no number never reaches a table: it is refused where it comes in, and named."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import hardneg
from hardneg.errors import ModelError
from hardneg.records import Int32, Ranking

IDS = [f"d{number:02d}" for number in range(40)]
SOURCE: dict[str, pa.Table] = {
    "corpus": pa.table({"doc_id": IDS, "text": [f"word{n % 7} text{n}" for n in range(40)]}),
    "queries": pa.table({"query_id": ["q1", "q2"], "text": ["word1", "word2"]}),
    "qrels": pa.table({"query_id": ["q1", "q2"], "doc_id": ["d01", "d02"]}),
}
RULES: dict[str, Any] = {"relative_margin": None, "guard": "off", "depth": 10}


class Found:
    """A retriever that finds the first documents, changed by `change`."""

    name = "found"

    def __init__(self, change: Callable[[Any, Any], None]) -> None:
        self.change = change

    def search(self, query: Int32, depth: int, positives: Int32, progress: Any) -> Ranking:
        doc = np.tile(np.arange(depth, dtype=np.int32), (len(query), 1))
        score = np.tile(-np.arange(depth, dtype=np.float32), (len(query), 1))
        self.change(doc, score)
        return Ranking(self.name, doc, score, np.zeros(positives.shape, np.float32))


def beyond(doc: Any, score: Any) -> None:
    doc[1, 2] = 1000


def not_a_number(doc: Any, score: Any) -> None:
    score[1, 2] = math.nan


@pytest.mark.parametrize(
    ("change", "said"), [(beyond, "document row 1000"), (not_a_number, "a score of document row 2")]
)
def test_a_retriever_object_is_named_with_query_and_rank(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(ModelError, match=f"retriever 'found', query 'q2', rank 3: {said}"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", retriever=Found(change), **RULES)
    assert not list((tmp_path / "run" / "candidates").glob("*.parquet"))


class Vectors:
    """An encoder that gives NaN for one text."""

    name = "vectors"
    similarity = "dot"
    dimension = 4

    def __init__(self, bad: str) -> None:
        self.bad = bad

    def fingerprint(self, kind: str) -> dict[str, str]:
        return {"encoder": "vectors"}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Any:
        return np.array([[math.nan if text == self.bad else len(text)] * 4 for text in texts], np.float32)


def test_a_vector_that_is_no_number_is_named_by_the_texts_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="vectors: returned NaN or infinity for document 'd09'"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", model=Vectors("word2 text9"), **RULES)
    hardneg.mine(SOURCE, run_dir=tmp_path / "run", model=Vectors(""), **RULES)
    grown = {**SOURCE, "corpus": pa.table({"doc_id": [*IDS, "new"], "text": [*texts(), "a new text"]})}
    with pytest.raises(ModelError, match="returned NaN or infinity for document 'new'"):
        hardneg.mine(grown, run_dir=tmp_path / "run", model=Vectors("a new text"), **RULES)


def texts() -> list[str]:
    return SOURCE["corpus"]["text"].to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types


class Scores:
    name = "scores"

    def __init__(self, value: Any) -> None:
        self.value = value

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": "scores"}

    def score(self, pairs: list[tuple[str, str]]) -> list[Any]:
        return [self.value] * len(pairs)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39, "many", None])
def test_a_scorer_that_gives_no_number_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ModelError, match="scorer 'scores' gave"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", retriever="bm25", cross_encoder=Scores(value), **RULES)


def test_kept_columns_lose_what_is_no_number_and_it_is_told(tmp_path: Path) -> None:
    prices = [math.nan, math.inf, *range(38)]
    source = {**SOURCE, "corpus": SOURCE["corpus"].append_column("price", pa.array(prices, pa.float64()))}
    loaded = hardneg.load(source)
    assert loaded.corpus["price"].to_pylist()[:4] == [None, None, 0, 1]
    assert "column 'price': 2 values are NaN or infinite, and became null" in loaded.report.notes
    mined = hardneg.mine(source, run_dir=tmp_path / "run", retriever="bm25", **RULES)
    assert mined.collection.corpus["price"].to_pylist()[:4] == [None, None, 0, 1]
