"""Tevatron 1: a dense model trained a step on our rows, as its own driver does it."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("tevatron") is None, reason="Tevatron is not installed: make test-trainers"),
]

GROUP = 3
"""Passages a query, the positive first."""


def test_dense_model(files: Path, groups: Any, checkpoint: Path, tmp_path: Path) -> None:
    from tevatron.arguments import DataArguments, DenseTrainingArguments, ModelArguments
    from tevatron.data import QPCollator, TrainDataset
    from tevatron.datasets import HFTrainDataset
    from tevatron.modeling import DenseModel
    from tevatron.trainer import DenseTrainer
    from transformers import AutoConfig

    # A folder by name: files of --train_dir are taken for tokens, not texts.
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes((files / "tevatron.jsonl").read_bytes())
    about_data = DataArguments(
        dataset_name=str(folder), train_n_passages=GROUP, dataset_proc_num=1, q_max_len=16, p_max_len=16
    )
    about_model = ModelArguments(model_name_or_path=str(checkpoint))
    training = DenseTrainingArguments(
        output_dir=str(tmp_path / "trained"),
        max_steps=1,
        warmup_ratio=0.0,  # by default the only step would be of rate 0
        per_device_train_batch_size=len(groups),
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    tokenizer = slow_tokenizer(checkpoint, tmp_path)
    model = DenseModel.build(about_model, about_data, training, config=AutoConfig.from_pretrained(checkpoint))
    rows = HFTrainDataset(tokenizer, about_data, cache_dir=str(tmp_path / "cache"))
    dataset = TrainDataset(about_data, rows.process(), tokenizer)
    trainer = DenseTrainer(
        model=model,
        args=training,
        train_dataset=dataset,
        data_collator=QPCollator(tokenizer, max_p_len=16, max_q_len=16),
    )
    dataset.trainer = trainer
    batches: list[dict[str, Any]] = []
    model.register_forward_pre_hook(lambda _, positional, named: batches.append(named), with_kwargs=True)
    before = [weight.detach().clone() for weight in model.parameters()]
    assert math.isfinite(trainer.train().training_loss)
    assert any((old != new).any() for old, new in zip(before, model.parameters(), strict=True))

    (batch,) = batches
    queries, passages = (decoded(tokenizer, batch[name]["input_ids"]) for name in ("query", "passage"))
    of_query = {group.query: group for group in groups}
    assert sorted(queries) == sorted(of_query)
    assert len(passages) == GROUP * len(queries)
    for place, query in enumerate(queries):
        positive, *negatives = passages[place * GROUP : (place + 1) * GROUP]
        assert positive in of_query[query].pos
        assert set(negatives) <= set(of_query[query].neg)
        assert len(set(negatives)) == GROUP - 1


def slow_tokenizer(checkpoint: Path, folder: Path) -> Any:
    """As its driver asks for: texts are tokenised first and marked later, which fast ones cannot."""
    from transformers import AutoTokenizer, BertTokenizer

    places = AutoTokenizer.from_pretrained(checkpoint).get_vocab()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(sorted(places, key=lambda word: places[word])), encoding="utf-8")
    return BertTokenizer(str(vocabulary), do_lower_case=False)


def decoded(tokenizer: Any, rows: Any) -> list[str]:
    return [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in rows]
