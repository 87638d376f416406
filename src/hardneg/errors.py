"""The errors a user can meet, drawn here as a tree.

HardnegError                  exit code 1: a run that failed
├── UsageError                exit code 2: a flag, a configuration or a call that cannot be right
│   └── MissingExtraError     an optional part is not installed; names the extra to install
├── InputError                exit code 2: bad input, with file, line, id and column where known
├── StoreError                the vector store or the run directory is damaged or held by another process
│   └── DamagedError          a stored file is not as it was written; `path` names it
├── StorageError              a disk is full, or a file or folder may not be written or read
├── OutOfMemoryError          this machine's memory does not suffice
└── ModelError                a model could not be loaded, or returned what no model may return

Every message is one line, and none without end: what was wrong, where, and what to do about it. No credential
is in it, wherever it comes from.
"""

from __future__ import annotations

from pathlib import Path

from hardneg.credentials import hidden

__all__ = [
    "DamagedError",
    "HardnegError",
    "HardnegWarning",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "OutOfMemoryError",
    "StorageError",
    "StoreError",
    "UsageError",
]


_LONGEST_MESSAGE, _ITS_END = 1000, 300
_LONGEST_NAME = 120


def within(text: str, longest: int = _LONGEST_MESSAGE, end: int = _ITS_END) -> str:
    """The text, without its middle where it is too long: ids and names in it are the user's."""
    return text if len(text) <= longest else f"{text[: longest - end]} … {text[-end:]}"


class HardnegError(Exception):
    """Anything hardneg reports to its user; `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(within(hidden(message)))  # cut, half of a credential would not be known for one


class HardnegWarning(UserWarning):
    """Something the user should know that does not stop the run."""


class UsageError(HardnegError):
    """A flag, a configuration key or a call that cannot be right."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional dependency is needed; the message says which extra to install."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part: pip install 'hardneg[{extra}]'")


class InputError(HardnegError):
    """Bad input. Shown as `file, line N, column c, id i: what is wrong; what to do`."""

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        column: str | None = None,
        row_id: str | None = None,
    ) -> None:
        self.reason = message
        self.file = None if file is None else str(file)
        self.line = line
        self.column = column
        self.row_id = row_id
        where = [
            part
            for part in (
                self.file,
                f"line {line}" if line is not None else None,
                f"column {_name(column)}" if column is not None else None,
                f"id {_name(row_id)}" if row_id is not None else None,
            )
            if part
        ]
        super().__init__(f"{', '.join(where)}: {message}" if where else message)


def _name(text: str) -> str:
    return within(repr(text), _LONGEST_NAME, _LONGEST_NAME // 4)


class StoreError(HardnegError):
    """The vector store or a run directory is damaged, or held by another process."""


class DamagedError(StoreError):
    """A file that hardneg wrote is cut short, unreadable or not as it was written.

    path  the file
    what  is wrong with it, without the place and the remedy that the message adds
    """

    def __init__(self, path: str | Path, what: str, remedy: str = "") -> None:
        self.path, self.what = Path(path), what
        remedy = remedy or "remove it and run again (`hardneg doctor --repair` does the first)"
        super().__init__(f"{path}: {what}; {remedy}")


class StorageError(HardnegError):
    """A disk is full, or a file or folder may not be written or read."""


class OutOfMemoryError(HardnegError):
    """This machine's memory does not suffice."""


class ModelError(HardnegError):
    """A model could not be loaded, or returned what no model may return (NaN, a wrong shape)."""
