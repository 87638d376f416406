"""Rerankers of FlagEmbedding as a Scorer (extra `flagembedding`), and what bge-m3 says of a pair.

Without FlagEmbedding, encoder-only-base runs as sentence-transformers' CrossEncoder: the same scores where a
pair fits into the longest input; what does not is cut in other places.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from typing import Any, Literal, Protocol, get_args

import numpy as np

from hardneg.config import RescoreConfig
from hardneg.errors import MissingExtraError, ModelError, UsageError
from hardneg.flag_models import (
    class_by_name,
    device_kind,
    has_flagembedding,
    model_folder,
    refuse_no_format,
    told,
)
from hardneg.model_files import content_hash
from hardneg.model_safety import refuse_code
from hardneg.protocols import Kind, Scorer
from hardneg.records import Float32
from hardneg.rescore.cross_encoder import CrossEncoderScorer, refuse_headless, refuse_several_scores
from hardneg.versions import installed

RerankerClass = Literal[
    "encoder-only-base", "decoder-only-base", "decoder-only-layerwise", "decoder-only-lightweight"
]
RERANKER_CLASSES: tuple[RerankerClass, ...] = get_args(RerankerClass)
_CLASSES: Mapping[str, RerankerClass] = {
    r"bge-reranker-v2-minicpm-layerwise": "decoder-only-layerwise",
    r"bge-reranker-v2\.5-gemma2-lightweight": "decoder-only-lightweight",
    r"bge-reranker-v2-gemma": "decoder-only-base",
    r"bge-reranker-(base|large|v2-m3)|jina-reranker-v[12].*": "encoder-only-base",
    r"gte-multilingual-reranker-base|bce-reranker-base_v1": "encoder-only-base",
}
PAIRS_AT_ONCE_ON_CPU = 32


@dataclass(frozen=True)
class RerankerSettings:
    """Settings of FlagEmbedding's rerankers, with its scripts' defaults; None leaves it to the class.

    An instruction of None is the class's own, `A: ` and `B: ` of decoders; its script takes them off.
    """

    model_class: RerankerClass
    use_fp16: bool = True
    use_bf16: bool = False
    devices: tuple[str, ...] = ()
    trust_remote_code: bool = False
    cache_dir: str | None = None
    peft_path: str | None = None
    query_instruction: str | None = None
    query_instruction_format: str = "{}{}"
    passage_instruction: str | None = None
    passage_instruction_format: str = "{}{}"
    batch_size: int = 3000
    query_max_length: int | None = None
    max_length: int = 512
    normalize: bool = False
    prompt: str | None = None
    cutoff_layers: tuple[int, ...] = ()
    compress_ratio: int = 1
    compress_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_length", "query_max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}: must be 1 or more (given: {value})")
        if len(self.cutoff_layers) > 1:
            raise UsageError("cutoff_layers: several layers give several scores a pair; name one")
        for text in (self.query_instruction_format, self.passage_instruction_format):
            refuse_no_format(text, 2, "the instruction and the text")

    def arguments(self) -> dict[str, Any]:
        """What FlagEmbedding's class is made with; each is given only what it knows."""
        base: dict[str, Any] = {
            "model_class": self.model_class,
            "use_fp16": self.use_fp16,
            "query_instruction_format": self.query_instruction_format,
            "passage_instruction_format": self.passage_instruction_format,
            "cache_dir": self.cache_dir,
            "trust_remote_code": self.trust_remote_code,
            "devices": list(self.devices) or None,
            "normalize": self.normalize,
            "query_max_length": self.query_max_length,
            "max_length": self.max_length,
        }
        if self.query_instruction is not None:
            base["query_instruction_for_rerank"] = self.query_instruction
        if self.passage_instruction is not None:
            base["passage_instruction_for_rerank"] = self.passage_instruction
        if self.model_class == "encoder-only-base":
            return base
        base |= {"use_bf16": self.use_bf16, "peft_path": self.peft_path, "prompt": self.prompt}
        if self.model_class != "decoder-only-base":
            base["cutoff_layers"] = list(self.cutoff_layers) or None
        if self.model_class == "decoder-only-lightweight":
            base["compress_ratio"] = self.compress_ratio
            if self.compress_layers:
                base["compress_layers"] = list(self.compress_layers)
        return base


def reranker_class_of(model: str) -> RerankerClass:
    """The class that FlagEmbedding runs a reranker of this name by. Raises UsageError for an unknown one."""
    return class_by_name(model, _CLASSES, RERANKER_CLASSES, "--reranker_model_class")


def open_flag_reranker(model: str, settings: RerankerSettings) -> Scorer:
    """By FlagEmbedding where it is installed, else by sentence-transformers where that does it too.

    Raises MissingExtraError for a class that only FlagEmbedding runs, ModelError where there is no such
    model.
    """
    if has_flagembedding():
        return FlagReranker(model, settings)
    if settings.model_class == "encoder-only-base":
        return OwnReranker(model, settings)
    raise MissingExtraError(f"a reranker of class {settings.model_class}", "flagembedding")


class FlagReranker:
    """`protocols.Scorer` on a reranker of FlagEmbedding: scores are its `compute_score`."""

    name = "flag_reranker"

    def __init__(self, model: str, settings: RerankerSettings) -> None:
        self._shown = model
        self._settings = settings
        self._folder = model_folder(model, settings.cache_dir)

    def fingerprint(self) -> Mapping[str, Any]:
        asked = {key: value for key, value in self._settings.arguments().items() if key not in _OF_PLACE}
        return {
            "scorer": "FlagEmbedding",
            "model": content_hash(self._folder),
            "settings": asked,
            "on_cpu": device_kind(self._settings.devices) == "cpu",
            "versions": installed(["FlagEmbedding", "transformers", "torch"]),
        }

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        """float32 (len(pairs),). Raises ModelError for what is not a finite number."""
        if not pairs:
            return np.zeros(0, np.float32)
        most = self._settings.batch_size
        at_once = min(most, PAIRS_AT_ONCE_ON_CPU) if device_kind(self._settings.devices) == "cpu" else most
        with told(self._shown):
            found = self._model.compute_score([tuple(pair) for pair in pairs], batch_size=at_once)
        scores = np.asarray(found, np.float32).reshape(-1)
        if len(scores) != len(pairs) or not np.isfinite(scores).all():
            raise ModelError(
                f"model {self._shown!r}: gave {len(scores)} scores for {len(pairs)} pairs, "
                f"{int((~np.isfinite(scores)).sum())} of them NaN or infinite; it needs another precision"
            )
        return scores

    @cached_property
    def _model(self) -> Any:
        os.environ.setdefault("TQDM_DISABLE", "1")
        if not self._settings.trust_remote_code:
            refuse_code(self._folder)
        try:
            with told(self._shown):
                from FlagEmbedding import FlagAutoReranker

                if self._settings.model_class == "decoder-only-lightweight":
                    import_module(_ENDS_THE_PROCESS)
                found = FlagAutoReranker.from_finetuned(str(self._folder), **self._settings.arguments())
        except ModelError as error:
            raise ModelError(f"{error}{self._of_old()}") from error
        if self._settings.model_class == "encoder-only-base":
            refuse_headless(found.model.config, self._shown)
            # FlagEmbedding would take the scores of several labels for those of as many pairs.
            refuse_several_scores(found.model.config.num_labels, f"reranker {self._shown!r}")
        return found

    def _of_old(self) -> str:
        kind, here = self._settings.model_class, version("transformers")
        if kind not in _OF_OLD:
            return ""
        return f"; FlagEmbedding runs class {kind} with transformers 4.46 (here: {here})"


_OF_OLD = ("decoder-only-layerwise", "decoder-only-lightweight")
"""Models whose code FlagEmbedding brings along, written for transformers of 2024."""

_ENDS_THE_PROCESS = "FlagEmbedding.inference.reranker.decoder_only.models.gemma_model"
"""Where FlagEmbedding cannot import it, it ends the process, with exit code 0."""

_OF_PLACE = ("cache_dir", "devices", "trust_remote_code")


class OwnReranker:
    """The same by sentence-transformers' CrossEncoder."""

    name = "flag_reranker"

    def __init__(self, model: str, settings: RerankerSettings) -> None:
        self._settings = settings
        output: Literal["logit", "probability"] = "probability" if settings.normalize else "logit"
        config = RescoreConfig(
            cross_encoder_output=output,
            cross_encoder_batch_size=min(settings.batch_size, PAIRS_AT_ONCE_ON_CPU),
            cross_encoder_max_length=settings.max_length,
        )
        folder = model_folder(model, settings.cache_dir)
        device = settings.devices[0] if settings.devices else None
        self._scorer = CrossEncoderScorer(str(folder), config, device, settings.trust_remote_code)

    def fingerprint(self) -> Mapping[str, Any]:
        asked = self._settings
        around = [asked.query_instruction, asked.query_instruction_format]
        around += [asked.passage_instruction, asked.passage_instruction_format]
        return {**self._scorer.fingerprint(), "around": around}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        asked = self._settings
        return self._scorer.score(
            [
                (
                    _around(query, asked.query_instruction, asked.query_instruction_format),
                    _around(passage, asked.passage_instruction, asked.passage_instruction_format),
                )
                for query, passage in pairs
            ]
        )


def _around(text: str, instruction: str | None, form: str) -> str:
    return text if instruction is None else form.format(instruction, text)


class _PairModel(Protocol):
    """An encoder of class encoder-only-m3."""

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]: ...

    def pair_scores(self, pairs: Sequence[tuple[str, str]], mode: str) -> Float32: ...


M3_MODES = ("colbert", "sparse", "dense", "sparse+dense", "colbert+sparse+dense")


class M3Scorer:
    """`protocols.Scorer`: bge-m3's own score of a pair, by its multi-vector, lexical or dense output, or a
    mean of them."""

    def __init__(self, model: _PairModel, mode: str = "colbert") -> None:
        if mode not in M3_MODES:
            raise UsageError(f"mode {mode!r}: write one of {', '.join(M3_MODES)}")
        self.name = f"m3_{mode}"
        self._model, self._mode = model, mode

    def fingerprint(self) -> Mapping[str, Any]:
        return {"mode": self._mode, **{kind: self._model.fingerprint(kind) for kind in _KINDS}}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        scores = self._model.pair_scores(pairs, self._mode) if pairs else np.zeros(0, np.float32)
        if not np.isfinite(scores).all():
            raise ModelError(f"scorer {self.name}: gave NaN or infinity; its weights are damaged")
        return scores


_KINDS: tuple[Kind, Kind] = ("query", "document")
