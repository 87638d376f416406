"""From every format to every other one, without mining: the same queries, positives and negatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg.config import TrainingFileOptions
from hardneg.errors import InputError
from hardneg.export import ExportOptions, SelectedTables, export
from hardneg.export.formats import format_named
from hardneg.export.options import ConvertOptions
from hardneg.plan.convert import convert
from hardneg.read.training import ReadOptions, find_reader
from hardneg.records import CORPUS, NEGATIVES, QUERIES, SELECTED_POSITIVES
from hardneg.trainers import MODULES

FORMATS = sorted(MODULES.keys() - {"beir", "trec"})  # which hold no texts
WITH_SCORES = {
    *("dpr", "flagembedding", "nemo", "nemo-inline", "pylate-distillation", "rankllm"),
    *("st-n-tuple", "st-triplet", "tevatron"),
}
GROUPS = {"one": (["two", "Title one"], ["three"]), "two": (["two"], ["Title one"])}


def table(rows: list[tuple[str, str, float]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{"query_id": q, "doc_id": d, "score": s} for q, d, s in rows], schema)


@pytest.fixture
def selection() -> SelectedTables:
    """q1: positives d2 and d1, negative d3. q2: positive d2, negative d1. d1 has a title."""
    return SelectedTables(
        pa.table(
            {"doc_id": ["d1", "d2", "d3"], "title": ["Title", None, None], "text": ["one", "two", "three"]},
            CORPUS,
        ),
        pa.table({"query_id": ["q1", "q2"], "text": ["one", "two"]}, QUERIES),
        table([("q1", "d2", 0.875), ("q1", "d1", 0.75), ("q2", "d2", 0.75)], SELECTED_POSITIVES),
        table([("q1", "d3", 0.25), ("q2", "d1", 0.125)], NEGATIVES),
    )


def named(folder: Path, to: str) -> Path:
    suffix = next(iter(format_named(to).kinds)).removesuffix("/")
    return folder / f"{to}{suffix}"


def read(path: Path, name: str) -> list[dict[str, Any]]:
    tables = find_reader(name).groups(path, ReadOptions())
    return pa.concat_tables(tables).to_pylist()


def exported(selection: SelectedTables, to: str, folder: Path) -> Path:
    """With ids and scores, where they have a place beside labels."""
    takes = format_named(to).takes
    parts = {part: True for part in ("ids", "scores") if part in takes and "soft_labels" not in takes}
    path = named(folder, to)
    export(selection, to, path, options=ExportOptions(**parts))
    return path


@pytest.mark.parametrize("source", FORMATS)
def test_every_format_becomes_every_other(source: str, selection: SelectedTables, tmp_path: Path) -> None:
    given = exported(selection, source, tmp_path)
    (tmp_path / "to").mkdir()
    for to in FORMATS:
        path = named(tmp_path / "to", to)
        if to == "pylate-distillation" and source not in WITH_SCORES:
            with pytest.raises(InputError, match="lack a score"):
                convert(
                    given, to, path, format_name=source, file=TrainingFileOptions(), options=ConvertOptions()
                )
            continue
        convert(given, to, path, format_name=source, file=TrainingFileOptions(), options=ConvertOptions())
        assert {row["query"]: (row["pos"], row["neg"]) for row in read(path, to)} == GROUPS, to


@pytest.mark.parametrize("to", FORMATS)
def test_a_format_becomes_itself(to: str, selection: SelectedTables, tmp_path: Path) -> None:
    """Byte for byte, tables row for row."""
    given = exported(selection, to, tmp_path)
    path = named(tmp_path / "again", to)
    path.parent.mkdir()
    convert(given, to, path, format_name=None, file=TrainingFileOptions(), options=ConvertOptions())
    assert contents(path) == contents(given)


def contents(path: Path) -> dict[str, Any]:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return {
        one.name: pq.read_table(one).to_pylist() if one.suffix == ".parquet" else one.read_bytes()
        for one in files
    }


def test_ids_scores_and_titles_come_along(selection: SelectedTables, tmp_path: Path) -> None:
    given = exported(selection, "tevatron", tmp_path)
    path = tmp_path / "to.json"
    convert(given, "dpr", path, format_name=None, file=TrainingFileOptions(), options=ConvertOptions())
    kept = ("query_id", "pos_id", "pos_score", "pos_title", "neg_id", "neg_score", "neg_title")
    assert [{name: row[name] for name in kept} for row in read(path, "dpr")] == [
        {
            "query_id": "q1",
            "pos_id": ["d2", "d1"],
            "pos_score": [0.875, 0.75],
            "pos_title": ["", "Title"],
            "neg_id": ["d3"],
            "neg_score": [0.25],
            "neg_title": None,
        },
        {
            "query_id": "q2",
            "pos_id": ["d2"],
            "pos_score": [0.75],
            "pos_title": None,
            "neg_id": ["d1"],
            "neg_score": [0.125],
            "neg_title": ["Title"],
        },
    ]
