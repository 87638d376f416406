"""Addresses such as `s3://bucket/key`: told from paths, taken apart and put together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from hardneg.errors import UsageError

PACKAGES: Mapping[str, str | None] = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "hf": None,  # comes with huggingface_hub
    "memory": None,  # of fsspec itself, for tests
}
"""Scheme → the package that fsspec needs for it, None where there is nothing to install."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])")
_TABLES = ("corpus", "queries", "qrels")


def address_of(named: Any) -> str | None:
    """The address, where it is one: of a text, or of a Path, which has swallowed one of the slashes.

    Raises UsageError for a scheme that is not read.
    """
    if not isinstance(named, str | os.PathLike):
        return None
    text = named.as_posix() if isinstance(named, PurePath) else os.fspath(named)
    match = _SCHEME.match(text)
    if match is None or not (match[1] in PACKAGES or match[0].endswith("://")):
        return None
    if match[1] not in PACKAGES:
        raise UsageError(
            f"{text}: {match[1]}:// is not read; there are {', '.join(f'{one}://' for one in PACKAGES)}, "
            "files and folders"
        )
    return f"{match[1]}://{text[match.end() :]}"


def name_of(address: str) -> str:
    """The last part."""
    return address.rstrip("/").rpartition("/")[2]


def parent_of(address: str) -> str:
    """Everything before the slash before it; of a bucket that is its scheme with one slash."""
    return address.rstrip("/").rpartition("/")[0]


def refuse_remote(named: Any, what: str) -> None:
    """Raises UsageError where this must lie on this machine and does not."""
    if (address := address_of(named)) is not None:
        raise UsageError(
            f"{address}: {what} must lie on this machine; sources are read from {scheme_of(address)}:// and "
            "exports written there"
        )


def scheme_of(address: str) -> str:
    return address.partition("://")[0]


def refuse_remote_inputs(output: str, inputs: Iterable[str]) -> None:
    """As `named_files.refuse_inputs`, of addresses."""
    for name in inputs:
        source = address_of(name)
        if source is None:
            continue
        inside = output.removeprefix(f"{source.rstrip('/')}/")
        of_folder = inside != output and inside.partition("/")[0].partition(".")[0] in _TABLES
        if output.rstrip("/") == source.rstrip("/") or of_folder:
            raise UsageError(f"{output}: input was read from it; choose another --output")
