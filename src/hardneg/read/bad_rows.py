"""What happens to a row that cannot be used: the reading stops there, or goes on and lists it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from hardneg.errors import InputError, within
from hardneg.files import write_whole

HINT = "; mend the row, or leave such rows out with --on-bad-row skip"
MEND = "; mend the row"
"""Where no row can be left out: others go by its id, or the command has no flag for it."""


class RowError(Exception):
    """A row cannot be used, and why; turned into an InputError or an entry of the list by `BadRows`."""

    def __init__(self, reason: str, column: str | None = None, row_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.column, self.row_id = reason, column, row_id


class BadRows:
    """Collects refused rows, or raises InputError at the first where the policy is `fail`.

    Files have numbers, so that a table's rows can say cheaply where they stood.
    """

    def __init__(self, policy: Literal["fail", "skip"] = "fail", hint: str = HINT) -> None:
        self._policy, self._hint = policy, hint
        self._files: list[str] = []
        self._places: dict[tuple[str, int], None] = {}
        self.refused: list[dict[str, Any]] = []

    def number_of(self, file: str) -> int:
        """The number of a file, a new one where it was not met before."""
        if file not in self._files:
            self._files.append(file)
        return self._files.index(file)

    def refuse(self, row: RowError, file: str, line: int) -> None:
        """Count the row once, whatever the number of reasons. Raises InputError under the policy `fail`."""
        if self._policy == "fail":
            raise InputError(
                row.reason + self._hint, file=file, line=line, column=row.column, row_id=row.row_id
            )
        if (file, line) not in self._places:
            self._places[file, line] = None
            reason = row.reason if row.row_id is None else f"id {row.row_id!r}: {row.reason}"
            reason = reason if row.column is None else f"column {row.column!r}: {reason}"
            self.refused.append({"file": file, "line": line, "reason": within(reason)})

    def refuse_numbered(self, row: RowError, file_number: int, line: int) -> None:
        self.refuse(row, self._files[file_number], line)

    def forget(self, file: str) -> None:
        """Take back what was refused of a file that is to be read again."""
        self._places = {place: None for place in self._places if place[0] != file}
        self.refused = [row for row in self.refused if row["file"] != file]

    def rename(self, shown: Callable[[str], str]) -> None:
        """Call the files in the list by other names."""
        for row in self.refused:
            row.update(file=shown(row["file"]), reason=shown(row["reason"]))

    def write(self, path: Path) -> None:
        """One JSON object a refused row; where there is none, an older list is removed."""
        if not self.refused:
            path.unlink(missing_ok=True)
            return
        lines = (json.dumps(row, allow_nan=False) + "\n" for row in self.refused)
        write_whole("".join(lines).encode(), path)
