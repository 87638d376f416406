"""Models of a few thousand random weights, made here and loaded by the real code."""

from __future__ import annotations

import json
import os
import signal
import string
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings

# Tests that run side by side, one on each core, would wait for each other's threads.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started in the background by a script, tests and their processes would ignore Ctrl-C, which some are sent.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow, not wrong: no test fails by the clock.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

WORDS = (
    "cell gene drug heart blood virus the of and in is not causes lowers raises query passage : a b c d e"
).split()

ModelMaker = Callable[..., Path]
Tally = Callable[..., None]
Within = Callable[[int], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def tally() -> Tally:
    """tally("kills", tried=12, failed=0): what a proof tried and how much of it went wrong.

    Added to the file that HARDNEG_TALLY names, a line each; benchmarks/reliability.py adds them up.
    """

    def add(what: str, *, tried: int, failed: int) -> None:
        if path := os.environ.get("HARDNEG_TALLY"):
            with Path(path).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"what": what, "tried": tried, "failed": failed}) + "\n")

    return add


class TooLong(BaseException):
    """Of our own, so that nothing takes it for an error of the input."""


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"not done in {seconds} s")

    kept = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, kept)


@pytest.fixture(scope="session")
def within() -> Within:
    """`with within(60):` raises TooLong in a block that takes longer, in seconds."""
    return _within


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """make_model(seed=0, folder=None, similarity="cosine", prompts=None, pooling="mean", ...) → folder."""

    def make(folder: Path | None = None, *, seed: int = 0, **settings: Any) -> Path:
        folder = folder or tmp_path_factory.mktemp("model") / "tiny"
        build_model(seed=seed, **settings).save(str(folder), create_model_card=False)
        return folder

    return make


_SCRATCH = tempfile.TemporaryDirectory(prefix="hardneg-tests-")
"""Goes with the process."""


def build_model(
    *,
    seed: int = 0,
    similarity: str = "cosine",
    prompts: dict[str, str] | None = None,
    pooling: str = "mean",
    include_prompt: bool = True,
    normalise: bool = False,
    max_length: int = 16,
    words: list[str] | None = None,
) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    torch.manual_seed(seed)
    folder = _bert(words or WORDS)
    transformer = Transformer(str(folder))
    transformer.max_seq_length = max_length
    modules = [transformer, Pooling(16, pooling, include_prompt=include_prompt)]
    return SentenceTransformer(
        modules=modules + ([Normalize()] if normalise else []),
        prompts=prompts,
        similarity_fn_name=similarity,
        device="cpu",
    )


def _bert(words: list[str]) -> Path:
    import tempfile

    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    names = [*special.values(), *words]
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(names)}, unk_token=names[1]))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,  # large enough that different texts get clearly different vectors
    )
    folder = Path(tempfile.mkdtemp(dir=_SCRATCH.name))
    fast.save_pretrained(str(folder))
    BertModel(config).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    return build_model


@pytest.fixture(scope="session")
def tiny(make_model: ModelMaker) -> Path:
    return make_model()


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama over bytes, whose tokenizer pads on the right."""
    import torch
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.processors import TemplateProcessing
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("decoder")
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    names = [*special.values(), *sorted(ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE({name: place for place, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(str(folder))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(names),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.5,
        pad_token_id=0,
    )
    LlamaModel(config).save_pretrained(str(folder))
    return folder


def build_cross_encoder(folder: Path, num_labels: int = 1, seed: int = 0, spread: float = 0.2) -> Path:
    """Save a random BERT of two layers over letters; `spread` is that of its weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    letters = string.ascii_lowercase + string.digits
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=num_labels,
        initializer_range=spread,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: place for place, word in enumerate(words)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """make_cross_encoder(num_labels=1, seed=0, spread=0.2) → folder."""

    def make(**options: Any) -> Path:
        return build_cross_encoder(tmp_path_factory.mktemp("cross-encoder"), **options)

    return make


@pytest.fixture(scope="session")
def tiny_cross_encoder(make_cross_encoder: ModelMaker) -> Path:
    return make_cross_encoder()
