"""What a checkup found: each fault with its place, what it means, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hardneg.files import remove
from hardneg.refusals import plainly

What = Literal["damaged", "gone", "leftover", "orphan", "contradiction", "not finite", "unreadable"]


@dataclass(frozen=True)
class Finding:
    """A fault.

    where   the file or folder
    said    what is wrong with it
    remedy  what to do, for people
    mend    does what of that can be done without them, and says what it did; None where nothing can
    """

    what: What
    where: Path
    said: str
    remedy: str
    mend: Callable[[], str] | None = None


@dataclass
class Checkup:
    """Of a run or a cache: the files that were looked at, and the faults.

    done  what was done about a finding, by its place among them
    """

    path: Path
    files: int = 0
    size: int = 0
    findings: list[Finding] = field(default_factory=list)
    done: dict[int, str] = field(default_factory=dict)

    def saw(self, path: Path) -> None:
        """A file, which may be gone by now: others may be at work in a cache."""
        with suppress(FileNotFoundError):
            self.size += path.stat().st_size
            self.files += 1

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)

    @property
    def left(self) -> int:
        """Faults that nothing was done about."""
        return len(self.findings) - len(self.done)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "path": str(self.path),
            "files": self.files,
            "bytes": self.size,
            "healthy": self.left == 0,
            "findings": [
                {
                    "what": one.what,
                    "where": str(one.where),
                    "said": one.said,
                    "remedy": one.remedy,
                    "can_be_repaired": one.mend is not None,
                    "done": self.done.get(place),
                }
                for place, one in enumerate(self.findings)
            ],
        }


def removed(path: Path) -> str:
    """Remove a file or folder, and say so: what mends most findings."""
    remove(path)
    return "removed"


def repair(checkup: Checkup) -> None:
    """Mend what can be mended. Raises StorageError where a file may not be removed."""
    for place, finding in enumerate(checkup.findings):
        if finding.mend is not None:
            with plainly(finding.where):
                checkup.done[place] = finding.mend()
