"""What `--retriever` says: dense, dense:MODEL, bm25, run:FILE or vectors:DIR, each named by NAME=."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hardneg.config import EncodeConfig, nearest
from hardneg.errors import UsageError

KINDS = {"dense": False, "bm25": False, "run": True, "vectors": True}
"""Kind → whether it needs what follows the colon."""


@dataclass(frozen=True)
class RetrieverSpec:
    """One retriever: `target` is its model, file or folder (empty for `dense` alone and `bm25`)."""

    name: str
    kind: str
    target: str

    @classmethod
    def parse(cls, text: str) -> RetrieverSpec:
        match = re.fullmatch(r"(?:(?P<name>[\w.-]+)=)?(?P<kind>\w+)(?::(?P<target>.*))?", text, re.DOTALL)
        kind = match["kind"] if match else text
        if match is None or kind not in KINDS:
            raise UsageError(
                f"retriever {text!r}: write dense, dense:MODEL, bm25, run:FILE or vectors:DIR"
                f"{nearest(kind, KINDS)}"
            )
        target = match["target"] or ""
        if not target and (KINDS[kind] or match["target"] is not None):
            raise UsageError(f"retriever {text!r}: write {kind}:{'MODEL' if kind == 'dense' else 'PATH'}")
        if kind == "bm25" and target:
            raise UsageError(f"retriever {text!r}: bm25 takes nothing behind it; to name it write NAME=bm25")
        return cls(match["name"] or _default_name(kind, target), kind, target)


def _default_name(kind: str, target: str) -> str:
    # A file's name need not be text, as a name in a table must.
    name = Path(target).name.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"{kind}:{name}" if target else kind


def parse_retrievers(texts: Sequence[str]) -> list[RetrieverSpec]:
    """Raises UsageError for a spec that cannot be read, or two of one name."""
    if not texts:
        raise UsageError("no retriever; name at least one, e.g. --retriever dense")
    specs = [RetrieverSpec.parse(text) for text in texts]
    name, count = Counter(spec.name for spec in specs).most_common(1)[0]
    if count > 1:
        raise UsageError(f"two retrievers are called {name!r}; name them apart: NAME={texts[0]}")
    if "cross_encoder" in {spec.name for spec in specs}:
        raise UsageError("a retriever cannot be called 'cross_encoder'; choose another NAME=")
    return specs


def encode_config_of(
    spec: RetrieverSpec, config: EncodeConfig, specs: Sequence[RetrieverSpec]
) -> EncodeConfig:
    """The encode stage's settings for one retriever: its own prompts win over those for all."""
    own: dict[str, str] = {}
    for text in config.prompt:
        match = re.fullmatch(
            r"(?P<name>[^:=]+(?::[^:=]+)?):(?P<kind>query|document)=(?P<prompt>.*)", text, re.DOTALL
        )
        names = [other.name for other in specs]
        if match is None or match["name"] not in names:
            raise UsageError(f"prompt {text!r}: write NAME:query=TEXT, NAME one of {', '.join(names)}")
        if match["name"] == spec.name:
            own[f"{match['kind']}_prompt"] = match["prompt"]
    return config.model_copy(update=own)
