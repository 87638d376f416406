"""A tiny cross-encoder, made here and loaded by the real code."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path

import pytest

Maker = Callable[..., Path]


def make_cross_encoder(folder: Path, num_labels: int = 1, seed: int = 0, spread: float = 0.2) -> Path:
    """Save a random BERT of two layers over letters; `spread` is that of its weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    letters = string.ascii_lowercase + string.digits
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=num_labels,
        initializer_range=spread,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: place for place, word in enumerate(words)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    def maker(**options: object) -> Path:
        return make_cross_encoder(tmp_path_factory.mktemp("cross-encoder"), **options)  # type: ignore[arg-type]

    return maker


@pytest.fixture(scope="session")
def folder(make: Maker) -> Path:
    return make()
