"""The dense encoder on sentence-transformers: torch is imported when the first text is encoded."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any, cast

import numpy as np

from hardneg.config import EncodeConfig
from hardneg.encode.backends import Choice, kept_choice, open_running
from hardneg.encode.backends.choice import keep_choice, notes_of
from hardneg.encode.calls import Call, CallRunner, Encoded
from hardneg.encode.families import family_of
from hardneg.encode.model_folder import declared_prompt, find_model, major_versions
from hardneg.encode.precision import check_asked
from hardneg.encode.processes import About, Processes, devices_of
from hardneg.encode.sources import FolderSource, ObjectSource, Source, limit_length
from hardneg.encode.store import store_root
from hardneg.errors import HardnegError, ModelError, UsageError
from hardneg.notes import Notes
from hardneg.protocols import Encoder, Kind, Similarity
from hardneg.records import Float32

TRIED_TEXTS_A_BATCH = (4, 8, 16, 32)
TRIED_TEXTS_A_BATCH_ELSEWHERE = (32, 64, 128, 256, 512)
"""By a warm-up. On a CPU larger batches leave its cache, and OpenVINO keeps the memory that the largest took:
128 texts take 0.6 GB more than 32 with MiniLM, for no better rate.
"""
WARM_UP_BYTES, WARM_UP_BYTES_ELSEWHERE = 20_000, 1_000_000
WORTH_CHANGING = 1.03
"""A warm-up departs from the default only for a rate so many times as high: less is noise."""


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


def _from_disk(model: str, config: EncodeConfig) -> FolderSource:
    trusted = config.trusts(model)
    return FolderSource(find_model(model, trusted), trusted)


class DenseEncoder:
    """`protocols.Encoder` on a sentence-transformers model.

    Vectors are those of the model's own `encode_query` and `encode_document` in float32; for cosine they are
    brought to length 1. Raises ModelError where the model cannot be loaded or returns NaN or infinity.
    """

    def __init__(self, model: Any, config: EncodeConfig) -> None:
        check_asked(config)
        self._config = config
        self._source: Source = _from_disk(model, config) if isinstance(model, str) else ObjectSource(model)
        self.name = model if isinstance(model, str) else self._source.name
        self.similarity: Similarity = self._source.similarity
        self._hash: str | None = None
        self._texts_a_batch = config.batch_size
        self._opening = RLock()

    @property
    def dimension(self) -> int:
        return self.about.dimension

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
            return Choice("torch", self._config.device or "", "fp32")
        if "_about" in self.__dict__:
            return self.about.choice
        return kept_choice(self._notes) or self.about.choice

    @cached_property
    def _notes(self) -> Notes:
        return notes_of(store_root(self._config.cache_dir), self._content(), self._config)

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
        with self._plainly():
            usual = self.about.texts_a_batch  # opens the model, and sees that it runs as was said
            texts_a_batch = self._texts_a_batch or usual
            if self._processes is not None:
                yield from self._processes.encode(list(calls), kind, texts_a_batch)
                return
            for vectors, truncated in self._runner.encode(calls, kind, texts_a_batch):
                yield self._finish(vectors), truncated

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn what libraries raise on a model whose settings do not fit each other into a ModelError."""
        try:
            yield
        except (HardnegError, OSError, MemoryError):
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"model {self.name!r} cannot be run ({reason}); its settings or weights do not fit together"
            ) from error

    # -- the size of a batch ------------------------------------------------------------------------------

    @property
    def texts_a_batch(self) -> int:
        """Batches hold `calls.TOKENS_A_TEXT` times so many tokens. Set by what a stored plan says."""
        return self._texts_a_batch or self.about.texts_a_batch

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
        tried = TRIED_TEXTS_A_BATCH if self._on_cpu else TRIED_TEXTS_A_BATCH_ELSEWHERE
        seconds = dict.fromkeys(tried, float("inf"))
        for _ in range(2):
            for size in tried:
                self._texts_a_batch = size
                started = time.perf_counter()
                self.encode(texts, kind, prompt)
                seconds[size] = min(seconds[size], time.perf_counter() - started)
        best = min(seconds, key=seconds.__getitem__)
        usual = self.about.texts_a_batch
        return best if seconds[usual] > WORTH_CHANGING * seconds[best] else usual

    @property
    def texts_a_call(self) -> int:
        """Enough for many batches, so that each holds texts of like length; few enough that a GPU need not
        wait long for the first to be tokenised."""
        return 512 if self._on_cpu else 4096

    @property
    def warm_up_bytes(self) -> int:
        """Of UTF-8, spread over the texts: what a warm-up encodes for each size it tries. A GPU is so fast
        that less would tell of its start, not of its rate."""
        return WARM_UP_BYTES if self._on_cpu else WARM_UP_BYTES_ELSEWHERE

    @property
    def _on_cpu(self) -> bool:
        return self.about.choice.device.startswith("cpu")

    # -- the open model -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Let the open model go, and its memory; what is encoded next opens it anew."""
        for name in ("_runner", "_processes"):
            self.__dict__.pop(name, None)
        gc.collect()  # modules refer to each other

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

    @property
    def at_once(self) -> int:
        """How many shards can be encoded at the same time: one on each device."""
        return 1 if self._processes is None else len(self._processes)

    @property
    def about(self) -> About:
        """How the model, opened, runs. Raises ModelError where that is not what its fingerprint said."""
        with self._opening:  # shards may be encoded by several threads
            return self._about

    @cached_property
    def _about(self) -> About:
        kept = kept_choice(self._notes)
        about = self._about_ours() if self._processes is None else self._processes.about
        if about.content != self._content():
            raise self._changed()
        if kept is not None and kept.fingerprint() != about.choice.fingerprint():
            self._notes.forget("choice")
            raise ModelError(f"model {self.name!r} ran as {kept} before and now as {about.choice}; run again")
        keep_choice(self._notes, about.choice)
        return about

    def _about_ours(self) -> About:
        with self._plainly():
            running = self._runner.running
            return About(running.choice, self._runner.dimension, running.texts_a_batch, self._content())

    @cached_property
    def _runner(self) -> CallRunner:
        """The model, opened in this process."""
        return CallRunner(open_running(self._load(), self._config))

    @cached_property
    def _processes(self) -> Processes | None:
        """The model, opened in a process of its own on each device; None where there is one device."""
        if isinstance(self._source, ObjectSource):
            return None
        devices = devices_of(self._config.device)
        if len(devices) < 2:
            return None
        return Processes(self.name, self._config, devices)

    def _load(self) -> Any:
        known = self._content()
        model = self._source.load(self._config)
        # Weights overwritten since they were hashed must not be stored under the old hash.
        if self._source.content(store_root(self._config.cache_dir)) != known:
            raise self._changed()
        if self._config.max_length is not None:
            limit_length(model, self._config.max_length)
        return model.eval()

    def _changed(self) -> ModelError:
        return ModelError(f"model {self.name!r} changed while it was loaded; run again")
