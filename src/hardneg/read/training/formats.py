"""The readers by the names of formats. A trainer's module is imported only when its format is looked at."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hardneg.config import nearest
from hardneg.errors import InputError, UsageError
from hardneg.named_files import kind_of_path
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.sample import FOLDER, Sample, sample_of

MODULES: Mapping[str, str] = {
    "arctic": "arctic",
    "beir": "beir",
    "dpr": "dpr",
    "flagembedding": "flagembedding",
    "gpl": "gpl",
    "ms-swift-embedding": "ms_swift",
    "ms-swift-reranker": "ms_swift",
    "nemo": "nemo",
    "nemo-inline": "nemo",
    "pylate-distillation": "pylate",
    "pylate-n-tuple": "pylate",
    "pylate-triplet": "pylate",
    "rankllm": "rankllm",
    "st-labeled-list": "sentence_transformers",
    "st-labeled-pair": "sentence_transformers",
    "st-n-tuple": "sentence_transformers",
    "st-triplet": "sentence_transformers",
    "tevatron": "tevatron",
    "tevatron-ids": "tevatron",
    "trec": "trec",
}


@dataclass(frozen=True)
class TrainingReader:
    """How a trainer's file is read.

    groups     the file → tables of `records.GROUPS`, in the file's order, some thousand texts a table
    kinds      what the names of such files end in, packing left away ("": any; "/": a folder)
    recognise  whether a file begins as this format does
    positives  whether the file itself holds positives; else a group may be without any
    """

    groups: Callable[[Path, ReadOptions], Iterator[pa.Table]]
    kinds: tuple[str, ...]
    recognise: Callable[[Sample], bool]
    positives: bool = True


def find_reader(name: str) -> TrainingReader:
    """Raises UsageError for a format that is not known."""
    if name not in MODULES:
        raise UsageError(
            f"unknown format {name!r}{nearest(name, MODULES)}; there are {', '.join(sorted(MODULES))}"
        )
    module = importlib.import_module(f"hardneg.read.training.{MODULES[name]}")
    found: TrainingReader = module.READERS[name]
    return found


def fits(reader: TrainingReader, kind: str) -> bool:
    """Whether such a file (its suffix, or "/") can be of the reader's format."""
    return kind in reader.kinds or (kind != FOLDER and "" in reader.kinds)


def recognised(path: Path) -> str:
    """The one format that the file begins as. Raises InputError where there is none, or more than one."""
    if kind_of_path(path) == "nothing":
        raise InputError("there is no such file or folder", file=path)
    sample = sample_of(path)
    readers = {name: find_reader(name) for name in MODULES}
    found = [
        name for name, reader in readers.items() if fits(reader, sample.kind) and reader.recognise(sample)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"could be {' or '.join(found)}; say which", file=path)
    raise InputError(
        f"is of no format that is known by how it begins{sample.shown}; say which it is "
        f"({', '.join(sorted(MODULES))})",
        file=path,
    )
