"""Short names for content: equal fingerprints, equal results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


def digest(value: Any) -> str:
    """32 hexadecimal digits of blake2b over the value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """32 hexadecimal digits of blake2b over a file's bytes."""
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK):
            state.update(chunk)
    return state.hexdigest()
