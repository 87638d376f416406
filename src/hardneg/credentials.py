"""Tokens, keys and passwords: whatever the environment or a URL holds of them is neither kept nor shown."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import quote

HIDDEN = "***"
_NAMES = re.compile(r"(?:TOKEN|_KEY|APIKEY|SECRET|PASSWORD|PASSWD|PASSPHRASE)_?\d*$", re.IGNORECASE)
_SHORTEST = 8
"""Characters: a shorter value is more likely a switch or a word than a secret."""
_IN_URL = re.compile(r"(?<=://)[^/\s\"]+(?=@)")
_IN_QUERY = re.compile(
    r"([?&](?:[\w.-]*[_.-])?(?:(?:api|access|auth)?(?:key|token|secret|password|signature|credential)|sig)=)"
    r"[^&#\s'\"]+",
    re.IGNORECASE,
)
_BY_SHAPE = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:hf_|sk-)[A-Za-z0-9_-]{20,}|A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9]))"
)
"""Tokens of the Hugging Face Hub, keys as most APIs have them and those of AWS, wherever they come from."""


def hidden(text: str) -> str:
    """The text with *** in the place of each credential."""
    for value in _values():
        text = text.replace(value, HIDDEN)
    text = _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_URL.sub(HIDDEN, text))
    return _BY_SHAPE.sub(HIDDEN, text)


def holds_credential(text: str) -> bool:
    return hidden(text) != text


def _values() -> list[str]:
    """Values of variables that are named like a secret, the longest first: one may hold another.

    Line by line, for what comes out of a file ends a line, and messages are of one; and as JSON, Python and
    addresses write them.
    """
    values = [value for name, value in os.environ.items() if _NAMES.search(name)]
    lines = {line.strip() for value in values for line in value.splitlines()}
    long = [line for line in lines if len(line) >= _SHORTEST]
    written = {form for line in long for form in _forms(line)}
    return sorted(written, key=len, reverse=True)


def _forms(text: str) -> tuple[str, ...]:
    quoted = quote(text, safe="", errors="surrogateescape")
    return text, json.dumps(text, allow_nan=False)[1:-1], repr(text)[1:-1], quoted
