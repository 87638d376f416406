"""Training files are read as groups, as they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardneg.errors import InputError, UsageError
from hardneg.export.examples import examples_of
from hardneg.read.bad_rows import BadRows
from hardneg.read.training import ReadOptions, find_reader, recognised
from hardneg.records import GROUPS


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


FULL = {
    "query": "one", "pos": ["a", "b"], "neg": ["c"], "pos_scores": [0.5, 1], "neg_scores": [0.25],
    "id": "q1", "pos_id": ["d1", 2], "neg_id": ["d3"], "prompt": "find",
}  # fmt: skip


def test_flagembedding_is_read_with_all_that_stands_there(tmp_path: Path) -> None:
    path = written(tmp_path, FULL, {"query": "two", "pos": "one text", "neg": []})
    assert recognised(path) == "flagembedding"
    (table,) = find_reader("flagembedding").groups(path, ReadOptions())
    assert table.schema == GROUPS
    none = {f"{side}_{part}": None for side in ("pos", "neg") for part in ("id", "score", "label", "title")}
    assert table.to_pylist() == [
        {
            "query_id": "q1", "query": "one", "prompt": "find", "line": 1,
            "pos": ["a", "b"], "pos_id": ["d1", "2"], "pos_score": [0.5, 1.0],
            "pos_label": None, "pos_title": None,
            "neg": ["c"], "neg_id": ["d3"], "neg_score": [0.25], "neg_label": None, "neg_title": None,
        },
        {"query_id": None, "query": "two", "prompt": None, "line": 2, "pos": ["one text"], "neg": [], **none},
    ]  # fmt: skip


def test_what_is_misaligned_stays_so_and_counts_as_missing_in_examples(tmp_path: Path) -> None:
    rows = [{**FULL, "pos_scores": [0.5], "neg_id": None}, FULL]
    (table,) = find_reader("flagembedding").groups(written(tmp_path, *rows), ReadOptions())
    assert table["pos_score"].to_pylist() == [[0.5], [0.5, 1.0]]
    examples = examples_of(table, prompts=True)
    assert examples.text.to_pylist() == ["a", "b", "c"] * 2
    assert examples.doc_id.to_pylist()[:2] == ["d1", "2"]
    assert examples.doc_id[2].as_py().startswith("d-") and examples.doc_id[5].as_py() == "d3"
    assert np.array_equal(examples.score, np.float32([np.nan, np.nan, 0.25, 0.5, 1, 0.25]), equal_nan=True)
    assert examples.label.tolist() == [1, 1, 0] * 2
    assert examples.prompt is not None and examples.prompt.to_pylist() == ["find"] * 2


def test_a_row_that_cannot_be_read_is_refused_or_listed(tmp_path: Path) -> None:
    path = written(tmp_path, FULL, {"query": "two", "pos": ["a", None], "neg": []}, FULL)
    reader = find_reader("flagembedding")
    with pytest.raises(InputError, match="line 2, column 'pos': must be text, not null"):
        list(reader.groups(path, ReadOptions()))
    bad = BadRows("skip")
    (table,) = reader.groups(path, ReadOptions(bad))
    assert table["line"].to_pylist() == [1, 3]
    assert [row["line"] for row in bad.refused] == [2]


def test_a_file_of_no_format_is_refused_and_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no format that is known by how it begins.*'x'.*flagembedding"):
        recognised(written(tmp_path, {"x": 1}))
    with pytest.raises(UsageError, match="unknown format 'flagembeding'.*flagembedding"):
        find_reader("flagembeding")
