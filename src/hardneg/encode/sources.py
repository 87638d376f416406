"""Where a model comes from: a folder, or an object in memory; what both can say before a text is encoded."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hardneg.config import EncodeConfig, shown
from hardneg.encode.model_folder import ModelFolder, check_packaged, check_similarity
from hardneg.encode.model_object import object_hash
from hardneg.errors import ModelError, UsageError
from hardneg.fingerprints import digest
from hardneg.made_up_weights import load_whole
from hardneg.model_code import brings_code, code_hash
from hardneg.model_files import content_hash, refuse_wordless, take_out_of_files
from hardneg.model_safety import hint
from hardneg.protocols import Similarity
from hardneg.records import Float32


class Source:
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
class FolderSource(Source):
    """code_trusted  whether code that the model brings along is run: it may take another way to a vector than
    the library's own class, and treat queries otherwise than documents
    """

    folder: ModelFolder
    code_trusted: bool = False

    def __post_init__(self) -> None:
        self.name = self.folder.path.name
        self.similarity = self.folder.similarity
        self.prompts = self.folder.prompts
        self._code_runs = self.code_trusted and brings_code(self.folder.path)
        self.depends_on_task = self.folder.depends_on_task or self._code_runs

    def content(self, cache: Path) -> str:
        """The hash of its files, and of the code that it runs."""
        path = self.folder.path
        try:
            files = content_hash(path, cache)
            return digest([files, code_hash(path)]) if self._code_runs else files
        except OSError as error:
            raise ModelError(f"{self.folder.path}: cannot be read ({error.strerror or error})") from error

    def load(self, config: EncodeConfig) -> Any:
        check_packaged(self.folder)
        import transformers
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()

        def load() -> SentenceTransformer:
            return SentenceTransformer(
                str(self.folder.path),
                device=config.first_device,
                trust_remote_code=self.code_trusted,
                local_files_only=not self.code_trusted,
                model_kwargs={"use_safetensors": True},
            )

        try:
            model = load_whole(load, answer, self.folder.path, self.folder.path)
        except ModelError:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"{self.folder.path}: cannot be loaded ({lines[0]}){hint(error)}") from error
        refuse_wordless(getattr(model, "tokenizer", None), self.folder.path)
        refuse_no_room(model, self.folder.path)
        model = model.float()
        take_out_of_files(model)
        return model


def answer(model: Any) -> Float32:
    """The vector of some text, by which two loadings of a model are compared."""
    vectors: Float32 = np.asarray(model.encode(["some text"], show_progress_bar=False))
    return vectors


def refuse_no_room(model: Any, name: object) -> None:
    """Raises ModelError for a model whose own longest input is no number of tokens."""
    longest = getattr(model, "max_seq_length", None)
    if longest is not None and (not isinstance(longest, int) or longest < 1):
        raise ModelError(
            f"{name}: its longest input is {shown(longest)} tokens; mend its sentence_bert_config.json or "
            "tokenizer_config.json"
        )


@dataclass
class ObjectSource(Source):
    model: Any

    def __post_init__(self) -> None:
        self.name = type(self.model).__name__
        self.similarity = check_similarity(self.model.similarity_fn_name, self.name)
        self.prompts = {name: text for name, text in (self.model.prompts or {}).items() if text}
        self.depends_on_task = True

    def content(self, cache: Path) -> str:
        return object_hash(self.model)

    def load(self, config: EncodeConfig) -> Any:
        model = self.model if config.device is None else self.model.to(config.first_device)
        # A limit is set on a copy that shares the weights: the object keeps its own.
        return model if config.max_length is None else _sharing(model)


def _sharing(model: Any) -> Any:
    """A copy whose weights are the model's own."""
    return deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


def limit_length(model: Any, max_length: int) -> None:
    """Raises UsageError where the model has no positions for so many tokens."""
    most = positions(getattr(model[0], "config", None))
    if most is not None and most < max_length:
        raise UsageError(f"max_length: {max_length} is more than the model's {most} positions")
    model.max_seq_length = max_length


def positions(config: Any) -> int | None:
    """How many tokens a transformer of this configuration has positions for; None where it does not say."""
    limit = getattr(config, "max_position_embeddings", None)
    offset = 2 if getattr(config, "model_type", "").endswith(("roberta", "mpnet", "camembert")) else 0
    return limit - offset if isinstance(limit, int) and limit > offset else None
