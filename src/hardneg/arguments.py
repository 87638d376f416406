"""Arguments of the Python calls: what Python itself would take and cannot be right is refused by its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardneg.errors import UsageError

METHODS = {"progress": ("say", "track"), "engine": ("each",)}
"""What an object has to offer, by the name of the argument (`hardneg.protocols`)."""


def path_of(argument: str, value: str | os.PathLike[str]) -> Path:
    """The value as a path."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{argument}: {_kind(value)} is no path; give a str or a pathlib.Path")
    return Path(os.fspath(value))


def optional_path(argument: str, value: str | os.PathLike[str] | None) -> Path | None:
    return None if value is None else path_of(argument, value)


def refuse_no_text(**values: Any) -> None:
    """None is for arguments that may be left out: the call itself says what it needs."""
    for argument, value in values.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{argument}: {_kind(value)} is no text; give a str")


def refuse_no_number(**values: Any) -> None:
    for argument, value in values.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise UsageError(f"{argument}: {_kind(value)} is no whole number; give an int")


def refuse_unlike(**values: Any) -> None:
    """Raises UsageError for an object without the methods of METHODS, and for a class of such objects."""
    for argument, value in values.items():
        lacking = [name for name in METHODS[argument] if not callable(getattr(value, name, None))]
        if value is not None and isinstance(value, type):
            raise UsageError(f"{argument}: {value.__name__} is a class; give an object of it")
        if value is not None and lacking:
            raise UsageError(
                f"{argument}: {_kind(value)} has no method {lacking[0]!r}; give what "
                f"hardneg.protocols.{argument.title()} describes"
            )


def texts_of(argument: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """One text, or several."""
    several = (value,) if isinstance(value, str) else value
    if not isinstance(several, list | tuple) or not all(isinstance(one, str) for one in several):
        raise UsageError(f"{argument}: {_kind(value)} is no list of texts; give a str or a list of them")
    return tuple(several)


def _kind(value: Any) -> str:
    return f"an object of {type(value).__name__!r}"
