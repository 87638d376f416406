"""ms-swift: `swift sft` on our rows, for an embedding model and a reranker, each for a step."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("swift") is None, reason="ms-swift is not installed: make test-trainers"),
]


def test_embedding(
    files: Path, groups: Any, decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--model_type", "qwen3_emb", "--task_type", "embedding", "--loss_type", "infonce"]
    texts, labels = step(words, decoder, files / "ms-swift-embedding.jsonl", tmp_path, monkeypatch)
    # A row is its query, for which there is no label, its positive (1) and its negatives (0).
    first = [place for place, label in enumerate(labels) if label == 1]
    last = [*first[1:], len(labels)]
    rows = [
        tuple(texts[begin + row : end + row + 1])
        for row, (begin, end) in enumerate(zip(first, last, strict=True))
    ]
    assert sorted(rows) == sorted(
        (f"{group.prompt}{group.query}", positive, *group.neg) for group in groups for positive in group.pos
    )


def test_reranker(
    files: Path, groups: Any, decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each row one positive, drawn, and its negatives, in any order."""
    words = ["--model_type", "qwen3", "--template", "qwen3", "--task_type", "reranker"]
    texts, labels = step(words, decoder, files / "ms-swift-reranker.jsonl", tmp_path, monkeypatch)
    found = [
        (text.partition(" document ")[0], text, label) for text, label in zip(texts, labels, strict=True)
    ]
    for group in groups:
        asked = group.prompt + group.query
        of_query = [(text.removeprefix(f"{asked} "), label) for query, text, label in found if query == asked]
        (positive,) = [text for text, label in of_query if label == 1]
        assert positive in group.pos
        assert sorted(text for text, label in of_query if label == 0) == sorted(group.neg)
    assert len(found) == sum(1 + len(group.neg) for group in groups)


def step(
    words: list[str], model: Path, rows: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[float]]:
    """Run `swift sft` for a step on all rows; the texts of the batch, the labels that its loss was given."""
    from swift.pipelines.train.sft import SwiftSft
    from swift.trainers import TrainerFactory

    monkeypatch.setenv("MODELSCOPE_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    words = [*words, "--model", str(model), "--dataset", str(rows), "--output_dir", str(folder / "trained")]
    words += ["--tuner_type", "full", "--torch_dtype", "float32", "--max_steps", "1", "--save_strategy", "no"]
    words += ["--per_device_train_batch_size", "64", "--learning_rate", "0.01", "--warmup_ratio", "0"]
    words += ["--report_to", "none", "--dataloader_num_workers", "0", "--split_dataset_ratio", "0"]
    words += ["--check_model", "false"]  # else ModelScope is asked what files it should have
    pipeline = SwiftSft(words)
    given: list[tuple[list[str], list[float]]] = []
    trainer = TrainerFactory.get_trainer_cls(pipeline.args)
    compute = trainer.compute_loss

    def spied(self: Any, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        rows = [pipeline.tokenizer.decode(ids, skip_special_tokens=True) for ids in inputs["input_ids"]]
        given.append((rows, inputs["labels"].tolist()))
        return compute(self, model, inputs, *rest, **named)

    monkeypatch.setattr(trainer, "compute_loss", spied)
    before = [weight.detach().clone() for weight in pipeline.model.parameters()]
    pipeline.main()
    losses = [line["loss"] for line in pipeline.train_msg["log_history"] if "loss" in line]
    assert losses and all(math.isfinite(loss) for loss in losses)
    assert any((old != new).any() for old, new in zip(before, pipeline.model.parameters(), strict=True))
    (only,) = given
    return only
