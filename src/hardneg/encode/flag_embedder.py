"""Models run by FlagEmbedding itself (extra `flagembedding`).

FlagEmbedding reads a model's weights in its own way: safetensors, or pickles by torch's `weights_only`, which
runs no code of theirs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from hardneg.encode.flag_settings import NO_LIMIT, FlagSettings
from hardneg.encode.sources import positions
from hardneg.encode.store import store_root
from hardneg.errors import ModelError
from hardneg.flag_models import device_kind, model_folder, told
from hardneg.model_files import content_hash, refuse_wordless, take_out_of_files
from hardneg.model_safety import refuse_code
from hardneg.protocols import Kind, Similarity
from hardneg.records import Float32
from hardneg.versions import installed

TEXTS_AT_ONCE_ON_CPU = 64
"""FlagEmbedding pads a whole batch to its longest text; thousands at once fill a machine's memory."""


class FlagEncoder:
    """`protocols.Encoder` on an embedder of FlagEmbedding: vectors are its `encode_queries` and `encode`.

    The instruction is put before queries by FlagEmbedding, so there is no prompt besides.
    """

    def __init__(self, model: str, settings: FlagSettings) -> None:
        self.name = model
        self.settings = settings
        self.similarity: Similarity = "cosine" if settings.normalize else "dot"
        self._folder = model_folder(model, settings.cache_dir)

    @cached_property
    def dimension(self) -> int:
        return int(self.encode(["a"], "document", "").shape[1])

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]:
        """The files' content, and how FlagEmbedding is asked to run them."""
        settings = self.settings
        on_cpu = self._device == "cpu"
        of_queries = {
            "instruction": settings.instruction,
            "format": settings.instruction_format if settings.instruction is not None else None,
            "examples": [dict(example) for example in settings.examples],
            "examples_format": settings.examples_format if settings.examples else None,
            "icl": settings.model_class == "decoder-only-icl",
        }
        return {
            "encoder": "FlagEmbedding",
            "class": settings.model_class,
            "model": self._content,
            "max_length": settings.max_length(kind),
            "queries": of_queries if kind == "query" else None,
            "normalised": settings.normalize,
            "pooling": settings.pooled_by,
            "weights": "float16" if settings.use_fp16 else "float32",
            "computed_in": "float16" if settings.use_fp16 and not on_cpu else "float32",
            "code_trusted": settings.trust_remote_code,
            "versions": installed(["FlagEmbedding", "transformers"]),
        }

    def prompt(self, kind: Kind) -> str:
        return ""

    def describe_prompt(self, kind: Kind) -> str:
        """What FlagEmbedding puts around a text, for people."""
        shown = self.settings.as_encoded("...", kind)
        return f"{shown!r} (by FlagEmbedding)" if shown != "..." else "none"

    def encode(self, texts: Sequence[str], kind: Kind, prompt: str) -> Float32:
        prompted = [prompt + text for text in texts] if prompt else list(texts)
        found = self._run(prompted, kind)
        vectors = found["dense_vecs"] if isinstance(found, dict) else found
        return np.asarray(vectors, np.float32)

    def token_weights(self, texts: Sequence[str], kind: Kind) -> list[Mapping[str, float]]:
        """encoder-only-m3: number of each token → its weight. Their sum of products is the lexical score."""
        found = self._run(list(texts), kind, return_dense=False, return_sparse=True)
        weights: list[Mapping[str, float]] = found["lexical_weights"]
        return weights

    def pair_scores(self, pairs: Sequence[tuple[str, str]], mode: str) -> Float32:
        """encoder-only-m3: float32 (pairs,); mode is colbert, sparse, dense, sparse+dense or
        colbert+sparse+dense."""
        asked = [(self.settings.as_encoded(query, "query"), document) for query, document in pairs]
        with told(self.name):
            found = self.model.compute_score(
                asked,
                batch_size=self._at_once,
                max_query_length=self._length("query"),
                max_passage_length=self._length("document"),
            )
        return np.asarray(found[mode], np.float32)

    @property
    def texts_a_call(self) -> int:
        """As many as FlagEmbedding is to be given at once, on each device."""
        return self._at_once if self._device == "cpu" else self._at_once * len(self.model.target_devices)

    @property
    def _at_once(self) -> int:
        most = self.settings.batch_size
        return min(most, TEXTS_AT_ONCE_ON_CPU) if self._device == "cpu" else most

    def _run(self, texts: list[str], kind: Kind, **asked: bool) -> Any:
        encode = self.model.encode_queries if kind == "query" else self.model.encode
        with told(self.name):
            return encode(texts, batch_size=self._at_once, max_length=self._length(kind), **asked)

    def _length(self, kind: Kind) -> int:
        """Never more than the model has positions for, where FlagEmbedding would fail."""
        return min(self.settings.max_length(kind), _positions(self.model))

    @cached_property
    def model(self) -> Any:
        """FlagEmbedding's object. Raises ModelError where it cannot be loaded."""
        os.environ.setdefault("TQDM_DISABLE", "1")  # hardneg's own progress says what there is to say
        if not self.settings.trust_remote_code:
            refuse_code(self._folder)
        with told(self.name):
            from FlagEmbedding import FlagAutoModel

            found = FlagAutoModel.from_finetuned(str(self._folder), **self._arguments())
        refuse_wordless(found.tokenizer, self.name)
        if self._device == "cpu":
            take_out_of_files(found.model)
        if self._content != self._hash():
            raise ModelError(f"model {self.name!r} changed while it was loaded; run again")
        return found

    def _arguments(self) -> dict[str, Any]:
        settings = self.settings
        examples = {
            "examples_for_task": [dict(example) for example in settings.examples] or None,
            "examples_instruction_format": settings.examples_format,
        }
        return {
            "model_class": settings.model_class,
            "normalize_embeddings": settings.normalize,
            "use_fp16": settings.use_fp16,
            "query_instruction_for_retrieval": settings.instruction,
            "query_instruction_format": settings.instruction_format,
            "devices": list(settings.devices) or None,
            "pooling_method": settings.pooled_by,
            "trust_remote_code": settings.trust_remote_code,
            "cache_dir": settings.cache_dir,
            "query_max_length": settings.query_max_length,
            "passage_max_length": settings.passage_max_length,
            **(examples if settings.model_class == "decoder-only-icl" else {}),
        }

    @cached_property
    def _device(self) -> str:
        return device_kind(self.settings.devices)

    @cached_property
    def _content(self) -> str:
        return self._hash()

    def _hash(self) -> str:
        return content_hash(self._folder, store_root(None))


def _positions(model: Any) -> int:
    """How many tokens FlagEmbedding's object takes; in that of encoder-only-m3 it lies deeper."""
    inner = model.model
    config = inner.config if hasattr(inner, "config") else inner.model.config
    return positions(config) or NO_LIMIT
