"""Flags as transformers' HfArgumentParser takes them: `--use_fp16`, `--use-fp16 false`, `--no_use_fp16`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from hardneg.config import nearest
from hardneg.errors import UsageError

_TRUE, _FALSE = {"yes", "true", "t", "y", "1"}, {"no", "false", "f", "n", "0"}


class FlagParser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print and exit."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"hardneg {command}", description=description)
        group = self.add_argument_group("hardneg's own")
        group.add_argument(
            "--quiet", "-q", action="store_true", help="Print nothing but errors and warnings."
        )
        group.add_argument("--json", action="store_true", help="Print the result as JSON on standard output.")
        group.add_argument("--log-json", action="store_true", help="Tell what happens as lines of JSON.")
        group.add_argument("--debug", action="store_true", help="Show the traceback of an error.")

    def flag(self, name: str, default: Any = None, text: str = "", **options: Any) -> None:
        """A flag with a value; its name may be written with - or _."""
        shown = "" if default is None else f" (default: {default})"
        self.add_argument(*_spelt(name), default=default, help=_escaped(text + shown), **options)

    def switch(self, name: str, default: bool, text: str) -> None:
        """A flag that may have a value; one that is on by default can be switched off by `--no_NAME` too."""
        says = f"{text} (default: {default})"
        self.add_argument(
            *_spelt(name), nargs="?", const=True, default=default, type=_truth, metavar="BOOL", help=says
        )
        if default:
            off = _spelt(f"no_{name}")
            self.add_argument(*off, dest=name, action="store_false", help=argparse.SUPPRESS)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Raises UsageError."""
        found, unknown = self.parse_known_args(list(words))
        if unknown:
            known = [option for action in self._actions for option in action.option_strings]
            word = unknown[0].partition("=")[0]
            raise UsageError(f"there is no flag or value {word!r}{nearest(word, known)}")
        return found

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` says what there is")


def at_least(least: int) -> Any:
    """The type of a flag: a whole number from `least` on."""

    def whole_number(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)

    return whole_number


def _spelt(name: str) -> list[str]:
    return list(dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}"]))


def _truth(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return word in _TRUE


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
