"""NeMo AutoModel: its dataset, collator and loss on our folder and our lines, and a step of a tiny model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("nemo_automodel") is None, reason="NeMo AutoModel is not installed: make test-trainers"
    ),
]

PASSAGES = 3
"""A query's, the positive first."""


@pytest.mark.parametrize("name", ["nemo/train.json", "nemo-inline.jsonl"])
def test_bi_encoder(
    name: str, files: Path, groups: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import torch
    from nemo_automodel.components.datasets.llm import retrieval_collator, retrieval_dataset
    from nemo_automodel.components.datasets.llm import retrieval_dataset_inline as inline
    from transformers import AutoModel, AutoTokenizer

    makers = [retrieval_dataset, inline] if name.endswith(".jsonl") else [retrieval_dataset]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    for maker in makers:
        rows = maker.make_retrieval_dataset([str(files / name)], n_passages=PASSAGES)
        batch = retrieval_collator.BiEncoderCollator(tokenizer)([rows[place] for place in range(len(rows))])
        assert_meant(tokenizer, batch, groups)

    model = AutoModel.from_pretrained(checkpoint)
    before = [weight.detach().clone() for weight in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    queries, passages = (
        model(batch[f"{side}_input_ids"], batch[f"{side}_attention_mask"]).last_hidden_state[:, 0]
        for side in ("q", "d")
    )
    loss = contrastive(queries, passages)
    assert torch.isfinite(loss)
    loss.backward()
    optimizer.step()
    assert any((old != new).any() for old, new in zip(before, model.parameters(), strict=True))


def contrastive(queries: Any, passages: Any) -> Any:
    import torch
    from nemo_automodel.recipes.retrieval.train_bi_encoder import contrastive_scores_and_labels

    scores, labels = contrastive_scores_and_labels(queries, passages, PASSAGES)
    return torch.nn.functional.cross_entropy(scores, labels)


def assert_meant(tokenizer: Any, batch: Any, groups: Any) -> None:
    """Each query with its first positive and its first negatives."""
    queries, passages = (
        [tokenizer.decode(ids, skip_special_tokens=True) for ids in batch[f"{side}_input_ids"]]
        for side in ("q", "d")
    )
    found = {
        query: passages[place * PASSAGES : (place + 1) * PASSAGES] for place, query in enumerate(queries)
    }
    assert found == {
        group.query: [next(iter(group.pos)), *list(group.neg)[: PASSAGES - 1]] for group in groups
    }
