"""Where a model comes from: a folder, or an object in memory; what both can say before a text is encoded."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.config import EncodeConfig
from hardneg.encode.model_folder import ModelFolder, check_packaged, check_similarity
from hardneg.errors import ModelError, UsageError
from hardneg.model_files import content_hash, refuse_wordless
from hardneg.protocols import Similarity


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
                device=config.first_device,
                trust_remote_code=config.trust_remote_code,
                local_files_only=not config.trust_remote_code,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"{self.folder.path}: cannot be loaded ({lines[0]})") from error
        refuse_wordless(getattr(model, "tokenizer", None), self.folder.path)
        return model.float()


@dataclass
class ObjectSource(Source):
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
        model = self.model if config.device is None else self.model.to(config.first_device)
        # A limit is set on a copy that shares the weights: the object keeps its own.
        return model if config.max_length is None else _sharing(model)


def _sharing(model: Any) -> Any:
    """A copy whose weights are the model's own."""
    return deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


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


def limit_length(model: Any, max_length: int) -> None:
    """Raises UsageError where the model has no positions for so many tokens."""
    config = getattr(model[0], "config", None)
    limit = getattr(config, "max_position_embeddings", None)
    offset = 2 if getattr(config, "model_type", "").endswith(("roberta", "mpnet", "camembert")) else 0
    if isinstance(limit, int) and 0 < limit - offset < max_length:
        raise UsageError(f"max_length: {max_length} is more than the model's {limit - offset} positions")
    model.max_seq_length = max_length
