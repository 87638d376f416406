"""FlagEmbedding's layerwise reranker, of the transformers of 2024, trained a step by its own runner."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from flagembedding_steps import assert_asked, data, training

HERE = find_spec("FlagEmbedding") is not None and find_spec("transformers") is not None
pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(
        not HERE or int(version("transformers").split(".")[0]) > 4,
        reason="FlagEmbedding with transformers 4.46 is not here",
    ),
]


@pytest.fixture(scope="module")
def layerwise(decoder_tokenizer: Callable[[Path], int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MiniCPM of three layers; from the second on each gives a score."""
    from FlagEmbedding.finetune.reranker.decoder_only.layerwise import (
        configuration_minicpm_reranker as configuration,
    )
    from FlagEmbedding.finetune.reranker.decoder_only.layerwise import modeling_minicpm_reranker as minicpm
    from transformers import AutoConfig, set_seed

    set_seed(0)
    folder = tmp_path_factory.mktemp("layerwise")
    settings = configuration.LayerWiseMiniCPMConfig(
        vocab_size=decoder_tokenizer(folder),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=2,
        dim_model_base=16,
        start_layer=2,
        head_multi=True,
    )
    AutoConfig.register(
        "minicpm", configuration.LayerWiseMiniCPMConfig, exist_ok=True
    )  # the model's own file does it
    minicpm.LayerWiseMiniCPMForCausalLM(settings).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_layerwise_reranker(scored: bool, files: Path, groups: Any, layerwise: Path, tmp_path: Path) -> None:
    from FlagEmbedding.abc.finetune import reranker
    from FlagEmbedding.finetune.reranker.decoder_only import layerwise as trainer

    runner = trainer.DecoderOnlyRerankerRunner(
        trainer.RerankerModelArguments(
            model_name_or_path=str(layerwise),
            model_type="from_finetuned_model",
            use_lora=False,
            start_layer=2,
            head_multi=True,
        ),
        reranker.AbsRerankerDataArguments(**data(files, scored, tmp_path, prompts=False)),
        reranker.AbsRerankerTrainingArguments(**training(tmp_path)),
    )
    assert_asked(runner, groups)
