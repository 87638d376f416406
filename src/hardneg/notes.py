"""What opening a model came to, remembered in the cache folder, so that asking again loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardneg.errors import HardnegError, StorageError
from hardneg.files import read_sealed_json, write_sealed_json
from hardneg.fingerprints import digest


@dataclass(frozen=True)
class Notes:
    """Of one model with some settings, a small file for each thing."""

    folder: Path
    key: str

    @classmethod
    def about(cls, cache: Path, what: Mapping[str, Any]) -> Notes:
        """what  all that decides what is remembered: the model's content, settings, machine, versions"""
        return cls(cache / "backends", digest(what))

    def read(self, what: str) -> Mapping[str, Any] | None:
        """None where nothing is remembered, or what is is damaged."""
        path = self._path(what)
        try:
            return read_sealed_json(path) if path.exists() else None
        except (OSError, HardnegError):
            return None

    def write(self, what: str, values: Mapping[str, Any]) -> None:
        """Where the cache folder cannot be written, nothing is remembered."""
        try:
            write_sealed_json(values, self._path(what))
        except StorageError:
            return

    def forget(self, what: str) -> None:
        self._path(what).unlink(missing_ok=True)

    def _path(self, what: str) -> Path:
        return self.folder / f"{self.key}.{what}.json"
