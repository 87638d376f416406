"""What reaches a terminal or a log: no text may move its cursor, turn a line around, or hide in it.

Whatever could is shown as JSON would write it (`\\u001b`), so that a line of JSON stays the same JSON.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

from hardneg.credentials import hidden

MARKS = 8
"""So many combining marks may follow a letter; more of them would cover the lines above and below."""
# Letters and marks by their category, and yet nothing is to be seen of them.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ESCAPING = "hardneg-escaping"


def printable(text: str) -> str:
    """The text on one line: control and format characters, and floods of marks, as `\\uXXXX`."""
    if text.isascii() and text.isprintable():
        return text
    return _without_floods(text.translate(_SHOWN))


def show(text: str) -> None:
    """Print lines on standard output."""
    print("\n".join(map(printable, text.split("\n"))))


def show_json(value: Any) -> None:
    """Print the value as one line of JSON, which gives back every character."""
    show(json.dumps(value, ensure_ascii=False, allow_nan=False))


class _Shown(dict[int, str]):
    """Code point → what is printed, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        blank = not character.isprintable() and unicodedata.category(character) != "Zs"
        self[code] = _escaped(character) if blank or character in _BLANK else character
        return self[code]


_SHOWN = _Shown()


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _without_floods(text: str) -> str:
    shown, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        shown.append(character if run <= MARKS else _escaped(character))
    return "".join(shown)


# -- the process's own streams ------------------------------------------------------------------------------


def open_streams() -> None:
    """A standard stream that was closed leads nowhere from now on: else the next file that is opened would
    take its number, and get what anybody prints there."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def guard_streams() -> None:
    """From now on whatever this process prints on standard error, whoever prints it, is fit for a terminal
    and holds no credential; and standard output takes every text, whatever its encoding."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of others; a log cannot tell them from hostile text
    if not isinstance(sys.stderr, Guarded):
        sys.stderr = Guarded(sys.stderr)
    codecs.register_error(_ESCAPING, _escape_unencodable)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPING)


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _escaped(error.object[error.start : error.end]), error.end


class Guarded(io.TextIOBase):
    """Standard error, behind which the true one is `itself`. Colours are left out."""

    def __init__(self, itself: TextIO) -> None:
        self.itself = itself

    def write(self, text: str) -> int:
        lines = hidden(_COLOUR.sub("", text)).split("\n")
        self.itself.write("\n".join(map(printable, lines)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]  # of TextIOBase's bytes
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self.itself.flush()

    def isatty(self) -> bool:
        """Nobody is to draw on it."""
        return False

    def fileno(self) -> int:
        return self.itself.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read only here
        return self.itself.encoding


def true_stderr() -> TextIO:
    """Where a progress bar may be drawn."""
    return sys.stderr.itself if isinstance(sys.stderr, Guarded) else sys.stderr
