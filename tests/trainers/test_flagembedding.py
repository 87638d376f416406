"""FlagEmbedding: its embedder and its reranker, each trained a step by its own runner on our files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("FlagEmbedding") is None, reason="FlagEmbedding is not here"),
]

GROUP = 4
"""Passages a query, the positive first."""


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
    (batch,) = step(runner)
    words = [pair.split() for pair in decoded(runner.tokenizer, batch["pair"]["input_ids"])]
    asked = [" ".join(pair[:2]) for pair in words]
    queries = asked[::GROUP]
    of_query = {group.query: group for group in groups}
    assert sorted(queries) == sorted(of_query)
    assert asked == [query for query in queries for _ in range(GROUP)]
    assert {" ".join(pair[4:]) for pair in words} == {
        "query A B query"
    }  # what the model knows of its question
    assert_own(queries, [" ".join(pair[2:4]) for pair in words], batch["teacher_scores"], of_query)


def data(files: Path, scored: bool, folder: Path, *, prompts: bool = True) -> dict[str, Any]:
    parts = ("-all" if prompts else "-scores") if scored else ""
    return {
        "train_data": [str(files / f"flagembedding{parts}.jsonl")],
        "cache_path": str(folder / "cache"),
        "train_group_size": GROUP,
        "knowledge_distillation": scored,
    }


def training(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "trained"),
        "max_steps": 1,
        "per_device_train_batch_size": 4,  # all queries
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
    }


def step(runner: Any) -> list[dict[str, Any]]:
    """Train; the batches that the model was given."""
    batches: list[dict[str, Any]] = []
    runner.model.register_forward_pre_hook(
        lambda model, positional, named: batches.append(named), with_kwargs=True
    )
    before = [weight.detach().clone() for weight in runner.model.parameters()]
    trained = runner.trainer.train()
    assert math.isfinite(trained.training_loss)
    assert any((old != new).any() for old, new in zip(before, runner.model.parameters(), strict=True))
    return batches


def decoded(tokenizer: Any, rows: Any) -> list[str]:
    return [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in rows]


def assert_embedded(runner: Any, groups: Any, scored: bool) -> None:
    """An embedder takes its step on all queries, with prompts where they are written, and their own texts."""
    (batch,) = step(runner)
    queries = decoded(runner.tokenizer, batch["queries"]["input_ids"])
    passages = decoded(runner.tokenizer, batch["passages"]["input_ids"])
    of_query = {(group.prompt if scored else "") + group.query: group for group in groups}
    assert sorted(queries) == sorted(of_query)
    assert_own(queries, passages, batch["teacher_scores"], of_query)


def assert_own(
    queries: Sequence[str], passages: Sequence[str], scores: Any, of_query: dict[str, Any]
) -> None:
    """Behind each query's positive stand its own negatives, as many as it has; each score is its text's."""
    assert len(passages) == GROUP * len(queries)
    for place, query in enumerate(queries):
        group = of_query[query]
        positive, *negatives = passages[place * GROUP : (place + 1) * GROUP]
        assert positive in group.pos
        assert set(negatives) <= set(group.neg)
        assert len(set(negatives)) >= min(2, len(group.neg))
    if scores is not None:
        known = [{**of_query[query].pos, **of_query[query].neg} for query in queries for _ in range(GROUP)]
        meant = [of_text[text] for of_text, text in zip(known, passages, strict=True)]
        assert [float(score) for score in scores] == pytest.approx(meant)
