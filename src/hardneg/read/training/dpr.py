"""DPR's array of questions. What is in `negative_ctxs` comes after the hard negatives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.json_array import json_array_rows
from hardneg.read.row_files import kind_of
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, row_groups
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.passages import passages, side_of
from hardneg.read.training.sample import Sample
from hardneg.read.training.values import optional_id, text

_IDS = ("passage_id", "psg_id")  # its own files have both


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    rows = json_array_rows(path) if kind_of(path) == ".json" else None
    return row_groups(path, options, _parse, rows)


def _parse(row: Row) -> Group:
    for name in ("question", "positive_ctxs"):
        if name not in row:
            raise RowError("is not there", name)
    negatives = passages(row, "hard_negative_ctxs") + passages(row, "negative_ctxs")
    return Group(
        query=text(row["question"], "question"),
        positives=side_of(passages(row, "positive_ctxs"), "positive_ctxs", _IDS),
        negatives=side_of(negatives, "hard_negative_ctxs", _IDS),
        query_id=optional_id(row.get("query_id"), "query_id"),
    )


def _recognise(sample: Sample) -> bool:
    begins = "".join(sample.lines)
    return ("question" in sample.row and "positive_ctxs" in sample.row) or (
        begins.lstrip().startswith("[") and '"question"' in begins and '"answers"' in begins
    )


READERS = {"dpr": TrainingReader(_groups, (".json", ".jsonl"), _recognise)}
