"""The files that hardneg wrote, what was meant by them, and a model of a few thousand random weights.

Nothing here or in the tests beside it imports hardneg: each trainer has an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

Rows = dict[tuple[str, ...], list[float]]
"""The texts of a row, in the trainer's order → their labels or scores."""


@dataclass(frozen=True)
class Group:
    query: str
    prompt: str
    pos: dict[str, float]
    neg: dict[str, float]


class Groups(list[Group]):
    def n_tuples(self, count: int, *, scores: bool = False) -> Rows:
        """A positive with the first `count` negatives."""
        rows: Rows = {}
        for group in self:
            for positive, score in group.pos.items():
                negatives = list(group.neg)[:count]
                of_row = [score, *(group.neg[negative] for negative in negatives)]
                rows[group.query, positive, *negatives] = of_row if scores else []
        return rows

    def triplets(self, *, scores: bool = False) -> Rows:
        return {
            (group.query, positive, negative): [of_positive, of_negative] if scores else []
            for group in self
            for positive, of_positive in group.pos.items()
            for negative, of_negative in group.neg.items()
        }

    def pairs(self, *, scores: bool = False) -> Rows:
        return {
            (group.query, text): [score if scores else float(text in group.pos)]
            for group in self
            for text, score in {**group.pos, **group.neg}.items()
        }

    def lists(self, *, scores: bool = False) -> Rows:
        return {
            (group.query, *group.pos, *group.neg): [
                score if scores else float(text in group.pos)
                for text, score in {**group.pos, **group.neg}.items()
            ]
            for group in self
        }


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What export_files.py wrote: in HARDNEG_TRAINER_FILES, or now where hardneg is installed."""
    if "HARDNEG_TRAINER_FILES" in os.environ:
        return Path(os.environ["HARDNEG_TRAINER_FILES"])
    pytest.importorskip("hardneg", reason="hardneg is not installed here, and HARDNEG_TRAINER_FILES not set")
    folder = tmp_path_factory.mktemp("files")
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("export_files.py")), str(folder)], check=True
    )
    return folder


@pytest.fixture(scope="session")
def groups(files: Path) -> Groups:
    found = json.loads((files / "groups.json").read_text(encoding="utf-8"))
    return Groups(Group(row["query"], row["prompt"], dict(row["pos"]), dict(row["neg"])) for row in found)


@pytest.fixture(scope="session")
def checkpoint(groups: Groups, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer whose tokenizer knows the words of the files, so that batches can be read again."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast, set_seed

    set_seed(0)
    texts = [text for group in groups for text in (group.prompt, group.query, *group.pos, *group.neg)]
    words = dict.fromkeys(word for text in texts for word in text.split())
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token=vocabulary[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    folder = tmp_path_factory.mktemp("model")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
        model_max_length=32,
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder
