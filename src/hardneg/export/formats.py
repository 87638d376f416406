"""The formats by name. A trainer's module is imported only when one of its formats is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from hardneg.config import nearest
from hardneg.errors import UsageError
from hardneg.export.examples import Examples
from hardneg.export.options import ExportOptions

Kind = Literal["json", "jsonl", "jsonl.gz", "jsonl.zst", "parquet", "csv", "lines"]


@dataclass(frozen=True)
class Format:
    """How a trainer wants its examples.

    rows         a block of groups → the rows of the file, the columns named and ordered as in the file
    kinds        file suffix ("": any) → how rows are written; the longest that fits decides
    takes        which of OPTIONAL_PARTS mean something here
    each         under reference `each`, a group a positive; else a group is always a query
    rectangular  every group needs the same number of negatives
    needs_scores whose scores must be there even when they are not asked for
    separator    between the values of a line of kind `lines`
    header       whether a line of column names stands first there
    refuse       raises InputError for rows that such lines cannot hold
    """

    rows: Callable[[Examples, ExportOptions], pa.Table]
    kinds: Mapping[str, Kind]
    takes: frozenset[str]
    each: bool = False
    rectangular: bool = False
    needs_scores: Literal["", "negatives", "all"] = ""
    separator: str = "\t"
    header: bool = False
    refuse: Callable[[pa.Table], None] = lambda _: None


MODULES: Mapping[str, str] = {
    "beir": "beir",
    "dpr": "dpr",
    "flagembedding": "flagembedding",
    "ms-swift-embedding": "ms_swift",
    "ms-swift-reranker": "ms_swift",
    "nemo-inline": "nemo",
    "pylate-n-tuple": "pylate",
    "pylate-triplet": "pylate",
    "rankllm": "rankllm",
    "st-labeled-list": "sentence_transformers",
    "st-labeled-pair": "sentence_transformers",
    "st-n-tuple": "sentence_transformers",
    "st-triplet": "sentence_transformers",
    "tevatron": "tevatron",
    "trec": "trec",
}
OPTIONAL_PARTS = ("scores", "soft_labels", "ids", "prompts", "positives")


def find_format(to: str, options: ExportOptions) -> Format:
    """Raises UsageError for an unknown format, or an option that has no place in it."""
    if to not in MODULES:
        raise UsageError(
            f"unknown format {to!r}{nearest(to, MODULES)}; there are {', '.join(sorted(MODULES))}"
        )
    module = importlib.import_module(f"hardneg.export.{MODULES[to]}")
    found: Format = module.FORMATS[to]
    for part in OPTIONAL_PARTS:
        if getattr(options, part) and part not in found.takes:
            named = part.replace("_", "-")
            raise UsageError(f"{to} has no place for {named}; leave --{named} off")
    if options.scores and options.soft_labels:
        raise UsageError("--scores and --soft-labels take the same column; give one of them")
    return found
