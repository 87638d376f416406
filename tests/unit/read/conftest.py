"""A small collection written in every layout that can be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from hardneg.records import Collection

Rows = Iterable[dict[str, Any]]


def jsonl(rows: Rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write("name.jsonl", rows or text or bytes) → path; folders are made."""

    def put(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else jsonl(content), "utf-8", newline="")
        return path

    return put


CORPUS = [
    {"_id": "d2", "title": "Two", "text": "second text"},
    {"_id": "d10", "title": "", "text": "tenth text"},
    {"_id": "d1", "title": "One", "text": "first text"},
]
QUERIES = [{"_id": "q2", "text": "which is second?"}, {"_id": "q1", "text": "which is first?"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td10\t0\n"


@pytest.fixture
def beir(write: Callable[..., Path]) -> Path:
    write("beir/corpus.jsonl", CORPUS)
    write("beir/queries.jsonl", QUERIES)
    write("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq2\td10\t1\n")
    return write("beir/qrels/train.tsv", QRELS).parents[1]


@pytest.fixture
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` reads local folders only, and keeps what it made of them among the test's own files.

    Its environment variables are read once, at import: too early for a test to set.
    """
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub-cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def judged() -> Callable[[Collection], set[tuple[str, str, float]]]:
    """{(query id, document id, relevance)}"""
    return lambda data: {(r["query_id"], r["doc_id"], r["relevance"]) for r in data.qrels.to_pylist()}


@pytest.fixture
def pairs_of() -> Callable[[Collection], set[tuple[str, str]]]:
    """{(query text, text of a positive)}"""

    def pairs(data: Collection) -> set[tuple[str, str]]:
        query = dict(zip(data.queries["query_id"].to_pylist(), data.queries["text"].to_pylist(), strict=True))
        text = dict(zip(data.corpus["doc_id"].to_pylist(), data.corpus["text"].to_pylist(), strict=True))
        rows = data.qrels.to_pylist()
        return {(query[row["query_id"]], text[row["doc_id"]]) for row in rows if row["relevance"] > 0}

    return pairs
