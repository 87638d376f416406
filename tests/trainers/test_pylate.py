"""PyLate: a ColBERT trained a step on our rows and on our tables for distillation, with its own collator."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pylate") is None, reason="PyLate is not installed: make test-trainers"),
]

EVEN = 2


@pytest.fixture
def model(checkpoint: Path) -> Any:
    from pylate import models

    # Prefixes are left to a user who has marks for them: here they would be unknown words.
    return models.ColBERT(
        str(checkpoint), device="cpu", embedding_size=8, query_prefix="[CLS]", document_prefix="[CLS]"
    )


@pytest.mark.parametrize("name", ["pylate-triplet.jsonl", "pylate-n-tuple.jsonl"])
def test_contrastive(name: str, model: Any, files: Path, groups: Any, tmp_path: Path) -> None:
    import datasets
    from pylate import losses

    rows = datasets.load_dataset(
        "json", data_files=str(files / name), split="train", cache_dir=str(tmp_path / "cache")
    )
    columns, _ = step(model, losses.Contrastive(model=model), rows, tmp_path)
    meant = groups.triplets() if "triplet" in name else groups.n_tuples(EVEN)
    assert sorted(zip(*columns, strict=True)) == sorted(meant)


def test_distillation(model: Any, files: Path, groups: Any, tmp_path: Path) -> None:
    import datasets
    from pylate import losses, utils

    train, queries, documents = (
        datasets.load_dataset(
            "parquet",
            data_files=str(files / "pylate-distillation" / f"{name}.parquet"),
            split="train",
            cache_dir=str(tmp_path / "cache" / name),
        )
        for name in ("train", "queries", "documents")
    )
    train.set_transform(utils.KDProcessing(queries=queries, documents=documents).transform)
    (of_query, texts), scores = step(model, losses.Distillation(model=model), train, tmp_path)
    width = EVEN + 1
    found = {
        (query, *texts[place * width : (place + 1) * width]): of_row
        for place, (query, of_row) in enumerate(zip(of_query, scores.tolist(), strict=True))
    }
    meant = groups.n_tuples(EVEN, scores=True)
    assert sorted(found) == sorted(meant)
    assert len(of_query) == len(meant)
    for row, of_row in found.items():
        assert of_row == pytest.approx(meant[row])


def step(model: Any, loss: Any, rows: Any, folder: Path) -> tuple[list[list[str]], Any]:
    """Train one step on all rows; the columns of texts that the loss was given, and the labels."""
    from pylate import utils
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    given: list[tuple[list[list[str]], Any]] = []
    loss.register_forward_pre_hook(
        lambda _, inputs: given.append(([decoded(model, column) for column in inputs[0]], inputs[1]))
    )
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "trained"),
        max_steps=1,
        per_device_train_batch_size=64,  # more than there are rows
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    before = [weight.detach().clone() for weight in model.parameters()]
    trained = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        loss=loss,
        data_collator=utils.ColBERTCollator(model.tokenize),
    ).train()
    assert math.isfinite(trained.training_loss)
    assert any((old != new).any() for old, new in zip(before, model.parameters(), strict=True))
    (only,) = given
    return only


def decoded(model: Any, column: dict[str, Any]) -> list[str]:
    return [str(model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in column["input_ids"]]
