"""A step of FlagEmbedding's own runner, and what its batch must hold; shared by tests of two environments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

GROUP = 4
"""Passages a query, the positive first."""


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


def assert_asked(runner: Any, groups: Any) -> None:
    """A decoder that reranks takes its step on all pairs; what it is asked about each stands behind it."""
    (batch,) = step(runner)
    words = [pair.split() for pair in decoded(runner.tokenizer, batch["pair"]["input_ids"])]
    asked = [" ".join(pair[:2]) for pair in words]  # "query red document alpha query A B query"
    queries = asked[::GROUP]
    of_query = {group.query: group for group in groups}
    assert sorted(queries) == sorted(of_query)
    assert asked == [query for query in queries for _ in range(GROUP)]
    known_of_the_question = {" ".join(pair[4:]) for pair in words}
    assert known_of_the_question == {"query A B query"}
    assert_own(queries, [" ".join(pair[2:4]) for pair in words], batch["teacher_scores"], of_query)
