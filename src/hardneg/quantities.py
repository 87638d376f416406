"""Numbers of things, sizes and spans of time as people write them: `1 fault`, `20GB`, `30d`."""

from __future__ import annotations

import math
import re

from hardneg.errors import UsageError

_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)


def counted(number: int, one: str, many: str = "") -> str:
    """`1 fault`, `2,000 faults`; many: where it is not `one` and an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


_PLURAL = re.compile(r"\b(quer)ies\b|\b(document|judgment|negative|positive|row)s\b")


def of_kind(number: int, kind: str) -> str:
    """`2 judged negatives`, `1 judged negative`: the kind is named in the plural where it is counted."""
    if number == 1:
        kind = _PLURAL.sub(lambda found: "query" if found[1] else found[2], kind)
    return f"{number:,} {kind}"


def parse_size(text: str, flag: str) -> int:
    """Bytes of `20GB`, `1.5 TB` or `512MiB`. Raises UsageError, which names the flag."""
    return int(_parsed(text, flag, _BYTES, "20GB"))


def parse_span(text: str, flag: str) -> float:
    """Seconds of `30d`, `12h` or `2w`. Raises UsageError, which names the flag."""
    return _parsed(text, flag, _SECONDS, "30d")


def _parsed(text: str, flag: str, units: dict[str, int], example: str) -> float:
    found = _WRITTEN.fullmatch(text)
    named = {unit.lower(): many for unit, many in units.items()}
    if found is None or found[2].lower() not in named:
        raise UsageError(f"{flag} {text!r}: write a number and one of {', '.join(units)}, such as {example}")
    quantity = float(found[1]) * named[found[2].lower()]
    if quantity == math.inf:
        raise UsageError(f"{flag}: is beyond all bounds; write a number such as {example}")
    return quantity


def size_text(count: int) -> str:
    """In the largest unit of which there is one."""
    unit = next((unit for unit in ("TB", "GB", "MB", "KB") if count >= _BYTES[unit]), "B")
    return f"{count:,} B" if unit == "B" else f"{count / _BYTES[unit]:,.1f} {unit}"
