"""A cross-encoder as a Scorer: sentence-transformers' CrossEncoder, its output declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hardneg.config import RescoreConfig
from hardneg.errors import ModelError, UsageError
from hardneg.fingerprints import digest
from hardneg.leftovers import scratch_folder
from hardneg.made_up_weights import load_whole
from hardneg.model_code import brings_code, code_hash
from hardneg.model_files import content_hash, refuse_wordless, take_out_of_files
from hardneg.model_safety import fetched, hint, refuse_harmful
from hardneg.notes import Notes
from hardneg.records import Float32

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_VERSIONS = ("sentence-transformers", "transformers", "torch")
_NOTE = "cross_encoder"
_DECIDED = {"max_length", "dtype"}
# What a checkpoint is called that brings no head for scores: transformers would make one up at random.
_HEADLESS = ("Model", "ForMaskedLM", "ForPreTraining")


class CrossEncoderScorer:
    """Scores pairs of texts with one cross-encoder: its logit, or the sigmoid of it, as declared.

    A model by name that was opened before with these settings is loaded when there is a pair to score: what
    its fingerprint says of it is remembered beside the hashes of its files.
    """

    name = "cross_encoder"

    def __init__(
        self,
        model: str | Path | CrossEncoder,
        config: RescoreConfig | None = None,
        device: str | None = None,
        trusted: bool = False,
        cache: Path | None = None,
    ) -> None:
        """Find the model; load it, weights from safetensors only, unless `cache` knows it.

        model    a local folder, a Hub id, or a loaded CrossEncoder (its longest input is set)
        config   its `cross_encoder_output`, `_batch_size` and `_max_length`
        device   cpu, cuda, mps, ...; default: the best there is. A loaded model stays where it is
        trusted  run code that the model brings along
        cache    folder that keeps the hashes of the weights (see `model_files`), and what is remembered

        Raises ModelError where the model cannot be loaded, has no head for scores, or gives several a pair.
        """
        self._config = config or RescoreConfig()
        self._cache = cache
        self._device, self._code_trusted = device, trusted
        self._source = str(model) if isinstance(model, str | Path) else None
        if isinstance(model, str | Path):
            self._folder = _find(str(model))
            refuse_harmful(self._folder, trusted)
            self._hash = self._files_hash()
        elif not hasattr(model, "predict") or not hasattr(model, "num_labels"):
            kind = type(model).__name__
            raise UsageError(f"cross_encoder: {kind} is no path, name, CrossEncoder or Scorer")
        else:
            self._given = model
        self._decided()  # loads what was never opened: what is wrong with it shows before there are pairs

    @property
    def _shown(self) -> str:
        return f"cross-encoder {self._source!r}" if self._source else "the cross-encoder"

    def fingerprint(self) -> Mapping[str, Any]:
        """What decides a score besides the pair: content of the model, longest pair, output, versions."""
        return {
            "model": self._hash,
            **self._decided(),
            "output": self._config.cross_encoder_output,
            "versions": _versions(),
        }

    # -- the open model -------------------------------------------------------------------------------

    @cached_property
    def _model(self) -> CrossEncoder:
        model = self._given if self._source is None else self._loaded(self._source)
        refuse_several_scores(model.num_labels, self._shown)
        if self._config.cross_encoder_max_length is not None:
            model.max_seq_length = self._config.cross_encoder_max_length
        self._remember(_decided_by(model))
        return model

    def _decided(self) -> Mapping[str, Any]:
        return self._remembered() or _decided_by(self._model)

    def _remember(self, found: Mapping[str, Any]) -> None:
        """Raises ModelError where the model is not what was remembered, and its fingerprint said."""
        kept = self._remembered()
        if self._notes is None or kept == found:
            return
        if kept is not None:
            self._notes.forget(_NOTE)
            raise ModelError(f"{self._shown} had {dict(kept)} before and now {dict(found)}; run again")
        self._notes.write(_NOTE, found)

    def _remembered(self) -> Mapping[str, Any] | None:
        """What the model's fingerprint says of it when it is open; None where that is not known yet."""
        found = None if self._notes is None else self._notes.read(_NOTE)
        return found if found is not None and set(found) == _DECIDED else None

    @cached_property
    def _notes(self) -> Notes | None:
        """None for a model given as an object, and without a cache."""
        if self._source is None or self._cache is None:
            return None
        longest = self._config.cross_encoder_max_length
        return Notes.about(
            self._cache, {"cross_encoder": self._hash, "max_length": longest, "versions": _versions()}
        )

    def _loaded(self, source: str) -> CrossEncoder:
        """Its files must be the same before and after they were loaded."""
        model = _load(self._folder, source, self._device, self._code_trusted)
        if self._hash != self._files_hash():
            raise ModelError(f"{self._shown} changed while it was loaded; run again")
        return model

    @cached_property
    def _hash(self) -> str:
        """Of a model given as an object, which is saved to have files."""
        with scratch_folder() as folder:
            self._given.save_pretrained(folder, create_model_card=False)
            return content_hash(folder)

    def _files_hash(self) -> str:
        files = content_hash(self._folder, self._cache)
        code = self._code_trusted and brings_code(self._folder)
        return digest([files, code_hash(self._folder)]) if code else files

    # -- scoring --------------------------------------------------------------------------------------

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        """float32 (len(pairs),), higher is better. Raises ModelError for what is not a finite number."""
        from torch import nn

        model = self._model
        activation = nn.Sigmoid() if self._config.cross_encoder_output == "probability" else nn.Identity()
        try:
            scores = model.predict(
                [list(pair) for pair in pairs],
                batch_size=self._config.cross_encoder_batch_size,
                activation_fn=activation,
                show_progress_bar=False,
            )
        except (RuntimeError, IndexError, ValueError) as error:
            raise ModelError(
                f"{self._shown} failed on a batch ({_first_line(error)}); "
                "try a smaller cross_encoder_batch_size or cross_encoder_max_length"
            ) from error
        result = np.asarray(scores, np.float32).reshape(-1)
        if len(result) != len(pairs) or not np.isfinite(result).all():
            bad = int((~np.isfinite(result)).sum())
            raise ModelError(
                f"{self._shown} gave {len(result)} scores for {len(pairs)} pairs, {bad} of them NaN or "
                "infinite; its weights are damaged, or its precision is too low"
            )
        return result


def _decided_by(model: CrossEncoder) -> dict[str, Any]:
    """What the open model says of itself that decides a score."""
    return {"max_length": model.max_seq_length, "dtype": str(next(model.parameters()).dtype)}


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONS}


def _find(source: str) -> Path:
    """The folder of that name, or of the model that the Hub has by it."""
    path = Path(source)
    if path.exists():
        return path
    if path.is_absolute() or source.startswith((".", "~")):
        raise ModelError(f"cross-encoder {source!r}: no such folder; name a folder or a Hub id")
    try:
        return fetched(source)
    except Exception as error:
        raise _not_loaded(source, error) from error


def _load(folder: Path, source: str, device: str | None, trusted: bool) -> CrossEncoder:
    from sentence_transformers import CrossEncoder

    def load() -> CrossEncoder:
        model = CrossEncoder(
            str(folder),
            device=device,
            trust_remote_code=trusted,
            local_files_only=not trusted,
            model_kwargs={"use_safetensors": True},
        )
        if model.model is not None and len(list(model.children())) == 1:
            refuse_headless(model.model.config, source)
        return model

    try:
        model: CrossEncoder = load_whole(load, _answer, f"cross-encoder {source!r}", folder)
    except ModelError:
        raise
    except Exception as error:
        raise _not_loaded(source, error) from error
    refuse_wordless(getattr(model, "tokenizer", None), f"cross-encoder {source!r}")
    take_out_of_files(model)
    return model


def _answer(model: CrossEncoder) -> Float32:
    from torch import nn

    pair = ("some text", "another")
    score: Float32 = np.asarray(model.predict([pair], activation_fn=nn.Identity(), show_progress_bar=False))
    return score


def refuse_several_scores(labels: int, shown: str) -> None:
    """Raises ModelError for a model that gives a pair a score for each of several labels."""
    if labels != 1:
        raise ModelError(f"{shown} gives {labels} scores a pair; name a cross-encoder with one label")


def refuse_headless(settings: Any, source: str) -> None:
    """Raises ModelError where these settings are of a model without a head for scores: a library would put a
    random one on it."""
    architectures = getattr(settings, "architectures", None)
    if architectures and all(name.endswith(_HEADLESS) for name in architectures):
        raise ModelError(
            f"{source!r} is no cross-encoder: {', '.join(architectures)} has no head for scores; "
            "name a model for sequence classification with one label"
        )


def _not_loaded(source: str, error: Exception) -> ModelError:
    return ModelError(
        f"cross-encoder {source!r} cannot be loaded ({_first_line(error)}); "
        f"name a folder or a Hub id of a model with safetensors weights{hint(error)}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
