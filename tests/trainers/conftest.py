"""The files that hardneg wrote, what was meant by them, and a model of a few thousand random weights.

Nothing here or in the tests beside it imports hardneg: each trainer has an environment of its own.
"""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    from tokenizers import processors
    from transformers import BertConfig, BertForMaskedLM, set_seed

    set_seed(0)
    folder = tmp_path_factory.mktemp("model")
    around = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    marks = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    config = BertConfig(
        vocab_size=word_tokenizer(groups, folder, marks, around),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def decoder_tokenizer(groups: Groups) -> Callable[[Path], int]:
    """Saves in a folder the tokenizer of a language model; how many tokens it knows."""
    marks = {"pad_token": "<|endoftext|>", "unk_token": "[UNK]", "eos_token": "<|im_end|>"}
    return lambda folder: word_tokenizer(groups, folder, marks)


@pytest.fixture(scope="session")
def decoder(decoder_tokenizer: Callable[[Path], int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a Qwen3, for trainers of language models."""
    from transformers import Qwen3Config, Qwen3ForCausalLM, set_seed

    set_seed(0)
    folder = tmp_path_factory.mktemp("decoder")
    config = Qwen3Config(
        vocab_size=decoder_tokenizer(folder),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def word_tokenizer(groups: Groups, folder: Path, marks: dict[str, str], around: Any = None) -> int:
    """Save a tokenizer of the files' words and of letters; how many tokens it knows."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    texts = [text for group in groups for text in (group.prompt, group.query, *group.pos, *group.neg)]
    words = [*marks.values(), *(word for text in texts for word in text.split()), *string.ascii_uppercase]
    places = {word: place for place, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordLevel(places, unk_token=marks["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if around is not None:
        tokenizer.post_processor = around
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks, model_max_length=512).save_pretrained(folder)
    return len(places)
