"""The formats of training files by name: modules of one name write them in `export/`, read them in
`read/training/`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType

from hardneg.config import nearest
from hardneg.errors import UsageError

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


def trainer_module(package: str, name: str) -> ModuleType:
    """The package's module for a format, imported only now. Raises UsageError for an unknown format."""
    if name not in MODULES:
        raise UsageError(
            f"unknown format {name!r}{nearest(name, MODULES)}; there are {', '.join(sorted(MODULES))}"
        )
    return importlib.import_module(f"{package}.{MODULES[name]}")
