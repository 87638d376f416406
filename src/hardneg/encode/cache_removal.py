"""Takes vectors out of the cache, never those that a process is using.

A folder is held alone while it gets a temporary name; its files go after that, and what a kill leaves of
them is a leftover as any other.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hardneg.encode.cache_listing import Held, Listing
from hardneg.encode.in_use import alone, last_use
from hardneg.files import TEMPORARY
from hardneg.locks import HeldError, NoLocksError
from hardneg.quantities import counted
from hardneg.refusals import plainly


@dataclass(frozen=True)
class Gone:
    """An encoder's vectors that went, or stayed; `size` without what went before as leftovers."""

    held: Held
    why: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        return {**self.held.as_dict(), "bytes": self.size, "why": self.why}


@dataclass
class Removal:
    """What went and what stayed.

    removed    encoders' vectors
    kept       those that would have gone too
    leftovers  files that no run reads, and their bytes
    """

    dry_run: bool = False
    removed: list[Gone] = field(default_factory=list)
    kept: list[Gone] = field(default_factory=list)
    leftovers: list[tuple[Path, int]] = field(default_factory=list)

    @property
    def freed(self) -> int:
        return sum(gone.size for gone in self.removed) + sum(size for _, size in self.leftovers)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "dry_run": self.dry_run,
            "bytes": self.freed,
            "removed": [gone.as_dict() for gone in self.removed],
            "kept": [gone.as_dict() for gone in self.kept],
            "leftovers": [{"path": str(path), "bytes": size} for path, size in self.leftovers],
        }


def remove(which: Sequence[Held]) -> Removal:
    """These encoders' vectors. Raises StorageError where they may not be removed."""
    done = Removal()
    for held in which:
        _remove(done, Gone(held, "asked for", held.size))
    return done


def prune(
    found: Listing, *, older_than: float | None = None, max_size: int | None = None, dry_run: bool = False
) -> Removal:
    """Leftovers; what was not used for so many seconds; and, until it fits, what was used longest ago.

    max_size  bytes of the whole cache
    dry_run   only says what would go
    """
    done = Removal(dry_run)
    _remove_leftovers(done, found.leftovers)
    for held in found.held:
        with suppress(HeldError, NoLocksError), plainly(held.folder), alone(held.folder):
            _remove_leftovers(done, held.leftovers)
    for held in sorted(found.held, key=lambda held: (held.used, held.id)):
        age = time.time() - held.used
        why = ""
        if older_than is not None and age > older_than:
            why = f"last used {_days(age)} ago"
        elif max_size is not None and found.size - done.freed > max_size:
            why = f"last used {_days(age)} ago, and the cache is too large"
        if why:
            _remove(done, Gone(held, why, held.size - _sum_of(set(held.leftovers) & set(done.leftovers))))
    return done


def _remove(done: Removal, gone: Gone) -> None:
    """Where nobody has it open, and nobody used it since it was listed."""
    folder = gone.held.folder
    away = folder.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{folder.name}")
    try:
        with plainly(folder), alone(folder):
            if last_use(folder) > gone.held.used:
                raise HeldError(folder)
            if not folder.is_dir():
                return  # another removal was first
            if not done.dry_run:
                folder.rename(away)
    except HeldError:
        done.kept.append(replace(gone, why=f"{gone.why}; but a process is using it"))
        return
    except NoLocksError as error:
        said = f"but its file system has no locks ({error}): nothing says whether a process is using it"
        done.kept.append(replace(gone, why=f"{gone.why}; {said}"))
        return
    done.removed.append(gone)
    if not done.dry_run:
        with plainly(folder):
            shutil.rmtree(away)


def _remove_leftovers(done: Removal, leftovers: Iterable[tuple[Path, int]]) -> None:
    for path, size in leftovers:
        if not done.dry_run:
            with plainly(path):
                _delete(path)
        done.leftovers.append((path, size))


def _delete(path: Path) -> None:
    with suppress(FileNotFoundError):  # another removal was first
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sum_of(leftovers: Iterable[tuple[Path, int]]) -> int:
    return sum(size for _, size in leftovers)


def _days(seconds: float) -> str:
    return counted(int(seconds // 86_400), "day")
