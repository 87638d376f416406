"""Rows of a JSON array, one after another: such files reach gigabytes, and often stand on one line."""

from __future__ import annotations

import codecs
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hardneg.errors import InputError
from hardneg.json_values import NotJsonError, end_of_json, first_json
from hardneg.named_files import LONGEST_LINE
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.row_files import open_bytes
from hardneg.read.rows import Row, Rows

_PIECE = 1 << 20
_CUT_OFF = 64
"""An error so near the end of what was read may be of what comes next."""


def json_array_rows(path: Path, key: str | None = None) -> Rows:
    """The objects of the array that the file is, or that stands under this key of the object that it is."""

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        with open_bytes(path) as handle:
            text = _Text(handle, path)
            if key is not None:
                _enter(text, key)
            yield from _elements(text, bad)

    return Rows(str(path), read, uniform=False)


def json_member(path: Path, key: str) -> Any:
    """The value under this key of the object that the file is. Raises InputError where there is none."""
    with open_bytes(path) as handle:
        text = _Text(handle, path)
        _enter(text, key)
        return text.value()


class _Text:
    """A file's text from where it was read to; `line` is where that is."""

    def __init__(self, handle: IO[bytes], path: Path) -> None:
        self._handle, self.path = handle, path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._ended = "", 0, False
        self.line = 1

    def peek(self) -> str:
        """The next character that is no white space, "" at the end of the file."""
        while True:
            rest = len(self._text)
            while self._at < rest and self._text[self._at] in " \t\r\n":
                self._pass(self._at + 1)
            if self._at < rest:
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        """Go past this character. Raises InputError where another one follows."""
        found = self.peek()
        if found != wanted:
            where = f"{found!r} follows" if found else "the file ends"
            raise self.fault(f"is no JSON array of objects: {where} where {wanted!r} is due")
        self._pass(self._at + 1)

    def value(self) -> Any:
        """The value that follows. Raises InputError where there is none, NotJsonError past a refused one."""
        self.peek()
        while True:
            try:
                found, end = first_json(self._text, self._at)
            except json.JSONDecodeError as error:
                self._go_on_or_refuse(error)
                continue
            except NotJsonError:
                try:
                    self._pass(end_of_json(self._text, self._at))
                except json.JSONDecodeError as error:
                    self._go_on_or_refuse(error)
                    continue
                raise
            except RecursionError as error:
                raise self.fault("is not JSON (it is nested too deep)") from error
            except ValueError as error:
                raise self.fault("is not JSON (a number in it has more than 4,300 digits)") from error
            self._pass(end)
            return found

    def fault(self, reason: str) -> InputError:
        return InputError(reason, file=self.path, line=self.line)

    def _go_on_or_refuse(self, error: json.JSONDecodeError) -> None:
        """Read on where the value may go on."""
        open_text = error.msg.startswith("Unterminated string")
        if not open_text and error.pos < len(self._text) - _CUT_OFF:
            line = self.line + self._text.count("\n", self._at, error.pos)
            raise InputError(f"is not JSON ({error.msg})", file=self.path, line=line) from error
        if len(self._text) - self._at > LONGEST_LINE:
            raise self.fault(f"has an element that is longer than {LONGEST_LINE >> 20} MiB") from error
        if not self._more():
            raise self.fault("is cut off: the array does not end") from error

    def _pass(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def _more(self) -> bool:
        """Read as much again as is held, so that long values are not parsed from the start too often."""
        if self._ended:
            return False
        self._text, self._at = self._text[self._at :], 0
        try:
            data = self._handle.read(max(_PIECE, len(self._text)))
            self._ended = not data
            self._text += self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self.line + self._text.count("\n") + data.count(b"\n", 0, error.start)
            raise InputError("is not UTF-8; save the file as UTF-8", file=self.path, line=line) from error
        except (EOFError, OSError, zlib.error) as error:
            raise self.fault("cannot be read: it is damaged, or cut off, after this line") from error
        return True


def _enter(text: _Text, key: str) -> None:
    """Go to the value under this key."""
    text.take("{")
    while text.peek() == '"':
        try:
            name = text.value()
            text.take(":")
            if name == key:
                return
            text.value()
        except NotJsonError as error:
            raise text.fault(f"is not JSON ({error})") from error
        if text.peek() != ",":
            break
        text.take(",")
    raise text.fault(f"has no key {key!r}")


def _elements(text: _Text, bad: BadRows) -> Iterator[tuple[int, Row]]:
    """Each object with the line that it begins on."""
    text.take("[")
    while (found := text.peek()) != "]":
        line = text.line
        if found != "{":
            text.take("{")
        try:
            yield line, text.value()
        except NotJsonError as error:
            bad.refuse(RowError(f"is not JSON ({error})"), str(text.path), line)
        if text.peek() != "]":
            text.take(",")
