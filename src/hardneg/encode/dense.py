"""The dense encoder on sentence-transformers: torch is imported when the first text is encoded."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hardneg.config import EncodeConfig
from hardneg.encode.families import family_of
from hardneg.encode.model_folder import (
    ModelFolder,
    check_packaged,
    check_similarity,
    declared_prompt,
    find_model,
    major_versions,
)
from hardneg.encode.store import store_root
from hardneg.errors import ModelError, UsageError
from hardneg.model_files import content_hash
from hardneg.protocols import Encoder, Kind, Similarity
from hardneg.records import Float32, Int64

TOKENS_A_TEXT = {"cpu": 64}
TOKENS_A_TEXT_ELSEWHERE = 512
"""A batch holds at most `batch_size` times so many tokens: on a CPU, small batches stay in its cache."""


def open_encoder(model: Any, config: EncodeConfig) -> Encoder:
    """The encoder of a model: a path, a Hub id, a `SentenceTransformer` object, or an `Encoder` as it is.

    Loads no model and no torch; that happens at the first `encode`. Raises InputError or ModelError where
    there is no such model.
    """
    if isinstance(model, str | Path):
        return cast("Encoder", DenseEncoder(str(model), config))
    if hasattr(model, "fingerprint"):
        found: Encoder = model
        return found
    if hasattr(model, "preprocess") or hasattr(model, "tokenize"):
        return cast("Encoder", DenseEncoder(model, config))
    raise UsageError(f"model: {type(model).__name__} is no path, name, SentenceTransformer or Encoder")


class DenseEncoder:
    """`protocols.Encoder` on a sentence-transformers model.

    Vectors are those of the model's own `encode_query` and `encode_document` in float32; for cosine they are
    brought to length 1. Raises ModelError where the model cannot be loaded or returns NaN or infinity.
    """

    def __init__(self, model: Any, config: EncodeConfig) -> None:
        self._config = config
        self._source: _Source = _Folder(find_model(model)) if isinstance(model, str) else _InMemory(model)
        self.name = model if isinstance(model, str) else self._source.name
        self.similarity: Similarity = self._source.similarity
        self._hash: str | None = None

    @cached_property
    def dimension(self) -> int:
        model = self._model
        ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return int(ask())

    # -- what decides a vector ------------------------------------------------------------------------

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]:
        """Without loading the model: its files' content, the length limit, and how it is run."""
        return {
            "encoder": "sentence-transformers",
            "model": self._content(),
            "task": kind if self._source.depends_on_task else "any",
            "max_length": self._config.max_length,
            "normalised": self.similarity == "cosine",
            "backend": "torch",
            "precision": "float32",
            "versions": major_versions("sentence-transformers", "transformers", "tokenizers"),
        }

    def _content(self) -> str:
        if self._hash is None:
            self._hash = self._source.content(store_root(self._config.cache_dir))
        return self._hash

    def trainable(self) -> Any:
        """A SentenceTransformer of its own, to be trained: the encoder's stays as it is."""
        return deepcopy(self._model)

    def words(self) -> tuple[Callable[[Sequence[str]], list[list[int]]], Float32]:
        """What cuts texts into words, as their numbers, and the model's vectors of those, float32.

        Texts are cut at the model's longest. Raises ModelError for a model without a fast tokenizer.
        """
        model = self._model
        inner = getattr(model[0], "auto_model", None) or getattr(model[0], "model", None)
        tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
        if inner is None or tokenizer is None or not hasattr(inner, "get_input_embeddings"):
            raise ModelError(f"model {self.name!r} has no word vectors or no fast tokenizer; name another")
        weight = inner.get_input_embeddings().weight.detach().float().cpu().numpy()
        cut = type(tokenizer).from_str(tokenizer.to_str())
        cut.no_padding()
        if model.max_seq_length is not None:
            cut.enable_truncation(int(model.max_seq_length))

        def ids(texts: Sequence[str]) -> list[list[int]]:
            found = cut.encode_batch_fast(list(texts), add_special_tokens=False)
            return [encoding.ids for encoding in found]

        return ids, np.array(weight, np.float32)

    # -- prompts --------------------------------------------------------------------------------------

    def prompt(self, kind: Kind) -> str:
        return self._prompt(kind)[0]

    def describe_prompt(self, kind: Kind) -> str:
        """The prompt and where it comes from, for people."""
        prompt, source = self._prompt(kind)
        return f"{prompt!r} ({source})" if prompt else f"none ({source})"

    def _prompt(self, kind: Kind) -> tuple[str, str]:
        own = self._config.query_prompt if kind == "query" else self._config.document_prompt
        if own is not None:
            return own, f"as set by {kind}_prompt"
        declared = self._source.prompts
        if any(declared_prompt(declared, which) for which in ("query", "document")):
            return declared_prompt(declared, kind), "declared by the model"
        family = family_of(self.name) if self._config.family_prompts else None
        if family is None:
            return "", "the model declares none"
        prompt = family.query if kind == "query" else family.document
        return prompt, f"as the cards of {family.name} say; --no-family-prompts switches it off"

    # -- encoding -------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str], kind: Kind, prompt: str) -> Float32:
        return self.encode_and_flag(texts, kind, prompt)[0]

    def encode_and_flag(
        self, texts: Sequence[str], kind: Kind, prompt: str
    ) -> tuple[Float32, NDArray[np.int8]]:
        """Vectors as `encode` gives them, and int8 (texts,): 1 where a text was truncated, -1 unknown."""
        import torch

        model = self._model
        with torch.inference_mode():
            if not hasattr(model, "preprocess"):
                return self._finish(self._as_library(list(texts), kind, prompt)), _unknown(len(texts))
            features = model.preprocess(list(texts), prompt=prompt, task=kind)
            mask = features.get("attention_mask")
            if not _is_padded_batch(mask, len(texts)):
                return self._finish(self._as_library(list(texts), kind, prompt)), _unknown(len(texts))
            truncated = _truncated(features, len(texts))
            vectors = self._forward(features, mask.sum(dim=1).numpy(), kind)
        return self._finish(vectors), truncated

    def _forward(self, features: Mapping[str, Any], lengths: Int64, kind: Kind) -> Float32:
        """Run the model over batches of like length, padding cut to each batch's own longest text."""
        model = self._model
        out: NDArray[Any] | None = None
        budget = self._config.batch_size * TOKENS_A_TEXT.get(model.device.type, TOKENS_A_TEXT_ELSEWHERE)
        for places in _batches(lengths, budget):
            batch = _cut(features, places, model.device)
            vectors = model(batch, task=kind)["sentence_embedding"]
            if model.truncate_dim is not None:
                vectors = vectors[:, : model.truncate_dim]
            part = vectors.float().cpu().numpy()
            if out is None:
                out = np.empty((len(lengths), part.shape[1]), np.float32)
            out[places] = part
        return np.zeros((0, self.dimension), np.float32) if out is None else out

    def _as_library(self, texts: list[str], kind: Kind, prompt: str) -> Float32:
        """For models whose input is no padded batch: the library's own loop."""
        encode = self._model.encode_query if kind == "query" else self._model.encode_document
        found = encode(texts, prompt=prompt, batch_size=self._config.batch_size, show_progress_bar=False)
        return np.asarray(found, np.float32)

    def _finish(self, vectors: Float32) -> Float32:
        if not np.isfinite(vectors).all():
            bad = int((~np.isfinite(vectors).all(axis=1)).sum())
            raise ModelError(
                f"model {self.name!r} returned NaN or infinity for {bad} of {len(vectors)} texts; "
                "its weights are damaged or it needs another precision"
            )
        if self.similarity == "cosine":
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(norms, np.float32(1e-12))
        return vectors

    @cached_property
    def _model(self) -> Any:
        known = self._content()
        model = self._source.load(self._config)
        # Weights overwritten since they were hashed must not be stored under the old hash.
        if self._source.content(store_root(self._config.cache_dir)) != known:
            raise ModelError(f"model {self.name!r} changed while it was loaded; run again")
        if self._config.max_length is not None:
            _limit_length(model, self._config.max_length)
        return model.eval()


# -- where the model comes from ------------------------------------------------------------------------


class _Source:
    """A model on disk or in memory: what both can say before a text is encoded."""

    name: str
    similarity: Similarity
    prompts: Mapping[str, str]
    depends_on_task: bool

    def content(self, cache: Path) -> str:
        raise NotImplementedError

    def load(self, config: EncodeConfig) -> Any:
        raise NotImplementedError


@dataclass
class _Folder(_Source):
    folder: ModelFolder

    def __post_init__(self) -> None:
        self.name = self.folder.path.name
        self.similarity = self.folder.similarity
        self.prompts = self.folder.prompts
        self.depends_on_task = self.folder.depends_on_task

    def content(self, cache: Path) -> str:
        """The files' hash; where the cache folder cannot be written, they are hashed each time."""
        try:
            return content_hash(self.folder.path, cache if _writable(cache) else None)
        except OSError as error:
            raise ModelError(f"{self.folder.path}: cannot be read ({error.strerror or error})") from error

    def load(self, config: EncodeConfig) -> Any:
        check_packaged(self.folder)
        import transformers
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()
        try:
            model = SentenceTransformer(
                str(self.folder.path),
                device=config.device,
                trust_remote_code=config.trust_remote_code,
                local_files_only=not config.trust_remote_code,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"{self.folder.path}: cannot be loaded ({lines[0]})") from error
        return model.float()


@dataclass
class _InMemory(_Source):
    model: Any

    def __post_init__(self) -> None:
        self.name = type(self.model).__name__
        self.similarity = check_similarity(self.model.similarity_fn_name, self.name)
        self.prompts = {name: text for name, text in (self.model.prompts or {}).items() if text}
        self.depends_on_task = True

    def content(self, cache: Path) -> str:
        """sha256 over modules, settings, tokenizer and tensors as they are now."""
        total = hashlib.sha256()
        settings = {"max_length": self.model.max_seq_length, "truncate_dim": self.model.truncate_dim}
        total.update(json.dumps(settings, default=str).encode())
        for module in self.model:
            config = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
            total.update(
                f"{type(module).__qualname__}{json.dumps(config, sort_keys=True, default=str)}".encode()
            )
        total.update(_tokenizer_settings(self.model.tokenizer).encode("utf-8", "replace"))
        for name, tensor in sorted(self.model.state_dict().items()):
            values = tensor.detach().cpu().contiguous().flatten()
            total.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            total.update(_bytes(values))
        return total.hexdigest()

    def load(self, config: EncodeConfig) -> Any:
        return self.model if config.device is None else self.model.to(config.device)


def _tokenizer_settings(tokenizer: Any) -> str:
    """All that decides the tokens. Padding and truncation are left out: each call sets them anew."""
    fast = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(fast, "to_str"):
        return repr(fast)
    settings = json.loads(fast.to_str())
    return json.dumps({**settings, "padding": None, "truncation": None}, sort_keys=True)


def _writable(folder: Path) -> bool:
    """Whether files can be put into the folder, or into the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


def _bytes(values: Any) -> memoryview:
    import torch

    array: NDArray[np.uint8] = values.view(torch.uint8).numpy()
    return array.data


def _limit_length(model: Any, max_length: int) -> None:
    """Raises UsageError where the model has no positions for so many tokens."""
    config = getattr(model[0], "config", None)
    limit = getattr(config, "max_position_embeddings", None)
    offset = 2 if getattr(config, "model_type", "").endswith(("roberta", "mpnet", "camembert")) else 0
    if isinstance(limit, int) and 0 < limit - offset < max_length:
        raise UsageError(f"max_length: {max_length} is more than the model's {limit - offset} positions")
    model.max_seq_length = max_length


# -- batches ---------------------------------------------------------------------------------------------


def _is_padded_batch(mask: Any, texts: int) -> bool:
    return mask is not None and mask.ndim == 2 and len(mask) == texts


def _batches(lengths: Int64, budget: int) -> Iterator[Int64]:
    """Places of the texts, longest first, in batches of at most `budget` tokens, padding included."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, budget // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def _cut(features: Mapping[str, Any], places: Int64, device: Any) -> dict[str, Any]:
    """The rows of one batch without the columns that are padding in all of them."""
    import torch

    rows = torch.from_numpy(places)
    mask = features["attention_mask"]
    used = torch.nonzero(mask[rows].any(dim=0)).flatten()
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    batch: dict[str, Any] = {}
    for name, value in features.items():
        if torch.is_tensor(value) and value.ndim >= 1 and len(value) == len(mask):
            value = value[rows]
            if value.ndim == 2 and value.shape[1] == mask.shape[1]:
                value = value[:, first:last]
            value = value.contiguous()
        batch[name] = value.to(device) if torch.is_tensor(value) else value
    return batch


def _truncated(features: Any, texts: int) -> NDArray[np.int8]:
    """From what the tokenizer put aside while it cut; only fast tokenizers tell."""
    encodings = getattr(features, "encodings", None)
    if encodings is None or len(encodings) != texts:
        return _unknown(texts)
    return np.fromiter((len(encoding.overflowing) > 0 for encoding in encodings), np.int8, texts)


def _unknown(texts: int) -> NDArray[np.int8]:
    return np.full(texts, -1, np.int8)
