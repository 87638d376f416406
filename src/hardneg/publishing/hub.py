"""A folder → the Hub, in one commit: all of it or nothing. The token is the environment's or the login's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardneg.errors import DamagedError, HardnegError, StorageError, UsageError

CARD = "README.md"
_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Published:
    """A data set of the Hub as it was found, or is now.

    head      its newest commit; None where it is not there yet
    card      the text of its README.md, if it has one
    """

    repo_id: str
    url: str
    private: bool
    head: str | None = None
    card: str | None = None


def check_name(repo_id: str) -> None:
    """Raises UsageError for a name that no data set can have."""
    if not _REPO_ID.fullmatch(repo_id):
        raise UsageError(f"{repo_id!r} names no data set of the Hub; write OWNER/NAME")


def check_hub(repo_id: str, *, private: bool) -> Published:
    """What is there of that name. Asks the Hub; writes nothing.

    Raises UsageError for a name that cannot be, without a token, or for a public data set where `private` is
    asked for: what is sent there, everybody sees.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    check_name(repo_id)
    if get_token() is None:
        raise UsageError("no token for the Hub; run `hf auth login`, or set HF_TOKEN")
    api = HfApi()
    url = f"{api.endpoint}/datasets/{repo_id}"
    with _told_plainly(repo_id):
        try:
            info = api.dataset_info(repo_id)
        except RepositoryNotFoundError:
            return Published(repo_id, url, private)
        if private and not info.private:
            raise UsageError(
                f"{repo_id} is there and public: everybody would see what is sent; add --public, or name "
                "another"
            )
        try:
            there = api.hf_hub_download(repo_id, CARD, repo_type="dataset", revision=info.sha)
            card = Path(there).read_text("utf-8")
        except LocalEntryNotFoundError:  # the network failed: nobody knows whether there is one
            raise
        except EntryNotFoundError:
            card = None
    return Published(repo_id, url, bool(info.private), info.sha, card)


def send_folder(folder: Path, found: Published, message: str) -> Published:
    """Send all files of the folder in one commit, and look whether they are there; touch nothing else."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    with _told_plainly(found.repo_id):
        if found.head is None:
            api.create_repo(found.repo_id, repo_type="dataset", private=found.private)
        done = api.create_commit(
            found.repo_id,
            [CommitOperationAdd(name, str(path)) for name, path in zip(names, paths, strict=True)],
            commit_message=message,
            repo_type="dataset",
            parent_commit=found.head,
        )
        arrived = api.get_paths_info(found.repo_id, names, repo_type="dataset", revision=done.oid)
    sizes = {one.path: one.size for one in arrived if hasattr(one, "size")}
    for name, path in zip(names, paths, strict=True):
        if sizes.get(name) != path.stat().st_size:
            raise DamagedError(f"{found.url}/{name}", "did not arrive whole", "send it again")
    return Published(found.repo_id, found.url, found.private, done.oid)


@contextmanager
def _told_plainly(repo_id: str) -> Iterator[None]:
    """Whatever the Hub or the network refuses, in a line."""
    try:
        yield
    except HardnegError:
        raise
    except Exception as error:  # of huggingface_hub, its HTTP library, and the file system
        raise _refusal(repo_id, error) from error


def _refusal(repo_id: str, error: Any) -> HardnegError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return StorageError(
            f"{repo_id}: the Hub does not let this token write there ({status}); run `hf auth login` with "
            "one that may, or name a data set of your own"
        )
    text = " ".join(str(error).split()) or type(error).__name__
    return StorageError(f"{repo_id}: the Hub cannot take it ({text[:300]})")
