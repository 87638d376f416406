"""A cross-encoder as a Scorer: sentence-transformers' CrossEncoder, its output declared."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hardneg.config import RescoreConfig
from hardneg.errors import ModelError
from hardneg.model_files import content_hash, refuse_wordless
from hardneg.records import Float32

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_VERSIONS = ("sentence-transformers", "transformers", "torch")
# What a checkpoint is called that brings no head for scores: transformers would make one up at random.
_HEADLESS = ("Model", "ForMaskedLM", "ForPreTraining")


class CrossEncoderScorer:
    """Scores pairs of texts with one cross-encoder: its logit, or the sigmoid of it, as declared."""

    name = "cross_encoder"

    def __init__(
        self,
        model: str | Path | CrossEncoder,
        config: RescoreConfig | None = None,
        device: str | None = None,
        trust_remote_code: bool = False,
        cache: Path | None = None,
    ) -> None:
        """Load the model, weights from safetensors only.

        model              a local folder, a Hub id, or a loaded CrossEncoder (its longest input is set)
        config             its `cross_encoder_output`, `_batch_size` and `_max_length`
        device             cpu, cuda, mps, ...; default: the best there is. A loaded model stays where it is
        trust_remote_code  run code that the model brings along
        cache              folder that keeps the hashes of the weights (see `model_files`)

        Raises ModelError where the model cannot be loaded, has no head for scores, or gives several a pair.
        """
        self._config = config or RescoreConfig()
        self._cache = cache
        self._hash: str | None = None
        self._source = str(model) if isinstance(model, str | Path) else None
        if isinstance(model, str | Path):
            self._model = _load(str(model), device, trust_remote_code)
        else:
            self._model = model
        if self._model.num_labels != 1:
            raise ModelError(
                f"{self._shown} gives {self._model.num_labels} scores a pair; "
                "name a cross-encoder with one label"
            )
        if self._config.cross_encoder_max_length is not None:
            self._model.max_seq_length = self._config.cross_encoder_max_length

    @property
    def _shown(self) -> str:
        return f"cross-encoder {self._source!r}" if self._source else "the cross-encoder"

    def fingerprint(self) -> Mapping[str, Any]:
        """What decides a score besides the pair: content of the model, longest pair, output, versions."""
        if self._hash is None:
            self._hash = self._content_hash()
        return {
            "model": self._hash,
            "max_length": self._model.max_seq_length,
            "dtype": str(next(self._model.parameters()).dtype),
            "output": self._config.cross_encoder_output,
            "versions": {name: version(name) for name in _VERSIONS},
        }

    def _content_hash(self) -> str:
        """Of the files the model came from; a model given as an object is saved to have files."""
        if self._source is not None:
            return content_hash(_folder(self._source), self._cache)
        with tempfile.TemporaryDirectory(prefix="hardneg-") as folder:
            self._model.save_pretrained(folder, create_model_card=False)
            return content_hash(Path(folder))

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        """float32 (len(pairs),), higher is better. Raises ModelError for what is not a finite number."""
        from torch import nn

        activation = nn.Sigmoid() if self._config.cross_encoder_output == "probability" else nn.Identity()
        try:
            scores = self._model.predict(
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


def _load(source: str, device: str | None, trust_remote_code: bool) -> CrossEncoder:
    from sentence_transformers import CrossEncoder

    path = Path(source)
    if not path.exists() and (path.is_absolute() or source.startswith((".", "~"))):
        raise ModelError(f"cross-encoder {source!r}: no such folder; name a folder or a Hub id")
    try:
        model = CrossEncoder(
            source,
            device=device,
            trust_remote_code=trust_remote_code,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:
        raise ModelError(
            f"cross-encoder {source!r} cannot be loaded ({_first_line(error)}); "
            "name a folder or a Hub id of a model with safetensors weights"
        ) from error
    refuse_wordless(getattr(model, "tokenizer", None), f"cross-encoder {source!r}")
    architectures = getattr(model.model.config, "architectures", None) if model.model is not None else None
    modules = list(model.children())
    if len(modules) == 1 and architectures and all(name.endswith(_HEADLESS) for name in architectures):
        raise ModelError(
            f"{source!r} is no cross-encoder: {', '.join(architectures)} has no head for scores; "
            "name a model for sequence classification with one label"
        )
    return model


def _folder(source: str) -> Path:
    """Where the files of a loaded model lie: the folder itself, or the Hub cache's snapshot."""
    if Path(source).exists():
        return Path(source)
    from huggingface_hub import try_to_load_from_cache

    cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    found = try_to_load_from_cache(source, "config.json", cache_dir=cache)
    if not isinstance(found, str):
        raise ModelError(f"cross-encoder {source!r}: its files are not in the Hub cache; download it again")
    return Path(found).parent


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
