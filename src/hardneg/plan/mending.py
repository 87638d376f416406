"""Damaged files that can be made again: removed, so that what follows makes just them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hardneg.encode import FINGERPRINT, KEYS_SUFFIX, Space, names_its_folder
from hardneg.errors import DamagedError, HardnegError
from hardneg.files import remove
from hardneg.protocols import Progress
from hardneg.run_directory import COLLECTION_TABLES, PLAN, RunDirectory


def until_whole(run: RunDirectory, progress: Progress, work: Callable[[], None]) -> None:
    """Do the work; where it meets a damaged file that it can make again, remove that and do it once more.

    Work goes on where it was left, so once more costs what the file costs, and reading the source. Raises
    DamagedError for a file that is damaged again, or that nothing makes again.
    """
    removed: set[Path] = set()
    while True:
        try:
            return work()
        except DamagedError as damage:
            # What lies in a folder may be somebody's: that is removed only where people ask for it.
            again = damage.path in removed or damage.path.is_dir()
            if again or not remove_to_make_again(run, damage.path):
                raise
            removed.add(damage.path)
            progress.say(f"{damage.path}: {damage.what}; removed, and made again")


def remove_to_make_again(run: RunDirectory, path: Path) -> bool:
    """Remove a damaged file, and what is worth nothing without it; False where nothing makes it again."""
    if is_of_a_store(path):
        remove_shard(path)
        return True
    try:
        place = path.relative_to(run.path).parts
    except ValueError:
        return False
    if place[0] == "earlier":
        run.clear(run.earlier)
    elif place[0] in ("candidates", "positives") and path.name != PLAN:
        _remove_part(run, path.name.split(".")[0])
    elif place[0] in ("candidates", "guard", "rescoring", "trial") or path.stem in COLLECTION_TABLES:
        remove(path)
    elif place[0] == "selections" and len(place) > 2:
        remove(run.path / place[0] / place[1])
    else:
        return False
    return True


def _remove_part(run: RunDirectory, name: str) -> None:
    """All of a part of the candidates."""
    for folder in (run.candidates, run.positives):
        remove(folder / f"{name}.parquet")
    remove(run.candidates / f"{name}.reserve.npz")


# -- the vector store -------------------------------------------------------------------------------------


def is_of_a_store(path: Path) -> bool:
    """Whether the file is a shard or a key table, beside the fingerprint of their encoder."""
    return path.name.endswith((".npy", KEYS_SUFFIX)) and (path.parent / FINGERPRINT).exists()


def remove_shard(path: Path) -> None:
    """The shard that the file is of, with its keys."""
    stem = path.name.removesuffix(KEYS_SUFFIX).removesuffix(".npy")
    if not names_its_folder(path.parent / FINGERPRINT):
        raise HardnegError(f"{path.parent}: is no part of a vector store")
    Space(path.parent).discard(stem)
