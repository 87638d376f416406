"""Trainers that no package brings, by their own code: HARDNEG_TRAINER_CHECKOUTS names a folder of checkouts.

    git clone https://github.com/facebookresearch/DPR
    git clone https://github.com/texttron/tevatron
    git clone https://github.com/castorini/rank_llm
    git clone https://github.com/snowflakedb/ArcticTraining

They run in hardneg's own environment; libraries that they import and do not use here are stood in for.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

FOLDER = os.environ.get("HARDNEG_TRAINER_CHECKOUTS")

pytestmark = [pytest.mark.trainers, pytest.mark.slow]


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """checkout("DPR", "dpr.data.biencoder_data", within="", without=("hydra",)) → the module."""
    before = set(sys.modules)

    def load(name: str, module: str, within: str = "", without: tuple[str, ...] = ()) -> Any:
        if FOLDER is None or not (Path(FOLDER) / name).is_dir():
            pytest.skip(f"HARDNEG_TRAINER_CHECKOUTS names no folder with a checkout of {name}")
        monkeypatch.syspath_prepend(str(Path(FOLDER) / name / within))
        for absent in without:
            monkeypatch.setitem(sys.modules, absent, MagicMock())
        return importlib.import_module(module)

    yield load
    for module in set(sys.modules) - before:
        if module.split(".")[0] in ("dpr", "tevatron", "training", "data_processing"):
            del sys.modules[module]


def test_dpr(checkout: Any, files: Path, groups: Any) -> None:
    dpr = checkout("DPR", "dpr.data.biencoder_data", without=("hydra", "jsonlines", "omegaconf"))
    data = dpr.JsonQADataset(str(files / "dpr.json"))
    data.load_data()
    assert len(data) == len(groups)
    for sample, group in zip((data[place] for place in range(len(data))), groups, strict=True):
        assert sample.query == group.query
        assert [f"{p.title} {p.text}" for p in sample.positive_passages] == list(group.pos)
        assert [f"{p.title} {p.text}" for p in sample.hard_negative_passages] == list(group.neg)
        assert sample.negative_passages == []


@pytest.mark.parametrize("name", ["tevatron", "tevatron-ids"])
def test_tevatron_2(name: str, checkout: Any, files: Path, groups: Any, tmp_path: Path) -> None:
    importlib.import_module("datasets")  # before PIL is stood in for: it looks whether that is there
    module = checkout("tevatron", "tevatron.retriever.dataset", within="src", without=("PIL",))
    asked: dict[str, Any] = dict.fromkeys(
        ("dataset_config", "corpus_name", "corpus_path", "corpus_config", "assets_path", "num_proc")
    )
    asked |= {"dataset_split": "train", "corpus_split": "train", "dataset_cache_dir": str(tmp_path)}
    asked |= {"encode_text": True, "encode_image": False, "encode_video": False, "encode_audio": False}
    asked |= {"query_prefix": "", "passage_prefix": "", "train_group_size": 3, "dataset_name": "json"}
    if name == "tevatron":
        asked |= {"dataset_path": str(files / "tevatron.jsonl")}
    else:
        asked |= {"dataset_path": str(files / name / "train.jsonl"), "corpus_name": "json"}
        asked |= {"corpus_path": str(files / name / "corpus.jsonl")}
    trainer = SimpleNamespace(state=SimpleNamespace(epoch=0), args=SimpleNamespace(seed=1))
    data = module.TrainDataset(SimpleNamespace(**asked), trainer)
    assert len(data) == len(groups)
    for place, group in enumerate(groups):
        (query, *_), documents = data[place]
        positive, *negatives = (document[0] for document in documents)
        assert query == group.query
        assert positive in group.pos
        assert set(negatives) <= set(group.neg) and len(set(negatives)) == 2


@pytest.mark.parametrize("objective", ["generation", "combined"])
def test_rankllm(objective: str, checkout: Any, files: Path, groups: Any, decoder: Path) -> None:
    """A step of its own loss; what is learned is the ranking, what is asked holds every passage."""
    data_utils = checkout("rank_llm", "training.utils.data_utils", without=("ftfy",))
    data_utils.fix_text = str
    train_utils = checkout("rank_llm", "training.utils.train_utils")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(decoder, padding_side="right")
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }}\n{% endfor %}"
    asked = SimpleNamespace(
        train_dataset_path=str(files / "rankllm.json"),
        objective=objective,
        per_device_train_batch_size=len(groups),
        ranking_loss="ranknet",
        weighted=True,
    )
    data, loader = data_utils.initialize_dataset_and_loader(asked, tokenizer)
    for place, group in enumerate(groups):
        prompt, label, *rank = data[place]
        shown = {line[1]: line[4:] for line in prompt.splitlines() if line.startswith("[") and line[2] == "]"}
        assert f"search query: {group.query}." in prompt
        ranking = [letter for letter in label if letter in shown]
        best = sorted(group.pos, key=group.pos.__getitem__, reverse=True)
        worst = sorted(group.neg, key=group.neg.__getitem__, reverse=True)
        assert [shown[letter] for letter in ranking] == [*best, *worst]
        assert rank == ([] if objective == "generation" else [[ranking.index(x) for x in sorted(shown)]])
    (batch,) = loader
    model = AutoModelForCausalLM.from_pretrained(decoder)
    loss, *_ = train_utils.process_batch(batch, model, tokenizer, asked, torch.device("cpu"))
    loss.backward()
    assert math.isfinite(loss)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_arctic(
    checkout: Any,
    files: Path,
    groups: Any,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its tokenising and batching of mined data."""
    import pyarrow.parquet as pq
    from tokenizers import Tokenizer

    # Beside its package's __init__, which imports what trains on GPUs.
    within = "projects/arctic_embed/src/arctic_embed"
    module = checkout("ArcticTraining", "data_processing.pretokenize", within=within)
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    monkeypatch.setattr(module.Tokenizer, "from_pretrained", lambda _: tokenizer, raising=False)
    config = module.PretokenizeAndBatchMinedDataConfig(
        tokenizer_id=str(checkpoint),
        query_loc=str(files / "arctic" / "queries.parquet"),
        document_loc=str(files / "arctic" / "documents.parquet"),
        labels_loc=str(files / "arctic" / "labels.parquet"),
        output_loc=str(tmp_path / "out"),
        query_prefix="",
        document_prefix="",
        queries_per_batch=len(groups),
        max_pos_per_query=2,
    )
    module.pretokenize_and_batch_mined_data(config)
    (batch,) = (tmp_path / "out" / "data").iterdir()

    def texts(name: str, column: str) -> dict[int, str]:
        ids, tokens = pq.read_table(batch / f"{name}.parquet").to_pydict().values()
        return {
            of: tokenizer.decode(row, skip_special_tokens=True) for of, row in zip(ids, tokens, strict=True)
        }

    queries, documents = texts("queries", "QUERY"), texts("documents", "DOCUMENT")
    found = [
        (queries[query], documents[document], relevance)
        for query, document, relevance in zip(
            *pq.read_table(batch / "relations.parquet").to_pydict().values(), strict=True
        )
    ]
    assert sorted(found) == sorted(
        (group.query, text, 1 if text in group.pos else -1)
        for group in groups
        for text in (*group.pos, *group.neg)
    )
    assert json.loads((tmp_path / "out" / "metadata.json").read_text())["queries_per_batch"] == len(groups)
