"""How a trial is run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hardneg.config import Stage

StudentName = Literal["adapter", "full", "static"]
Side = Literal["query", "document", "shared"]
LossName = Literal["mnrl", "cached-mnrl", "gist", "margin-mse"]

MOST_SEEDS = 50
"""Trainings of an arm, at most; and how far apart the batches' seeds of two trial seeds are."""


def _above_zero(value: Any) -> tuple[str, ...]:
    """Numbers, or their texts, as texts."""
    if value is None:
        return ()
    several = value if isinstance(value, tuple | list) else (value,)
    for one in several:
        try:
            number = 0.0 if isinstance(one, bool) else float(one)
        except (TypeError, ValueError):
            number = 0.0
        if not 0 < number < float("inf"):
            raise ValueError(f"{one!r} is no number above 0")
    return tuple(str(one) for one in several)


Numbers = Annotated[tuple[str, ...], BeforeValidator(_above_zero)]


class TrialOptions(Stage):
    """trial: who learns, for how long, and who is asked."""

    student: StudentName = Field(
        "adapter",
        description="What is trained on each selection: a linear map over the stored vectors (adapter), the "
        "model itself (full), or a bag of its word vectors (static).",
    )
    side: Side = Field(
        "query",
        description="adapter: whose vectors are mapped; shared: one map for both. Of the three, query orders "
        "rules most as fine-tuning does.",
    )
    loss: LossName = Field("mnrl", description="full: loss of sentence-transformers that is trained with.")
    trial_model: str | None = Field(
        None, description="full, static: model that is trained; default: that of the run's dense retriever."
    )
    trial_max_length: int | None = Field(
        None, ge=1, description="full: longest text in tokens; default: as the run encoded."
    )
    steps: int | None = Field(
        None,
        ge=1,
        description="Batches; default: adapter 400, full 100, static 300, and so few that a query is "
        "learned 40 times on average at most.",
    )
    batch: int | None = Field(
        None, ge=2, description="Queries a batch; default: adapter 64, full 32, static 64."
    )
    learning_rate: Numbers = Field(
        (), description="Learning rate; repeatable: each arm takes what does best on a part of the training."
    )
    softmax_temperature: Numbers = Field((), description="Temperature of the loss; repeatable, likewise.")
    seeds: int = Field(
        3, ge=1, le=MOST_SEEDS, description="How often each arm is trained, each time in other batches."
    )
    folds: int | None = Field(
        None,
        ge=1,
        le=5,
        description="Fifths of the run's queries that are asked in turn; default: all where there are fewer "
        "than 1,500 and the student is the adapter, else one.",
    )
    evaluation: str | None = Field(
        None,
        description="Source of the queries asked, with the run's document ids; default: a part of its own.",
    )
    evaluation_split: str | None = Field(
        None, description="Split of the judgments that are asked, of --evaluation or the run's own source."
    )
    training_queries: int = Field(5000, ge=2, description="Queries that are learned from, at most.")
    asked_queries: int = Field(1000, ge=2, description="Queries that are asked, at most.")
    pool: int = Field(
        100_000, ge=10, description="Documents that are searched, at most: answers, candidates, random ones."
    )
    trial_seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="Seed of everything drawn: splits, batches (--seeds of them) and intervals.",
    )
