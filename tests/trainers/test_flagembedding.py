"""FlagEmbedding: its embedder and its reranker, each trained a step by its own runner on our files."""

from __future__ import annotations

import random
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from flagembedding_steps import (
    GROUP,
    assert_asked,
    assert_embedded,
    assert_own,
    data,
    decoded,
    step,
    training,
)

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("FlagEmbedding") is None, reason="FlagEmbedding is not here"),
]


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_embedder(scored: bool, files: Path, groups: Any, checkpoint: Path, tmp_path: Path) -> None:
    from FlagEmbedding.finetune.embedder.encoder_only import base

    runner = base.EncoderOnlyEmbedderRunner(
        base.EncoderOnlyEmbedderModelArguments(model_name_or_path=str(checkpoint)),
        base.EncoderOnlyEmbedderDataArguments(
            query_instruction_for_retrieval="not used: each query has its own" if scored else None,
            **data(files, scored, tmp_path),
        ),
        base.EncoderOnlyEmbedderTrainingArguments(**training(tmp_path)),
    )
    assert_embedded(runner, groups, scored)


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_m3_embedder(scored: bool, files: Path, groups: Any, checkpoint: Path, tmp_path: Path) -> None:
    """Dense, sparse and multi-vector outputs learn together; as in bge-m3 a mark ends texts."""
    from FlagEmbedding.abc.finetune import embedder
    from FlagEmbedding.finetune.embedder.encoder_only import m3
    from transformers import AutoTokenizer

    shutil.copytree(checkpoint, model := tmp_path / "m3")
    marks = {"eos_token": "[SEP]"}
    AutoTokenizer.from_pretrained(str(checkpoint), **marks).save_pretrained(model)
    runner = m3.EncoderOnlyEmbedderM3Runner(
        m3.EncoderOnlyEmbedderM3ModelArguments(model_name_or_path=str(model)),
        embedder.AbsEmbedderDataArguments(
            query_instruction_for_retrieval="not used: each query has its own" if scored else None,
            **data(files, scored, tmp_path),
        ),
        m3.EncoderOnlyEmbedderM3TrainingArguments(**training(tmp_path), unified_finetuning=True),
    )
    assert_embedded(runner, groups, scored)


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_reranker(scored: bool, files: Path, groups: Any, checkpoint: Path, tmp_path: Path) -> None:
    from FlagEmbedding.abc.finetune import reranker
    from FlagEmbedding.finetune.reranker.encoder_only.base import EncoderOnlyRerankerRunner

    runner = EncoderOnlyRerankerRunner(
        reranker.AbsRerankerModelArguments(model_name_or_path=str(checkpoint)),
        reranker.AbsRerankerDataArguments(**data(files, scored, tmp_path)),
        reranker.AbsRerankerTrainingArguments(**training(tmp_path)),
    )
    (batch,) = step(runner)
    pairs = decoded(runner.tokenizer, batch["pair"]["input_ids"])
    words = [pair.split() for pair in pairs]  # "query red document alpha"
    queries = [" ".join(pair[:2]) for pair in words[::GROUP]]
    of_query = {group.query: group for group in groups}
    assert sorted(queries) == sorted(of_query)
    assert [" ".join(pair[:2]) for pair in words] == [query for query in queries for _ in range(GROUP)]
    assert_own(queries, [" ".join(pair[2:]) for pair in words], batch["teacher_scores"], of_query)


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_decoder_embedder(scored: bool, files: Path, groups: Any, decoder: Path, tmp_path: Path) -> None:
    from FlagEmbedding.abc.finetune import embedder
    from FlagEmbedding.finetune.embedder.decoder_only import base

    runner = base.DecoderOnlyEmbedderRunner(
        base.DecoderOnlyEmbedderModelArguments(model_name_or_path=str(decoder), use_lora=False),
        embedder.AbsEmbedderDataArguments(
            query_instruction_for_retrieval="not used: each query has its own" if scored else None,
            **data(files, scored, tmp_path),
        ),
        embedder.AbsEmbedderTrainingArguments(**training(tmp_path), sentence_pooling_method="last_token"),
    )
    assert_embedded(runner, groups, scored)


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_decoder_reranker(scored: bool, files: Path, groups: Any, decoder: Path, tmp_path: Path) -> None:
    """What it asks about a pair stands behind it: a row's `prompt` would take its place."""
    from FlagEmbedding.abc.finetune import reranker
    from FlagEmbedding.finetune.reranker.decoder_only import base

    runner = base.DecoderOnlyRerankerRunner(
        base.RerankerModelArguments(model_name_or_path=str(decoder), model_type="decoder", use_lora=False),
        reranker.AbsRerankerDataArguments(**data(files, scored, tmp_path, prompts=False)),
        reranker.AbsRerankerTrainingArguments(**training(tmp_path)),
    )
    assert_asked(runner, groups)


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_icl_embedder(scored: bool, files: Path, groups: Any, decoder: Path, tmp_path: Path) -> None:
    """Before a query stand others of its batch as examples, each with a positive of its own."""
    from FlagEmbedding.abc.finetune import embedder
    from FlagEmbedding.finetune.embedder.decoder_only import icl

    random.seed(0)  # the runner draws the examples
    runner = icl.DecoderOnlyEmbedderICLRunner(
        icl.DecoderOnlyEmbedderICLModelArguments(model_name_or_path=str(decoder), use_lora=False),
        icl.DecoderOnlyEmbedderICLDataArguments(
            query_instruction_for_retrieval="not used: each query has its own" if scored else "",
            query_max_len=1024,  # of these, 512 are kept from the examples
            same_dataset_within_batch=True,
            **data(files, scored, tmp_path),
        ),
        embedder.AbsEmbedderTrainingArguments(**training(tmp_path), sentence_pooling_method="last_token"),
    )
    (batch,) = step(runner)
    of_query = {(group.prompt if scored else "") + group.query: group for group in groups}
    asked = [in_parts(text, of_query) for text in decoded(runner.tokenizer, batch["queries"]["input_ids"])]
    queries = [query for _, query in asked]
    assert sorted(queries) == sorted(of_query)
    assert sum(len(examples) for examples, _ in asked) > 2
    for examples, query in asked:
        assert query not in dict(examples)
        assert all(positive in of_query[shown].pos for shown, positive in examples)
    passages = decoded(runner.tokenizer, batch["passages"]["input_ids"])
    assert_own(queries, passages, batch["teacher_scores"], of_query)


def in_parts(text: str, of_query: dict[str, Any]) -> tuple[list[tuple[str, str]], str]:
    """The examples, each a query and two words of a document, and the query."""
    found: list[tuple[str, str]] = []
    while text not in of_query:
        query = next(query for query in of_query if text.startswith(f"{query} document "))
        _, word, text = text.removeprefix(f"{query} ").split(" ", 2)
        found.append((query, f"document {word}"))
    return found, text
