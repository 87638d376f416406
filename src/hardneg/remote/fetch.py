"""A remote file or folder, copied to this disk for as long as it is read.

Read in place it would be fetched several times over: Parquet jumps back and forth in a file, and rows are
read again where ids contradict each other. A run keeps its tables on this disk anyway, in about the same
room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hardneg.errors import InputError
from hardneg.remote.addresses import name_of, parent_of
from hardneg.remote.systems import open_system, told_plainly

Choice = Callable[[Sequence[str]], Sequence[str]]
"""Names within a folder (`qrels/train.tsv`) → those that are wanted."""


@dataclass(frozen=True)
class Fetched:
    """What was copied. `path` is in `folder`, which stands for `stands_for` in what people are told."""

    address: str
    path: Path
    folder: Path
    files: int
    bytes: int

    def shown(self, text: str) -> str:
        """The text with addresses in the place of paths of the copy."""
        return text.replace(str(self.folder), parent_of(self.address))


def fetch(address: str, folder: Path, wanted: Choice = lambda names: names) -> Fetched:
    """Copy a file, or what is wanted of a folder, into this folder under its own name.

    Raises InputError where there is nothing of that name, StorageError where it cannot be had.
    """
    system, path = open_system(address)
    to = folder / name_of(address)
    with told_plainly(address, system):
        found = _files(system, path)
        names = list(found) if "" in found else wanted(sorted(found))
        for name in names:
            _copy(system, f"{path.rstrip('/')}/{name}" if name else path, to / name, found[name], address)
    return Fetched(address, to, folder, len(names), sum(found[name] or 0 for name in names))


def exists(address: str) -> bool:
    """Whether there is a file or folder."""
    system, path = open_system(address)
    with told_plainly(address, system):
        system.invalidate_cache()
        return bool(system.exists(path))


def _files(system: Any, path: str) -> dict[str, int | None]:
    """Names below the path → bytes, None where nobody knows; "" is the path itself, where it is a file."""
    system.invalidate_cache()
    info = system.info(path)
    if info["type"] == "file":
        return {"": info.get("size")}
    base = f"{path.rstrip('/')}/"
    return {
        name.removeprefix(base): one.get("size")
        for name, one in system.find(path, detail=True).items()
        if one["type"] == "file" and _is_plain(name.removeprefix(base))
    }


def _is_plain(name: str) -> bool:
    """A name that stays in its folder, and names a file: an object's may hold anything."""
    odd = name.startswith("/") or name.endswith("/") or "\\" in name or "\0" in name
    return bool(name) and not odd and ".." not in PurePosixPath(name).parts


def _copy(system: Any, path: str, to: Path, size: int | None, address: str) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    system.get_file(path, str(to))
    if size is not None and to.stat().st_size != size:
        raise InputError("arrived cut off, or was changed meanwhile; try again", file=address)
