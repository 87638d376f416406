"""The file system behind an address, and what it refuses in plain words. Keys come from the environment."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardneg.credentials import hidden
from hardneg.errors import HardnegError, InputError, StorageError, UsageError
from hardneg.refusals import refusal
from hardneg.remote.addresses import PACKAGES, scheme_of

_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "hf": "run `hf auth login`, or set HF_TOKEN",
}
_ALIKE = {"s3a": "s3", "gcs": "gs"}
_NO_CREDENTIALS = ("Credential", "TokenRetrieval", "UnauthorizedSSO", "TokenNotFound", "LoginRefresh")
"""In the names of errors that say there is no key at all."""
_WRONG_KEY = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
)
"""Codes of keys that are not, or no longer, any."""
_LONGEST = 200


def open_system(address: str, *, own: bool = False) -> tuple[Any, str]:
    """(the file system, the address as it takes it). Raises UsageError naming what to install.

    own  one that nobody else in this process has
    """
    import fsspec

    try:
        system, path = fsspec.url_to_fs(address, skip_instance_cache=own)
    except ImportError as error:
        package = PACKAGES[scheme_of(address)]
        raise UsageError(
            f"{address}: {scheme_of(address)}:// needs an optional part: pip install {package}"
        ) from error
    return system, path


@contextmanager
def told_plainly(address: str, system: Any = None, *, writing: bool = False) -> Iterator[None]:
    """Turn whatever the file system's libraries raise into a HardnegError with the address and a remedy."""
    try:
        yield
    except HardnegError:
        raise
    except Exception as error:  # of botocore, aiohttp, google, huggingface_hub, ...
        raise _refusal(address, error, system, writing) from error


def _refusal(address: str, error: Exception, system: Any, writing: bool) -> HardnegError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return refusal(error, Path(tempfile.gettempdir()) / "copy", "let TMPDIR name another folder")
    scheme = _ALIKE.get(scheme_of(address), scheme_of(address))
    remedy = _CREDENTIALS.get(scheme, "look at your credentials")
    chain = list(_chain(error))
    if any(word in type(one).__name__ for one in chain for word in _NO_CREDENTIALS):
        return StorageError(f"{address}: there are no credentials for it; {remedy}")
    if any(word in str(one) for one in chain for word in _WRONG_KEY):
        return StorageError(f"{address}: the credentials are not accepted; {remedy}")
    if isinstance(error, PermissionError):
        verb = "written" if writing else "read"
        return StorageError(f"{address}: may not be {verb} with these credentials; look at their rights")
    if isinstance(error, FileNotFoundError):
        bucket = bucket_of(address)
        lacking = system is not None and not _is_there(system, bucket)
        kind, else_ = ("repository", f", or if it is private {remedy}") if scheme == "hf" else ("bucket", "")
        named = f"there is no {kind} {bucket!r}" if lacking else "there is no such file or folder"
        return (UsageError if writing else InputError)(f"{address}: {named}; check the name{else_}")
    verb = "written" if writing else "read"
    return StorageError(f"{address}: cannot be {verb} ({_one_line(error)}); check the network and try again")


def bucket_of(address: str) -> str:
    """The bucket; of the Hub the repository, with its kind."""
    parts = address.partition("://")[2].split("/")
    several = 3 if parts[0] in ("datasets", "spaces", "buckets") else 2
    return "/".join(parts[:several]) if scheme_of(address) == "hf" else parts[0]


def _is_there(system: Any, bucket: str) -> bool:
    """Whether there is such a bucket, as far as may be known."""
    try:
        system.invalidate_cache()
        return bool(system.exists(bucket))
    except Exception:  # who may not look cannot say that it is missing
        return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _one_line(error: BaseException) -> str:
    text = hidden(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
