"""JSON as people write it: read strictly, and what is wrong with it said in plain words."""

from __future__ import annotations

import json
from typing import Any


class NotJsonError(ValueError):
    """A text is no JSON; the message says why, and fits after `is not JSON`."""


def _no_constant(name: str) -> Any:
    raise NotJsonError(f"{name} is no JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise NotJsonError(f"the key {twice!r} stands there twice")
    return row


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_object)
_LENIENT = json.JSONDecoder()


def parse_json(text: str) -> Any:
    """The value. Raises NotJsonError; for NaN and infinity, and for a key that an object has twice, too."""
    try:
        return _DECODER.decode(text)
    except NotJsonError:
        raise
    except json.JSONDecodeError as error:
        raise NotJsonError(f"{error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise NotJsonError("it is nested too deep") from error
    except ValueError as error:  # Python reads no longer numbers: it would take the square of their length
        raise NotJsonError("a number in it has more than 4,300 digits") from error


def first_json(text: str, start: int) -> tuple[Any, int]:
    """The value that begins there, and where it ends.

    Raises json.JSONDecodeError where there is none (or not all of one), NotJsonError as `parse_json`.
    """
    return _DECODER.raw_decode(text, start)


def end_of_json(text: str, start: int) -> int:
    """Where the value that begins there ends, whatever `first_json` says against it otherwise."""
    return _LENIENT.raw_decode(text, start)[1]
