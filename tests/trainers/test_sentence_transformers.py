"""sentence-transformers: its four kinds of model, each trained a step by its own trainer on our files."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("sentence_transformers") is None,
        reason="sentence-transformers is not here",
    ),
]

EVEN = 2

BI_ENCODER = [
    ("st-triplet.jsonl", "MultipleNegativesRankingLoss"),
    ("st-triplet.csv", "TripletLoss"),
    ("st-triplet-scores.jsonl", "MarginMSELoss"),
    ("st-n-tuple.jsonl", "MultipleNegativesRankingLoss"),
    ("st-n-tuple-scores.parquet", "MarginMSELoss"),
    ("st-n-tuple-scores.parquet", "DistillKLDivLoss"),
    ("st-labeled-pair.jsonl", "ContrastiveLoss"),
    ("st-labeled-pair-scores.parquet", "CoSENTLoss"),
]
SPARSE = [
    ("st-triplet.jsonl", "SparseTripletLoss"),
    ("st-n-tuple.jsonl", "SparseMultipleNegativesRankingLoss"),
    ("st-n-tuple-scores.parquet", "SparseMarginMSELoss"),
    ("st-n-tuple-scores.parquet", "SparseDistillKLDivLoss"),
]
MULTI_VECTOR = [
    ("st-triplet.jsonl", "MultiVectorMultipleNegativesRankingLoss"),
    ("st-n-tuple.jsonl", "MultiVectorMultipleNegativesRankingLoss"),
    ("st-n-tuple-scores.parquet", "MultiVectorMarginMSELoss"),
    ("st-n-tuple-scores.parquet", "MultiVectorDistillKLDivLoss"),
]
CROSS_ENCODER = [
    ("st-labeled-pair.jsonl", "BinaryCrossEntropyLoss"),
    ("st-labeled-list.jsonl", "LambdaLoss"),
    ("st-labeled-list.jsonl", "ListNetLoss"),
    ("st-labeled-list-scores.parquet", "ADRMSELoss"),
    ("st-n-tuple.jsonl", "MultipleNegativesRankingLoss"),
    ("st-n-tuple-scores.parquet", "MarginMSELoss"),
]


@pytest.mark.parametrize(("name", "loss"), BI_ENCODER)
def test_bi_encoder(name: str, loss: str, files: Path, groups: Any, checkpoint: Path, tmp_path: Path) -> None:
    import sentence_transformers as st
    from sentence_transformers.sentence_transformer import losses

    model = st.SentenceTransformer(str(checkpoint), device="cpu")
    kind = (st.SentenceTransformerTrainer, st.SentenceTransformerTrainingArguments)
    seen = step(kind, model, getattr(losses, loss)(model), files / name, tmp_path)
    assert_meant(seen, meant(name, groups))


@pytest.mark.parametrize(("name", "loss"), SPARSE)
def test_sparse_encoder(
    name: str, loss: str, files: Path, groups: Any, checkpoint: Path, tmp_path: Path
) -> None:
    import sentence_transformers as st
    from sentence_transformers.sparse_encoder import losses

    model = st.SparseEncoder(str(checkpoint), device="cpu")
    weights = {"document_regularizer_weight": 0.01, "query_regularizer_weight": 0.01}
    splade = losses.SpladeLoss(model, getattr(losses, loss)(model), **weights)
    kind = (st.SparseEncoderTrainer, st.SparseEncoderTrainingArguments)
    assert_meant(step(kind, model, splade, files / name, tmp_path), meant(name, groups))


@pytest.mark.parametrize(("name", "loss"), MULTI_VECTOR)
def test_multi_vector_encoder(
    name: str, loss: str, files: Path, groups: Any, checkpoint: Path, tmp_path: Path
) -> None:
    st = pytest.importorskip("sentence_transformers", minversion="6.0", reason="no multi-vector before 6")
    from sentence_transformers.multi_vector_encoder import losses

    model = st.MultiVectorEncoder(str(checkpoint), device="cpu")
    kind = (st.MultiVectorEncoderTrainer, st.MultiVectorEncoderTrainingArguments)
    seen = step(kind, model, getattr(losses, loss)(model), files / name, tmp_path)
    assert_meant(seen, meant(name, groups))


@pytest.mark.parametrize(("name", "loss"), CROSS_ENCODER)
def test_cross_encoder(
    name: str, loss: str, files: Path, groups: Any, checkpoint: Path, tmp_path: Path
) -> None:
    import sentence_transformers as st
    from sentence_transformers.cross_encoder import losses

    model = st.CrossEncoder(str(checkpoint), num_labels=1, device="cpu")
    kind = (st.CrossEncoderTrainer, st.CrossEncoderTrainingArguments)
    seen = step(kind, model, getattr(losses, loss)(model), files / name, tmp_path)
    assert_meant(seen, meant(name, groups))


def meant(name: str, groups: Any) -> dict[tuple[str, ...], list[float]]:
    scores = "-scores" in name
    if name.startswith("st-n-tuple"):
        return groups.n_tuples(EVEN, scores=scores)
    of_shape = {
        "st-triplet": groups.triplets,
        "st-labeled-pair": groups.pairs,
        "st-labeled-list": groups.lists,
    }
    return of_shape[name.split(".")[0].removesuffix("-scores")](scores=scores)


def step(kind: tuple[Any, Any], model: Any, loss: Any, path: Path, folder: Path) -> list[SimpleNamespace]:
    """Train one step on the whole file; the rows that the loss was given, as texts and labels."""
    import datasets

    trainer_class, arguments_class = kind
    reader = {".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}[path.suffix]
    rows = datasets.load_dataset(reader, data_files=str(path), split="train", cache_dir=str(folder / "cache"))
    seen: list[SimpleNamespace] = []
    loss.register_forward_pre_hook(
        lambda _, given: seen.extend(rows_of(model, *given)) if loss.training else None
    )
    arguments = arguments_class(
        output_dir=str(folder / "trained"),
        max_steps=1,
        per_device_train_batch_size=64,  # more than there are rows
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    before = [weight.detach().clone() for weight in model.parameters()]
    trained = trainer_class(model=model, args=arguments, train_dataset=rows, loss=loss).train()
    assert math.isfinite(trained.training_loss)
    assert any((old != new).any() for old, new in zip(before, model.parameters(), strict=True))
    return seen


def rows_of(model: Any, columns: Any, labels: Any) -> list[SimpleNamespace]:
    """The rows of a batch: a CrossEncoder's loss is given texts, those of others tokens."""
    texts = [column if isinstance(column, list) else decoded(model, column) for column in columns]
    label_of = [[] for _ in texts[0]] if labels is None else [label.reshape(-1).tolist() for label in labels]
    rows = zip(zip(*texts, strict=True), label_of, strict=True)
    return [SimpleNamespace(texts=flat(row), labels=label) for row, label in rows]


def decoded(model: Any, column: dict[str, Any]) -> list[str]:
    return [str(model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in column["input_ids"]]


def flat(row: tuple[Any, ...]) -> tuple[str, ...]:
    """The documents of a list beside its query."""
    return tuple(text for cell in row for text in (cell if isinstance(cell, list) else [cell]))


def assert_meant(seen: list[SimpleNamespace], rows: dict[tuple[str, ...], list[float]]) -> None:
    """Every row once, each text in its place, each label with its text."""
    assert sorted(row.texts for row in seen) == sorted(rows)
    for row in seen:
        assert row.labels == pytest.approx(rows[row.texts])
