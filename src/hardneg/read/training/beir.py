"""BEIR's qrels as training data: what has a relevance above 0 is a positive, the rest are negatives.

The relevance is kept as the label where it is not just 1 or 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from hardneg.read.training.by_id import OF_IDS, id_groups, judged_lines
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import group_tables
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.sample import Sample

_NAMES = ["query-id", "corpus-id", "score"]


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    return group_tables(id_groups(path, judged_lines(path, options), options, as_labels=True))


def _recognise(sample: Sample) -> bool:
    if sample.kind == ".parquet":
        return list(sample.row) == _NAMES
    return bool(sample.lines) and sample.lines[0].split("\t") == _NAMES


READERS = {"beir": TrainingReader(_groups, ("",), _recognise, positives=False, options=OF_IDS)}
