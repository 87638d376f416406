"""What is written to an address: made and read back here, then sent whole, or not at all.

Object stores show an upload only once it is complete, so that what was there stays until then. What has
arrived is read again and compared.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hardneg.errors import DamagedError, UsageError
from hardneg.leftovers import scratch_folder
from hardneg.remote.addresses import name_of, scheme_of
from hardneg.remote.systems import bucket_of, open_system, told_plainly
from hardneg.seals import file_crc32

_AT_ONCE = 1 << 23


def check_target(address: str, *, folder: bool = False) -> None:
    """Raises UsageError or StorageError where nothing can be written to, before hours of work.

    folder  whether a folder is to lie there, not a file
    """
    system, path = open_system(address)
    bucket, no_file = bucket_of(address), address.endswith("/") and not folder
    if not name_of(address) or no_file or bucket == address.partition("://")[2].rstrip("/"):
        what = "folder" if folder else "file"
        raise UsageError(f"{address}: names no {what}; write {scheme_of(address)}://BUCKET/NAME")
    if folder:
        _refuse_taken(address)
    # Who may write need not be one who may look: such a one is told at the end.
    with told_plainly(address, system, writing=True), suppress(PermissionError):
        system.invalidate_cache()
        with suppress(FileNotFoundError):
            if system.info(path)["type"] == "directory":
                raise UsageError(f"{address} is a folder; name a file in it")
            return
        if scheme_of(address) != "memory":
            system.info(bucket)


@contextmanager
def sent(address: str) -> Iterator[Path]:
    """Give a name on this disk; what the block leaves there (a file, a folder) is sent when it ends well."""
    with scratch_folder() as scratch:
        local = scratch / name_of(address)
        yield local
        _send(local, address)


def _send(local: Path, address: str) -> None:
    if local.is_file():
        _send_file(local, address)
        return
    _refuse_taken(address)
    paths = sorted(path for path in local.rglob("*") if path.is_file())
    files = {"/".join([address.rstrip("/"), *path.relative_to(local).parts]): path for path in paths}
    if scheme_of(address) == "hf":
        _give(local, address)
        for there, path in files.items():
            _compare(path, there)
    else:
        _send_files(files)


def _refuse_taken(address: str) -> None:
    """Files of a folder come one after the other: nobody may take new ones and old ones for one whole."""
    system, path = open_system(address)
    with told_plainly(address, system, writing=True):
        system.invalidate_cache()
        if system.exists(path):
            raise UsageError(f"{address}: something is there, and folders are not replaced; name another")


def _send_files(files: Mapping[str, Path]) -> None:
    """All of them or none: those that are there go again, or half a folder would be taken for a whole one."""
    begun: list[str] = []
    try:
        for address, path in files.items():
            begun.append(address)
            _send_file(path, address)
    except Exception:
        for address in begun:
            system, there = open_system(address, own=True)
            with suppress(
                Exception
            ):  # the last may not be there; who may write may not be one who may remove
                system.rm_file(there)
        raise


def _send_file(local: Path, address: str) -> None:
    _give(local, address)
    _compare(local, address)


def _give(local: Path, address: str) -> None:
    system, path = open_system(address, own=True)
    with told_plainly(address, system, writing=True):
        (_commit if scheme_of(address) == "hf" else _upload)(system, local, path)


def _compare(local: Path, address: str) -> None:
    """Raises DamagedError where not that lies there which was given."""
    system, path = open_system(address, own=True)
    with told_plainly(address, system, writing=True):
        system.invalidate_cache()
        crc32 = 0
        with system.open(path, "rb") as there:
            while data := there.read(_AT_ONCE):
                crc32 = zlib.crc32(data, crc32)
    if crc32 != file_crc32(local):
        raise DamagedError(address, "read back, is not what was sent", "send it again")


def _upload(system: Any, local: Path, path: str) -> None:
    """Within a transaction an upload is completed when all of it is there, and given up on an error; fsspec's
    own `put` completes what is there."""
    with system.transaction, local.open("rb") as source, system.open(path, "wb") as there:
        shutil.copyfileobj(source, there, _AT_ONCE)


def _commit(system: Any, local: Path, path: str) -> None:
    """To a repository of the Hub, which knows no transactions but commits: a folder is one, too."""
    from huggingface_hub import HfApi

    where = system.resolve_path(path)
    place = {
        "path_in_repo": where.path_in_repo,
        "repo_id": where.repo_id,
        "repo_type": where.repo_type,
        "revision": where.revision,
        "commit_message": f"{where.path_in_repo}, by hardneg",
    }
    if local.is_dir():
        HfApi().upload_folder(folder_path=str(local), **place)
    else:
        HfApi().upload_file(path_or_fileobj=str(local), **place)
