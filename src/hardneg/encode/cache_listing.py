"""What the cache holds: each encoder's vectors, how large they are and when they were used last."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardneg.encode.in_use import LOCKS, last_use
from hardneg.encode.store import FINGERPRINT, KEYS_SUFFIX, MODEL, shard_about
from hardneg.errors import HardnegError, InputError
from hardneg.files import TEMPORARY, read_json
from hardneg.model_files import CACHE_FILE

_IN_THE_WRITING_S = 600
"""A file that is younger may be being written."""
_ABANDONED_S = 86_400
"""A plan that is older is of a run that nobody goes on with: a new one costs nothing."""
_KEY = re.compile(r"[0-9a-f]{32}")
_OWN = ("vectors", "backends", CACHE_FILE)
"""What hardneg puts into the cache's folder."""


@dataclass(frozen=True)
class Held:
    """The vectors of one encoder.

    model        what the encoder was called last; "" where that was not noted
    texts        vectors that are whole; `dimension` is None while there is none
    size         bytes of all its files
    used         when it was used last, in seconds since 1970
    leftovers    files that no run reads: cut short, never finished, or of a plan that was left; with bytes
    """

    folder: Path
    model: str
    backend: str
    precision: str
    store_dtype: str
    dimension: int | None
    texts: int
    size: int
    used: float
    leftovers: tuple[tuple[Path, int], ...]

    @property
    def id(self) -> str:
        return self.folder.name

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "id": self.id,
            "model": self.model,
            "backend": self.backend,
            "precision": self.precision,
            "store_dtype": self.store_dtype,
            "dimension": self.dimension,
            "texts": self.texts,
            "bytes": self.size,
            "used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.used)),
            "leftovers": len(self.leftovers),
        }


@dataclass(frozen=True)
class Listing:
    """All of a cache.

    held       the one used last first
    other      bytes of what else lies there, by its name
    leftovers  temporary files and folders outside of the encoders' folders, with bytes
    """

    root: Path
    held: tuple[Held, ...] = ()
    other: Mapping[str, int] = field(default_factory=dict)
    leftovers: tuple[tuple[Path, int], ...] = ()

    @property
    def size(self) -> int:
        return sum(one.size for one in self.held) + sum(self.other.values())

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "path": str(self.root),
            "bytes": self.size,
            "encoders": [one.as_dict() for one in self.held],
            "other": [{"name": name, "bytes": size} for name, size in sorted(self.other.items())],
        }


def refuse_no_cache(root: Path) -> None:
    """Raises InputError where there is no folder, or one of something else: files are removed there."""
    if not root.is_dir():
        raise InputError("is no folder; give the cache's by --cache-dir, or set HARDNEG_CACHE", file=root)
    names = [path.name for path in root.iterdir()]
    if names and not any(name in _OWN or name.startswith(TEMPORARY) for name in names):
        raise InputError(
            f"is no cache (it holds {min(names)!r}); give the cache's folder, or set HARDNEG_CACHE", file=root
        )


def left_behind(root: Path) -> Iterator[Path]:
    """What killed runs left under temporary names outside of the encoders' folders, and may be writing."""
    yield from root.glob(f"{TEMPORARY}*-{CACHE_FILE}")
    for place in ("vectors", f"vectors/{LOCKS}", "backends"):
        yield from (root / place).glob(f"{TEMPORARY}*")


def listing(root: Path) -> Listing:
    """Reads no vector. Raises InputError where there is no cache."""
    refuse_no_cache(root)
    folders = [path for path in (root / "vectors").glob("*") if path.is_dir() and _KEY.fullmatch(path.name)]
    held = sorted(map(_held, folders), key=lambda one: (-one.used, one.id))
    others = [path for path in root.iterdir() if path.name != "vectors"]
    others += [path for path in (root / "vectors").glob("*") if path not in folders]
    other = {path.relative_to(root).as_posix(): size_of(path) for path in others}
    left = [(path, size_of(path)) for path in left_behind(root) if _older(path)]
    return Listing(root, tuple(held), {name: size for name, size in other.items() if size}, tuple(left))


def matching(found: Listing, which: str) -> list[Held]:
    """Those whose id begins with the word, or whose model is called so, wholly or by its last part."""
    return [one for one in found.held if one.id.startswith(which) or which in (one.model, _last(one.model))]


def _last(model: str) -> str:
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1]


def _held(folder: Path) -> Held:
    about = _values(folder / FINGERPRINT)
    texts, dimension, broken = 0, None, []
    for keys in folder.glob(f"[!.]*{KEYS_SUFFIX}"):
        shard = folder / f"{keys.name.removesuffix(KEYS_SUFFIX)}.npy"
        try:
            said = shard_about(keys)
            whole = size_of(shard) == said["size"]
        except HardnegError:
            whole = False
        if whole:
            texts, dimension = texts + said["rows"], said["dimension"]
        else:
            broken += [path for path in (keys, shard) if path.exists()]
    return Held(
        folder=folder,
        model=str(_values(folder / MODEL).get("model", "")),
        backend=str(about.get("backend", "")),
        precision=str(about.get("precision", "")),
        store_dtype=str(about.get("store_dtype", "")),
        dimension=dimension,
        texts=texts,
        size=size_of(folder),
        used=last_use(folder),
        leftovers=tuple((path, size_of(path)) for path in (*broken, *_unfinished(folder))),
    )


def _unfinished(folder: Path) -> Iterator[Path]:
    """What runs that were killed have left."""
    for path in folder.iterdir():
        if path.name.startswith(TEMPORARY):
            if _older(path):
                yield path
        elif path.suffix == ".npy":
            if not path.with_name(f"{path.stem}{KEYS_SUFFIX}").exists() and _older(path):
                yield path
        elif path.name.endswith(".plan.parquet") and _older(path, _ABANDONED_S):
            yield path


def _older(path: Path, seconds: float = _IN_THE_WRITING_S) -> bool:
    try:
        return time.time() - path.stat().st_mtime > seconds
    except OSError:
        return False


def _values(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except HardnegError:
        return {}
    return found if isinstance(found, dict) else {}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all below a folder; 0 for what is gone meanwhile."""
    try:
        if path.is_dir() and not path.is_symlink():
            return sum(size_of(one) for one in path.iterdir())
        return path.lstat().st_size
    except OSError:
        return 0
