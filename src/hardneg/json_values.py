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
