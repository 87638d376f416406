"""How FlagEmbedding would run a model: its class, pooling, precision, lengths, instruction and examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from hardneg.errors import UsageError
from hardneg.flag_models import class_by_name, refuse_no_format
from hardneg.protocols import Kind

ModelClass = Literal["encoder-only-base", "encoder-only-m3", "decoder-only-base", "decoder-only-icl"]
MODEL_CLASSES: tuple[ModelClass, ...] = get_args(ModelClass)
POOLINGS = ("cls", "mean", "last_token")
NO_LIMIT = 1 << 30
"""Tokens, for a model that does not say how many it takes."""

_CLASSES: Mapping[str, ModelClass] = {
    r"bge-m3": "encoder-only-m3",
    r"bge-en-icl": "decoder-only-icl",
    r"bge-(code-.*|reasoner-embed-.*|multilingual-gemma2)|qwen3-embedding-.*": "decoder-only-base",
    r"e5-mistral-.*|gte-qwen.*|sfr-embedding-.*|linq-embed-.*": "decoder-only-base",
    r"bge-(small|base|large)-(en|zh)(-v1\.5)?|(multilingual-)?e5-(small|base|large).*": "encoder-only-base",
    r"gte-(small|base|large|multilingual-base).*|bce-embedding-.*": "encoder-only-base",
}
"""What models are called → the class that FlagEmbedding runs them by."""


@dataclass(frozen=True)
class FlagSettings:
    """Settings of FlagEmbedding's embedders, with the defaults of its scripts.

    pooling       None: that of the class
    instruction   put into `instruction_format` with each query; None: queries are encoded as they are
    examples      for decoder-only-icl: `instruct` (else the instruction), `query` and `response`
    devices       none: all GPUs there are, else the CPU
    batch_size    texts that the model is given at once, at most
    """

    model_class: ModelClass
    normalize: bool = True
    pooling: str | None = None
    use_fp16: bool = True
    devices: tuple[str, ...] = ()
    instruction: str | None = None
    instruction_format: str = "{}{}"
    examples: tuple[Mapping[str, str], ...] = ()
    examples_format: str = "<instruct>{}\n<query>{}\n<response>{}"
    trust_remote_code: bool = False
    cache_dir: str | None = None
    batch_size: int = 3000
    query_max_length: int = 512
    passage_max_length: int = 512

    def __post_init__(self) -> None:
        if self.is_decoder and self.pooling not in (None, "last_token"):
            raise UsageError(
                f"pooling {self.pooling!r}: {self.model_class} pools by last_token; leave it out"
            )
        if not self.is_decoder and self.pooling not in (None, "cls", "mean"):
            raise UsageError(f"pooling {self.pooling!r}: {self.model_class} pools by cls or mean")
        for name in ("batch_size", "query_max_length", "passage_max_length"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: must be 1 or more (given: {getattr(self, name)})")
        refuse_no_format(self.instruction_format, 2, "the instruction and the query")
        if self.examples:
            refuse_no_format(self.examples_format, 3, "an example's instruction, query and response")

    @property
    def is_decoder(self) -> bool:
        return self.model_class.startswith("decoder")

    @property
    def pooled_by(self) -> str:
        return "last_token" if self.is_decoder else self.pooling or "cls"

    def max_length(self, kind: Kind) -> int:
        return self.query_max_length if kind == "query" else self.passage_max_length

    def as_encoded(self, text: str, kind: Kind) -> str:
        """The text with the instruction, where there is one."""
        if kind == "document" or self.instruction is None:
            return text
        return self.instruction_format.format(self.instruction, text)


def class_of(model: str) -> ModelClass:
    """The class that FlagEmbedding runs a model of this name by. Raises UsageError for an unknown one."""
    return class_by_name(model, _CLASSES, MODEL_CLASSES, "--embedder_model_class")
