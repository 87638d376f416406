"""Texts from data on a terminal: nothing in them may move the cursor or turn the line around."""

from __future__ import annotations

from collections.abc import Iterator


def _dangerous() -> Iterator[int]:
    yield from range(0x20)  # C0, ESC among them
    yield from range(0x7F, 0xA0)  # DEL and C1
    yield from (0x061C, 0x200E, 0x200F)  # marks that set the direction of what is near
    yield from (0x2028, 0x2029)  # line and paragraph ends
    yield from range(0x202A, 0x202F)  # embeddings and overrides of direction
    yield from range(0x2066, 0x206A)  # isolates
    yield from range(0xD800, 0xE000)  # lone surrogates, which cannot be printed at all


_SHOWN = {code: f"\\u{code:04x}" for code in _dangerous()}


def printable(text: str) -> str:
    """The text on one line, with control and direction characters shown as `\\uXXXX`."""
    return text.translate(_SHOWN)
