"""Texts, and a configuration whose store is the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardneg.config import EncodeConfig

WORDS = "cell gene drug heart blood virus the of and in is not causes lowers raises query passage".split()


@pytest.fixture
def config(tmp_path: Path) -> EncodeConfig:
    return EncodeConfig(cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def texts() -> list[str]:
    """200 texts of 1 to 30 words; two of them twice."""
    import random

    draw = random.Random(0)
    made = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) + f" {i}" for i in range(198)]
    return [*made, made[3], made[50]]


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory, build: Callable[..., Any]) -> Callable[[str], Any]:
    """kinds("bert" | "modernbert" | "decoder" | "static") → a small random SentenceTransformer."""

    def make(kind: str) -> Any:
        return {"bert": _bert, "modernbert": _modernbert, "decoder": _decoder, "static": _static}[kind](
            build, tmp_path_factory.mktemp(kind)
        )

    return make


def _bert(build: Callable[..., Any], folder: Path) -> Any:
    return build(prompts={"query": "query : "})


def _modernbert(build: Callable[..., Any], folder: Path) -> Any:
    """Local attention of 8 tokens in one layer, so that most of the texts are longer than it."""
    from transformers import ModernBertConfig, ModernBertModel

    settings: dict[str, Any] = {"local_attention": 8, "global_attn_every_n_layers": 2}
    return _around(build, folder, ModernBertModel, ModernBertConfig, "mean", **settings)


def _decoder(build: Callable[..., Any], folder: Path) -> Any:
    """Qwen2: causal, padded on the left, the last token's vector."""
    from transformers import Qwen2Config, Qwen2Model

    settings = {"num_key_value_heads": 1, "initializer_range": 0.2}
    model = _around(build, folder, Qwen2Model, Qwen2Config, "lasttoken", **settings)
    model.tokenizer.padding_side = "left"
    return model


def _around(
    build: Callable[..., Any], folder: Path, model: Any, config: Any, pooling: str, **settings: Any
) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    tokenizer = build().tokenizer
    tokenizer.save_pretrained(str(folder))
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    model(
        config(
            vocab_size=len(tokenizer),
            max_position_embeddings=64,
            **{"initializer_range": 0.3, **sizes, **special, **settings},
        )
    ).save_pretrained(str(folder))
    transformer = Transformer(str(folder))
    # Loaded by the model's type it is another kind of tokenizer, which knows letters and no words.
    transformer.processor = build().tokenizer
    transformer.max_seq_length = 32
    return SentenceTransformer(
        modules=[transformer, Pooling(16, pooling)], prompts={"query": "query : "}, device="cpu"
    )


def _static(build: Callable[..., Any], folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    bag = StaticEmbedding(build().tokenizer.backend_tokenizer, embedding_dim=8)
    return SentenceTransformer(modules=[bag], prompts={"query": "query : "}, device="cpu")
