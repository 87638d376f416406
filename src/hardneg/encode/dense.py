"""The dense encoder on sentence-transformers: torch is imported when the first text is encoded."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hardneg.config import EncodeConfig
from hardneg.encode.backends import Choice, Running, kept_choice, open_running
from hardneg.encode.backends.choice import Notes, keep_choice
from hardneg.encode.batches import Tokens, batches, cut
from hardneg.encode.families import family_of
from hardneg.encode.lanes import ahead, started_ahead, threads
from hardneg.encode.model_folder import (
    ModelFolder,
    check_packaged,
    check_similarity,
    declared_prompt,
    find_model,
    major_versions,
)
from hardneg.encode.precision import check_asked
from hardneg.encode.room import Room
from hardneg.encode.store import store_root
from hardneg.errors import ModelError, UsageError
from hardneg.model_files import content_hash
from hardneg.protocols import Encoder, Kind, Similarity
from hardneg.records import Float32, Int64

TOKENS_A_TEXT = {"cpu": 64}
TOKENS_A_TEXT_ELSEWHERE = 512
"""A batch holds at most `batch_size` times so many tokens: on a CPU, small batches stay in its cache."""
TRIED_TEXTS_A_BATCH = (4, 8, 16, 32, 64, 128)
WORTH_CHANGING = 1.03
"""A warm-up departs from the default only for a rate so many times as high: less is noise."""

Call = tuple[Sequence[str], str]
"""Texts to encode together, and the prompt before each of them."""
Encoded = tuple[Float32, NDArray[np.int8]]
"""Vectors, and int8 (texts,): 1 where a text was truncated, 0 where not, -1 unknown."""


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
        check_asked(config)
        self._config = config
        self._source: _Source = _Folder(find_model(model)) if isinstance(model, str) else _InMemory(model)
        self.name = model if isinstance(model, str) else self._source.name
        self.similarity: Similarity = self._source.similarity
        self._hash: str | None = None
        self._texts_a_batch = config.batch_size
        self._room = Room()

    @cached_property
    def dimension(self) -> int:
        model = self._running.model
        ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return int(ask())

    # -- what decides a vector ------------------------------------------------------------------------

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]:
        """Its files' content, the length limit, and how it is run here.

        Loads the model only where this machine has not opened it before with these settings.
        """
        choice = self.choice
        packages = ["sentence-transformers", "transformers", "tokenizers"]
        return {
            "encoder": "sentence-transformers",
            "model": self._content(),
            "task": kind if self._source.depends_on_task else "any",
            "max_length": self._config.max_length,
            "normalised": self.similarity == "cosine",
            **choice.fingerprint(),
            "versions": major_versions(*packages, *(["openvino"] if choice.backend == "openvino" else [])),
        }

    @property
    def choice(self) -> Choice:
        """The backend, device and precision that the model runs with."""
        if (self._config.backend, self._config.precision) == ("torch", "fp32"):
            return Choice("torch", self._config.device or "any device", "fp32")
        if "_running" in self.__dict__:
            return self._running.choice
        return kept_choice(self._notes) or self._running.choice

    @cached_property
    def _notes(self) -> Notes:
        return Notes.of(store_root(self._config.cache_dir), self._content(), self._config)

    def _content(self) -> str:
        if self._hash is None:
            self._hash = self._source.content(store_root(self._config.cache_dir))
        return self._hash

    def trainable(self) -> Any:
        """A SentenceTransformer of its own, to be trained: the encoder's stays as it is."""
        return deepcopy(self._load())

    def words(self) -> tuple[Callable[[Sequence[str]], list[list[int]]], Float32]:
        """What cuts texts into words, as their numbers, and the model's vectors of those, float32.

        Texts are cut at the model's longest. Raises ModelError for a model without a fast tokenizer.
        """
        model = self._load()
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

    def encode_and_flag(self, texts: Sequence[str], kind: Kind, prompt: str) -> Encoded:
        """Vectors as `encode` gives them, and which texts were truncated."""
        return next(self.encode_calls([(texts, prompt)], kind))

    def encode_calls(self, calls: Iterable[Call], kind: Kind) -> Iterator[Encoded]:
        """What `encode_and_flag` gives for each call in order; the next is tokenised while the model runs."""
        with threads(self._running.lanes) as lanes:
            tokenised = ahead(partial(self._tokenised, kind), calls)
            for tokens, parts in started_ahead(partial(self._start, lanes, kind), tokenised):
                found = _in_order(parts) if len(tokens.texts) else np.zeros((0, self.dimension), np.float32)
                yield self._finish(found), tokens.truncated

    def _tokenised(self, kind: Kind, call: Call) -> Tokens:
        texts, prompt = call
        model = self._running.model
        if not hasattr(model, "preprocess"):  # sentence-transformers 5
            return Tokens.of({}, texts, prompt)
        return Tokens.of(model.preprocess(list(texts), prompt=prompt, task=kind), texts, prompt)

    def _start(self, lanes: ThreadPoolExecutor, kind: Kind, tokens: Tokens) -> list[Future[_Part]]:
        """Set the batches going, the longest texts first."""
        if tokens.lengths is not None:
            cuts = batches(tokens.lengths, self._tokens_a_batch)
            return [lanes.submit(self._batch, tokens, places, kind) for places in cuts]
        whole = self._bag if "offsets" in tokens.features else self._as_library
        return [lanes.submit(whole, tokens, kind)]

    def _batch(self, tokens: Tokens, places: Int64, kind: Kind) -> _Part:
        """Vectors of some texts, left on the device until the next call is under way."""
        import torch

        device = torch.device(self._running.choice.device)

        def run(part: Int64) -> Any:
            return self._vectors(cut(tokens.features, part, device), kind)

        with torch.inference_mode():
            return places, self._room.run(run, places, tokens.width(places))

    def _bag(self, tokens: Tokens, kind: Kind) -> _Part:
        """A static model's texts: it takes the tokens of all of them one after the other, without padding."""
        import torch

        device = self._running.model.device
        with torch.inference_mode():
            batch = {name: value.to(device) for name, value in tokens.features.items()}
            return np.arange(len(tokens.texts)), [self._vectors(batch, kind)]

    def _as_library(self, tokens: Tokens, kind: Kind) -> _Part:
        """For models whose input is neither: the library's own loop."""
        import torch

        model = self._running.model
        encode = model.encode_query if kind == "query" else model.encode_document
        found = encode(
            list(tokens.texts), prompt=tokens.prompt, batch_size=self.texts_a_batch, show_progress_bar=False
        )
        return np.arange(len(tokens.texts)), [torch.from_numpy(np.asarray(found, np.float32))]

    def _vectors(self, batch: dict[str, Any], kind: Kind) -> Any:
        model = self._running.model
        vectors = model(batch, task=kind)["sentence_embedding"]
        return (vectors if model.truncate_dim is None else vectors[:, : model.truncate_dim]).float()

    # -- the size of a batch ------------------------------------------------------------------------------

    @property
    def texts_a_batch(self) -> int:
        """Batches hold `TOKENS_A_TEXT` times so many tokens. Set by what a stored plan says."""
        return self._texts_a_batch or self._running.texts_a_batch

    @texts_a_batch.setter
    def texts_a_batch(self, texts: int) -> None:
        self._texts_a_batch = texts

    def warm_up(self, texts: Sequence[str], kind: Kind, prompt: str) -> None:
        """Set `texts_a_batch` to the fastest of a few for these texts, unless the settings name it.

        What a machine found once for a model is kept with its cache.
        """
        if self._config.batch_size is not None:
            return
        kept = self._notes.read("batch")
        if kept is None or not isinstance(kept.get("texts"), int):
            kept = {"texts": self._fastest(texts, kind, prompt)}
            self._notes.write("batch", kept)
        self._texts_a_batch = kept["texts"]

    def _fastest(self, texts: Sequence[str], kind: Kind, prompt: str) -> int:
        """Each size runs twice, in turns, and its better time counts: what else goes on slows all alike."""
        self.encode(texts[:1], kind, prompt)
        seconds = dict.fromkeys(TRIED_TEXTS_A_BATCH, float("inf"))
        for _ in range(2):
            for size in TRIED_TEXTS_A_BATCH:
                self._texts_a_batch = size
                started = time.perf_counter()
                self.encode(texts, kind, prompt)
                seconds[size] = min(seconds[size], time.perf_counter() - started)
        best = min(seconds, key=seconds.__getitem__)
        usual = self._running.texts_a_batch
        return best if seconds[usual] > WORTH_CHANGING * seconds[best] else usual

    @property
    def texts_a_call(self) -> int:
        """Enough for many batches, so that each holds texts of like length."""
        return 512 if self._running.choice.device == "cpu" else 4096

    @property
    def _tokens_a_batch(self) -> int:
        device = self._running.choice.device
        return self.texts_a_batch * TOKENS_A_TEXT.get(device.split(":")[0], TOKENS_A_TEXT_ELSEWHERE)

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
    def _running(self) -> Running:
        """The model, opened. Raises ModelError where it runs otherwise than its fingerprint said."""
        kept = kept_choice(self._notes)
        running = open_running(self._load(), self._config)
        if kept is not None and kept.fingerprint() != running.choice.fingerprint():
            self._notes.forget("choice")
            raise ModelError(
                f"model {self.name!r} ran as {kept} before and now as {running.choice}; run again"
            )
        keep_choice(self._notes, running.choice)
        return running

    def _load(self) -> Any:
        known = self._content()
        model = self._source.load(self._config)
        # Weights overwritten since they were hashed must not be stored under the old hash.
        if self._source.content(store_root(self._config.cache_dir)) != known:
            raise ModelError(f"model {self.name!r} changed while it was loaded; run again")
        if self._config.max_length is not None:
            _limit_length(model, self._config.max_length)
        return model.eval()


_Part = tuple[Int64, list[Any]]
"""Places among the texts of a call, and tensors that together hold their vectors."""


def _in_order(parts: list[_Part]) -> Float32:
    """float32 (texts, dimension) from the parts of a call."""
    import torch

    vectors = [torch.cat(tensors).cpu().numpy() for _, tensors in parts]
    out = np.empty((sum(map(len, vectors)), vectors[0].shape[1]), np.float32)
    for (places, _), part in zip(parts, vectors, strict=True):
        out[places] = part
    return out


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
