"""GPL: `gpl.train` on our folder, which has nothing left to generate and mine, for a step of a tiny model."""

from __future__ import annotations

import importlib
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gpl") is None, reason="GPL is not installed: make test-trainers"),
]


def test_a_training(
    files: Path, groups: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    module = importlib.import_module("gpl.train")  # `gpl.train` is the function too
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / "gpl"
    shutil.copytree(files / "gpl", folder)
    losses: list[float] = []
    rows: list[tuple[str, ...]] = []
    forward = module.MarginDistillationLoss.forward

    def spied(self: Any, columns: Any, labels: Any) -> Any:
        columns = list(columns)
        decode = self.model.tokenizer.decode
        texts = [[decode(ids, skip_special_tokens=True) for ids in column["input_ids"]] for column in columns]
        rows.extend(zip(*texts, strict=True))
        assert torch.isfinite(labels).all()
        loss = forward(self, columns, labels)
        losses.append(float(loss))
        return loss

    monkeypatch.setattr(module.MarginDistillationLoss, "forward", spied)
    module.train(
        path_to_generated_data=str(folder),
        output_dir=str(tmp_path / "trained"),
        base_ckpt=str(checkpoint),
        cross_encoder=str(checkpoint),
        batch_size_gpl=len(groups),
        gpl_steps=1,
        max_seq_length=32,
    )
    (loss,) = losses
    assert loss == loss and abs(loss) != float("inf")
    assert sorted(query for query, _, _ in rows) == sorted(group.query for group in groups)
    of_query = {group.query: group for group in groups}
    for query, positive, negative in rows:
        assert positive in of_query[query].pos
        assert negative in of_query[query].neg
    trained, old = (SentenceTransformer(str(path)) for path in (tmp_path / "trained", checkpoint))
    assert any((a != b).any() for a, b in zip(trained.parameters(), old.parameters(), strict=True))
