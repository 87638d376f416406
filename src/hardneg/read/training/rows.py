"""The groups of a training file as rows, for reading it as a source of queries, positives and negatives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hardneg.config import ReadConfig, TrainingFileOptions
from hardneg.errors import InputError, UsageError
from hardneg.read.bad_rows import BadRows
from hardneg.read.rows import Row, Rows
from hardneg.read.training.formats import find_reader, recognised
from hardneg.read.training.options import ReadOptions
from hardneg.trainers import MODULES

_BY_COLUMNS = frozenset({"flagembedding", *(name for name in MODULES if name.startswith("st-"))})
"""Formats whose columns `read_labelled` knows by their names."""
_NAMES = {
    "query": "query", "query_id": "id", "prompt": "prompt",
    "pos": "pos", "pos_id": "pos_id", "pos_score": "pos_scores",
    "neg": "neg", "neg_id": "neg_id", "neg_score": "neg_scores",
}  # fmt: skip


def training_format(path: Path, config: ReadConfig) -> str | None:
    """The format that is named, or that a file begins as whose columns say nothing by their names."""
    if config.format is not None:
        return config.format
    try:
        found = recognised(path)
    except InputError:
        return None
    return found if found not in _BY_COLUMNS and find_reader(found).positives else None


def training_rows(path: Path, name: str, config: ReadConfig) -> Rows:
    """A row a group, in FlagEmbedding's columns. Raises UsageError for a format that names no positives."""
    if not find_reader(name).positives:
        raise UsageError(f"format: {name} holds ids alone; give a file of queries, with --qrels and --corpus")
    file = TrainingFileOptions(min_relevance=config.min_relevance)

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        for groups in find_reader(name).groups(path, ReadOptions(bad, file)):
            for group in groups.to_pylist():
                yield group["line"], {ours: group[one] for one, ours in _NAMES.items()}

    return Rows(str(path), read)
