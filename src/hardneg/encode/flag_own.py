"""What FlagEmbedding's base classes give, without FlagEmbedding; and who runs a model of which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardneg.config import DEFAULT_MODEL, EncodeConfig
from hardneg.encode.dense import DenseEncoder
from hardneg.encode.flag_embedder import FlagEncoder
from hardneg.encode.flag_settings import NO_LIMIT, FlagSettings
from hardneg.encode.model_folder import ModelFolder, check_packaged, packaged_minilm
from hardneg.encode.sources import answer, positions
from hardneg.errors import MissingExtraError
from hardneg.flag_models import device_kind, has_flagembedding, model_folder, told
from hardneg.made_up_weights import load_whole
from hardneg.model_files import refuse_wordless
from hardneg.model_safety import refuse_harmful
from hardneg.protocols import Encoder, Kind, Similarity
from hardneg.records import Float32

OWN_CLASSES = ("encoder-only-base", "decoder-only-base")
"""What hardneg runs itself, to the same vectors."""


def open_flag_encoder(model: str, settings: FlagSettings) -> Encoder:
    """By FlagEmbedding where it is installed, else by hardneg's own encoder.

    Raises MissingExtraError for a class that only FlagEmbedding runs, ModelError where there is no such
    model.
    """
    if has_flagembedding():
        return FlagEncoder(model, settings)
    if settings.model_class in OWN_CLASSES:
        return OwnFlagEncoder(model, settings)
    raise MissingExtraError(f"a model of class {settings.model_class}", "flagembedding")


class OwnFlagEncoder:
    """The vectors of FlagEmbedding's base classes, by hardneg's own encoder in torch.

    There are two, since queries and documents may be cut at other lengths. Weights that FlagEmbedding would
    load in float16 are rounded to it here too, and computed with in float32 on the CPU, as there.
    """

    def __init__(self, model: str, settings: FlagSettings) -> None:
        self.name = model
        self.settings = settings
        self.similarity: Similarity = "cosine" if settings.normalize else "dot"
        packaged = packaged_minilm() if model == DEFAULT_MODEL else None
        folder = packaged or model_folder(model, settings.cache_dir)
        check_packaged(ModelFolder(folder))
        refuse_harmful(folder, settings.trust_remote_code)
        whole = _sentence_transformer(folder, model, settings)
        half = settings.use_fp16 and device_kind(settings.devices) != "cpu"
        most = positions(getattr(whole[0], "config", None)) or NO_LIMIT
        lengths: Mapping[Kind, int] = {
            "query": min(settings.query_max_length, most),
            "document": min(settings.passage_max_length, most),
        }
        self._by_kind = {
            kind: DenseEncoder(
                whole,
                EncodeConfig(
                    max_length=length,
                    backend="torch",
                    precision="fp16" if half else "fp32",
                    device=settings.devices[0] if settings.devices else None,
                    query_prompt="",
                    document_prompt="",
                ),
            )
            for kind, length in lengths.items()
        }

    @property
    def dimension(self) -> int:
        return self._by_kind["document"].dimension

    @property
    def choice(self) -> Any:
        return self._by_kind["document"].choice

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]:
        given = self.settings.instruction is not None and kind == "query"
        around = [self.settings.instruction, self.settings.instruction_format] if given else None
        return {**self._by_kind[kind].fingerprint(kind), "task": "any", "around": around}

    def prompt(self, kind: Kind) -> str:
        return ""

    def describe_prompt(self, kind: Kind) -> str:
        shown = self.settings.as_encoded("...", kind)
        return f"{shown!r}" if shown != "..." else "none"

    def encode(self, texts: Sequence[str], kind: Kind, prompt: str) -> Float32:
        asked = [self.settings.as_encoded(prompt + text, kind) for text in texts]
        return self._by_kind[kind].encode(asked, kind, "")


def _sentence_transformer(folder: Path, name: str, settings: FlagSettings) -> Any:
    """The folder's transformer with the pooling that is asked for, whatever modules it declares."""
    from sentence_transformers import SentenceTransformer

    try:
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    except ImportError:  # before version 6
        from sentence_transformers.models import Normalize, Pooling

    def load() -> SentenceTransformer:
        with told(name):
            return SentenceTransformer(
                str(folder),
                device="cpu",
                trust_remote_code=settings.trust_remote_code,
                local_files_only=True,
                model_kwargs={
                    "use_safetensors": True,
                    "dtype": "float16" if settings.use_fp16 else "float32",
                },
            )

    found = load_whole(load, answer, name, folder)
    refuse_wordless(found.tokenizer, name)
    transformer = found[0]
    transformer.do_lower_case = False  # FlagEmbedding leaves that to the tokenizer
    mode = {"cls": "cls", "mean": "mean", "last_token": "lasttoken"}[settings.pooled_by]
    width = transformer.config.hidden_size
    modules = [transformer, Pooling(width, mode)] + ([Normalize()] if settings.normalize else [])
    whole = SentenceTransformer(
        modules=modules,
        similarity_fn_name="cosine" if settings.normalize else "dot",
        device=settings.devices[0] if settings.devices else None,
    )
    return whole.float() if whole.device.type == "cpu" else whole
