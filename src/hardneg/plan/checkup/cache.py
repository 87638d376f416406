"""The cache: vectors and their keys, encoder by encoder, and what is remembered of models."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np

from hardneg.encode import FINGERPRINT, KEYS_SUFFIX, Space, names_its_folder
from hardneg.encode.cache_listing import left_behind, refuse_no_cache
from hardneg.encode.in_use import using
from hardneg.errors import DamagedError
from hardneg.files import TEMPORARY
from hardneg.locks import Lock
from hardneg.model_files import CACHE_FILE
from hardneg.plan.checkup.findings import Checkup, Finding, What, removed
from hardneg.plan.checkup.stored import fault_of
from hardneg.plan.mending import remove_shard

_YOUNG_S = 600
"""A file that is younger may be being written."""
_AGAIN = "only its texts are encoded anew, by the next run that needs them"


def check_cache(root: Path) -> Checkup:
    """Read all of a cache. Raises InputError where there is none."""
    refuse_no_cache(root)
    checkup = Checkup(root)
    for path in sorted([*left_behind(root), *root.glob(f"vectors/[!.]*/{TEMPORARY}*")]):
        if _old(path):
            said = "a run that was killed has left it"
            checkup.add(Finding("leftover", path, said, "remove it", partial(removed, path)))
    for folder in sorted(path for path in (root / "vectors").glob("[!.]*") if path.is_dir()):
        use = using(folder, noted=False)  # from here on nobody removes it
        if folder.is_dir():
            _check_space(folder, use, checkup)
    notes = [*(root / "backends").glob("[!.]*.json"), *root.glob(CACHE_FILE)]
    for path in sorted(notes):
        checkup.saw(path)
        fault = fault_of(path)
        if fault is not None and path.exists():
            remedy = "remove it: it is worked out again"
            checkup.add(Finding(fault[0], path, fault[1], remedy, partial(removed, path)))
    return checkup


def _check_space(folder: Path, use: Lock | None, checkup: Checkup) -> None:
    """One encoder's vectors, which runs may be adding to."""
    about = folder / FINGERPRINT
    if not _appears(about) or not names_its_folder(about):
        remedy = "run `hardneg mine` with that model again, which writes it; or remove the folder"
        what: What = "damaged" if about.exists() else "gone"
        checkup.add(Finding(what, about, "does not say what its folder is named by", remedy))
        return
    checkup.saw(about)
    space = Space(folder, use)
    for path in sorted(folder.glob("[!.]*.plan.parquet")):
        fault = fault_of(path)
        if not path.exists():
            continue  # what it planned has been encoded meanwhile
        checkup.saw(path)
        if fault is not None:
            remedy = "remove it: a new plan is made"
            checkup.add(Finding(fault[0], path, fault[1], remedy, partial(removed, path)))
    keys = sorted(folder.glob(f"[!.]*{KEYS_SUFFIX}"))
    for path in keys:
        _check_shard(space, path, checkup)
    stems = {path.name.removesuffix(KEYS_SUFFIX) for path in keys}
    for path in sorted(folder.glob("[!.]*.npy")):
        if path.stem not in stems and _old(path):
            said = "has no key table: nothing says whose vectors these are"
            checkup.add(Finding("orphan", path, said, f"remove it: {_AGAIN}", partial(removed, path)))


def _check_shard(space: Space, keys: Path, checkup: Checkup) -> None:
    """A shard with its keys: read whole, and each row compared with its key."""
    stem = keys.name.removesuffix(KEYS_SUFFIX)
    shard = space.folder / f"{stem}.npy"
    checkup.saw(keys)
    if not shard.exists():
        _add_shard(checkup, "gone", shard, "its key table names it")
        return
    checkup.saw(shard)
    try:
        if not np.isfinite(space.shard(stem)).all():
            _add_shard(checkup, "not finite", shard, "holds NaN or infinity")
        space.check_rows(stem)
    except DamagedError as damage:
        _add_shard(checkup, "damaged", damage.path, damage.what)


def _add_shard(checkup: Checkup, what: What, path: Path, said: str) -> None:
    def mend() -> str:
        remove_shard(path)
        return f"removed; {_AGAIN}"

    checkup.add(Finding(what, path, said, f"remove it with its keys: {_AGAIN}", mend))


def _appears(path: Path) -> bool:
    """Whether it is there, or comes while its folder is being made."""
    for _ in range(10):
        if path.exists():
            return True
        time.sleep(0.05)
    return False


def _old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _YOUNG_S
    except OSError:
        return False
