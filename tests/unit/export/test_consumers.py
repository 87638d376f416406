"""Each training format, read by the trainer it is for and stepped once with a tiny random model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hardneg.export import ExportOptions, SelectedTables, export, to_dataset
from hardneg.records import CORPUS, NEGATIVES, QUERIES, SELECTED_POSITIVES

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
EXAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "flagembedding-examples"


@pytest.fixture(scope="module")
def selection() -> SelectedTables:
    """Four queries, each with two positives and two negatives; document i reads `document WORD_i`."""
    docs = [f"d{i}" for i in range(8)]
    positives = [(f"q{i}", f"d{(2 * i + j) % 8}", 0.9 - j / 10) for i in range(4) for j in (0, 1)]
    negatives = [(f"q{i}", f"d{(2 * i + 2 + j) % 8}", 0.5 - j / 10) for i in range(4) for j in (0, 1)]
    return SelectedTables(
        pa.table({"doc_id": docs, "title": ["document"] * 8, "text": WORDS}, CORPUS),
        pa.table(
            {"query_id": [f"q{i}" for i in range(4)], "text": [f"query {w}" for w in WORDS[:4]]}, QUERIES
        ),
        _table(positives, SELECTED_POSITIVES),
        _table(negatives, NEGATIVES),
    )


def _table(rows: list[tuple[str, str, float]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{"query_id": q, "doc_id": d, "score": s} for q, d, s in rows], schema)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights, and a tokenizer that knows the words of the selection."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, set_seed

    set_seed(0)
    path = tmp_path_factory.mktemp("model")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", "document", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token=vocabulary[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
        model_max_length=32,
    ).save_pretrained(path)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(path)
    return path


def _load(selection: SelectedTables, to: str, folder: Path, name: str = "train.jsonl", **options: Any) -> Any:
    import datasets

    path = folder / name
    export(selection, to, path, options=ExportOptions(**options))
    kind = {"jsonl": "json", "parquet": "parquet", "csv": "csv"}[path.suffix[1:]]
    return datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(folder / "cache"))


def _arguments(kind: Any, folder: Path, **more: Any) -> Any:
    return kind(
        output_dir=str(folder / "trained"),
        max_steps=1,
        per_device_train_batch_size=4,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        **more,
    )


@pytest.mark.parametrize(
    ("to", "name", "options", "loss"),
    [
        ("st-triplet", "train.jsonl", {}, "MultipleNegativesRankingLoss"),
        ("st-triplet", "train.csv", {}, "TripletLoss"),
        ("st-triplet", "train.jsonl", {"scores": True}, "MarginMSELoss"),
        ("st-n-tuple", "train.parquet", {}, "MultipleNegativesRankingLoss"),
        ("st-n-tuple", "train.jsonl", {"scores": True}, "MarginMSELoss"),
        ("st-labeled-pair", "train.jsonl", {}, "ContrastiveLoss"),
        ("st-labeled-pair", "train.csv", {}, "OnlineContrastiveLoss"),
        ("st-labeled-pair", "train.parquet", {"scores": True}, "CoSENTLoss"),
    ],
)
def test_a_bi_encoder_trains_a_step(
    to: str,
    name: str,
    options: dict[str, Any],
    loss: str,
    selection: SelectedTables,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer import losses

    model = SentenceTransformer(str(checkpoint), device="cpu")
    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(SentenceTransformerTrainingArguments, tmp_path),
        train_dataset=_load(selection, to, tmp_path, name, **options),
        loss=getattr(losses, loss)(model),
    )
    assert math.isfinite(trainer.train().training_loss)


def test_a_bi_encoder_trains_a_step_on_the_data_set(
    selection: SelectedTables, checkpoint: Path, tmp_path: Path
) -> None:
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(str(checkpoint), device="cpu")
    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(SentenceTransformerTrainingArguments, tmp_path),
        train_dataset=to_dataset(selection, "st-triplet"),
        loss=MultipleNegativesRankingLoss(model),
    )
    assert math.isfinite(trainer.train().training_loss)


@pytest.mark.parametrize("loss", ["LambdaLoss", "ListNetLoss"])
def test_a_cross_encoder_trains_a_step_on_lists(
    loss: str, selection: SelectedTables, checkpoint: Path, tmp_path: Path
) -> None:
    # Lists of different lengths, as the losses take them.
    ragged = SelectedTables(selection.corpus, selection.queries, selection.positives, selection.negatives[1:])
    assert _cross_encoder_loss(ragged, "st-labeled-list", loss, checkpoint, tmp_path) > 0


def test_a_cross_encoder_trains_a_step_on_pairs(
    selection: SelectedTables, checkpoint: Path, tmp_path: Path
) -> None:
    found = _cross_encoder_loss(selection, "st-labeled-pair", "BinaryCrossEntropyLoss", checkpoint, tmp_path)
    assert math.isfinite(found)


def _cross_encoder_loss(
    selection: SelectedTables, to: str, loss: str, checkpoint: Path, folder: Path
) -> float:
    from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder import losses

    model = CrossEncoder(str(checkpoint), device="cpu")
    trainer = CrossEncoderTrainer(
        model=model,
        args=_arguments(CrossEncoderTrainingArguments, folder),
        train_dataset=_load(selection, to, folder),
        loss=getattr(losses, loss)(model),
    )
    found: float = trainer.train().training_loss
    return found


def test_the_batch_holds_the_texts_that_were_meant(
    selection: SelectedTables, checkpoint: Path, tmp_path: Path
) -> None:
    """The loss sees anchor, positive, negatives in this order, and the scores as the label, not as text."""
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    model = SentenceTransformer(str(checkpoint), device="cpu")
    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(SentenceTransformerTrainingArguments, tmp_path),
        train_dataset=_load(selection, "st-n-tuple", tmp_path, scores=True),
    )
    features, labels = trainer.collect_features(
        trainer.data_collator(trainer.train_dataset.select([0]).to_list())
    )
    texts = [model.tokenizer.decode(f["input_ids"][0], skip_special_tokens=True) for f in features]
    assert texts == ["query alpha", "document alpha", "document gamma", "document delta"]
    assert labels[0].tolist() == pytest.approx([0.9, 0.5, 0.4])


# -- FlagEmbedding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scores", [False, True])
def test_flagembedding_reads_it(
    scores: bool, selection: SelectedTables, checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("FlagEmbedding", reason="FlagEmbedding is not installed; its schema is tested below")
    from FlagEmbedding.abc.finetune.embedder import AbsDataset
    from FlagEmbedding.abc.finetune.embedder.AbsArguments import AbsEmbedderDataArguments
    from transformers import AutoTokenizer

    path = tmp_path / "train.jsonl"
    export(selection, "flagembedding", path, options=ExportOptions(scores=scores, ids=True))
    arguments = AbsEmbedderDataArguments(
        train_data=[str(path)], cache_path=str(tmp_path), train_group_size=3, knowledge_distillation=scores
    )
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    dataset = AbsDataset.AbsEmbedderTrainDataset(arguments, tokenizer)
    assert len(dataset) == 4
    query, passages, teacher = dataset[0]
    assert query == "query alpha"
    assert passages[0] in {"document alpha", "document beta"}
    assert set(passages[1:]) == {"document gamma", "document delta"}
    if scores:
        teacher_of = {"alpha": 0.9, "beta": 0.8, "gamma": 0.5, "delta": 0.4}
        assert teacher == pytest.approx([teacher_of[passage.split()[1]] for passage in passages])
    batch = AbsDataset.AbsEmbedderCollator(tokenizer)([dataset[0], dataset[1]])
    assert batch["passages"]["input_ids"].shape[0] == 2 * 3


FLAGEMBEDDING_KEYS = {
    "query": str,
    "pos": (list, str),
    "neg": (list, str),
    "pos_scores": (list, float),
    "neg_scores": (list, float),
    "prompt": str,
}
"""As FlagEmbedding documents its training data (`type` is for data sets that mix tasks)."""


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return isinstance(value, list) and len(value) > 0 and all(isinstance(v, kind[1]) for v in value)
    return isinstance(value, kind)


def _check_schema(row: dict[str, Any]) -> None:
    assert {"query", "pos", "neg"} <= set(row)
    for key, kind in FLAGEMBEDDING_KEYS.items():
        assert key not in row or _fits(row[key], kind), key
    for side in ("pos", "neg"):
        assert len(row.get(f"{side}_scores", row[side])) == len(row[side])


def test_flagembedding_schema(selection: SelectedTables, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    prompts = selection.queries.append_column("prompt", pa.array(["find"] * 4))
    with_prompts = SelectedTables(selection.corpus, prompts, selection.positives, selection.negatives)
    export(with_prompts, "flagembedding", path, options=ExportOptions(scores=True, prompts=True))
    for line in path.read_text().splitlines():
        _check_schema(json.loads(line))


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs ../shared/data/flagembedding-examples, absent here")
def test_the_schema_is_that_of_flagembeddings_own_examples() -> None:
    files = sorted(EXAMPLES.glob("*.jsonl"))
    assert len(files) == 11
    for file in files:
        for line in file.read_text("utf-8").split("\n"):
            if line.strip():
                _check_schema(json.loads(line))
