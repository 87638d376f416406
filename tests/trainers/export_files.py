"""Write one small selection in every format that a trainer is stepped on: python export_files.py FOLDER.

Runs where hardneg is installed. What was meant lies beside the files as groups.json, so that the trainers'
environments need no hardneg.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg import records
from hardneg.export import ExportOptions, SelectedTables, export

Scored = dict[str, dict[str, float]]

TITLE = "document"
NAMES = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike nova oscar papa"
WORDS = {f"d{place}": word for place, word in enumerate(NAMES.split(), start=10)}
COLOURS = {"q1": "red", "q2": "green", "q3": "blue", "q4": "white"}
PROMPTS = {"q1": "find ", "q3": "seek "}
"""Two queries have none."""

# Every query has other documents, one or two positives, and another number of negatives.
POSITIVES: Scored = {
    "q1": {"d10": 0.96, "d11": 0.81},
    "q2": {"d12": 0.92},
    "q3": {"d13": 0.77, "d14": 0.94},
    "q4": {"d15": 0.9},
}
NEGATIVES: Scored = {
    "q1": {"d16": 0.61, "d17": 0.52, "d18": 0.43, "d19": 0.34},
    "q2": {"d20": 0.25, "d21": 0.16, "d10": 0.07},
    "q3": {"d22": 0.58, "d23": 0.49},
    "q4": {"d24": 0.39, "d25": 0.28, "d12": 0.17},
}

EVEN = 2
"""Negatives a row in the formats that need as many everywhere."""

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "st-triplet.jsonl": ("st-triplet", {}),
    "st-triplet.csv": ("st-triplet", {}),
    "st-triplet-scores.jsonl": ("st-triplet", {"scores": True}),
    "st-n-tuple.jsonl": ("st-n-tuple", {"num_negatives": EVEN}),
    "st-n-tuple-scores.parquet": ("st-n-tuple", {"num_negatives": EVEN, "scores": True}),
    "st-labeled-pair.jsonl": ("st-labeled-pair", {}),
    "st-labeled-pair-scores.parquet": ("st-labeled-pair", {"scores": True}),
    "st-labeled-list.jsonl": ("st-labeled-list", {}),
    "st-labeled-list-scores.parquet": ("st-labeled-list", {"scores": True}),
    "flagembedding.jsonl": ("flagembedding", {}),
    "flagembedding-scores.jsonl": ("flagembedding", {"scores": True}),
    "flagembedding-all.jsonl": ("flagembedding", {"scores": True, "ids": True, "prompts": True}),
    "pylate-triplet.jsonl": ("pylate-triplet", {}),
    "pylate-n-tuple.jsonl": ("pylate-n-tuple", {"num_negatives": EVEN}),
    "pylate-distillation": ("pylate-distillation", {"num_negatives": EVEN}),
    "tevatron.jsonl": ("tevatron", {}),
    "ms-swift-embedding.jsonl": ("ms-swift-embedding", {"prompts": True}),
    "ms-swift-reranker.jsonl": ("ms-swift-reranker", {"prompts": True}),
    "nemo": ("nemo", {}),
    "nemo-inline.jsonl": ("nemo-inline", {}),
    "gpl": ("gpl", {}),
    "arctic": ("arctic", {}),
    "rankllm.json": ("rankllm", {"ids": True, "scores": True}),
    "dpr.json": ("dpr", {}),
    "tevatron-ids": ("tevatron-ids", {}),
}


def selection() -> SelectedTables:
    corpus = {"doc_id": list(WORDS), "title": [TITLE] * len(WORDS), "text": list(WORDS.values())}
    queries = {"query_id": list(COLOURS), "text": [f"query {colour}" for colour in COLOURS.values()]}
    prompts = pa.array([PROMPTS.get(query) for query in COLOURS], pa.string())
    return SelectedTables(
        pa.table(corpus, records.CORPUS),
        pa.table(queries, records.QUERIES).append_column("prompt", prompts),
        _scored(POSITIVES, records.SELECTED_POSITIVES),
        _scored(NEGATIVES, records.NEGATIVES),
    )


def _scored(of_query: Scored, schema: pa.Schema) -> pa.Table:
    rows = [
        {"query_id": query, "doc_id": document, "score": score}
        for query, scores in of_query.items()
        for document, score in scores.items()
    ]
    return pa.Table.from_pylist(rows, schema)


def groups() -> list[dict[str, Any]]:
    """What every file holds, written down without hardneg."""

    def texts(scores: dict[str, float]) -> list[tuple[str, float]]:
        return [(f"{TITLE} {WORDS[document]}", score) for document, score in scores.items()]

    return [
        {
            "query": f"query {colour}",
            "prompt": PROMPTS.get(query, ""),
            "pos": texts(POSITIVES[query]),
            "neg": texts(NEGATIVES[query]),
        }
        for query, colour in COLOURS.items()
    ]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (to, options) in FILES.items():
        export(selection(), to, folder / name, options=ExportOptions(**options))
    (folder / "groups.json").write_text(json.dumps(groups()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
