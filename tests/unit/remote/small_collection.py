"""A small collection in BEIR's files, and settings that mine it at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CORPUS = [{"_id": f"d{n}", "title": "", "text": f"document number {n} about rivers"} for n in range(12)]
QUERIES = [{"_id": f"q{n}", "text": f"which document is number {n}?"} for n in range(3)]
QRELS = "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(3))
SETTINGS: dict[str, Any] = {
    "retriever": "bm25",
    "relative_margin": None,
    "guard": "off",
    "depth": 10,
    "num_negatives": 2,
}


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


BEIR: Mapping[str, bytes] = {
    "corpus.jsonl": jsonl(CORPUS),
    "queries.jsonl": jsonl(QUERIES),
    "qrels/train.tsv": QRELS.encode(),
    "qrels/test.tsv": QRELS.encode(),
    "vectors/large.npy": b"not to be fetched",
}
