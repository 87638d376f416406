"""Tokens, keys and passwords: whatever the environment or a URL holds of them is neither kept nor shown."""

from __future__ import annotations

import os
import re

HIDDEN = "***"
_NAMES = re.compile(r"(?:TOKEN|_KEY|SECRET|PASSWORD|PASSWD|PASSPHRASE)$", re.IGNORECASE)
_SHORTEST = 8
"""Characters: a shorter value is more likely a switch or a word than a secret."""
_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")
_BY_SHAPE = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:hf_|sk-)[A-Za-z0-9_-]{20,}|A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9]))"
)
"""Tokens of the Hugging Face Hub, keys as most APIs have them and those of AWS, wherever they come from."""


def hidden(text: str) -> str:
    """The text with *** in the place of each credential."""
    for value in _values():
        text = text.replace(value, HIDDEN)
    return _BY_SHAPE.sub(HIDDEN, _IN_URL.sub(HIDDEN, text))


def holds_credential(text: str) -> bool:
    return hidden(text) != text


def _values() -> list[str]:
    """Values of variables that are named like a secret, the longest first: one may hold another."""
    values = {value for name, value in os.environ.items() if len(value) >= _SHORTEST and _NAMES.search(name)}
    return sorted(values, key=len, reverse=True)
