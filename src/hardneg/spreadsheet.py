"""CSV is opened in spreadsheets, and a spreadsheet runs a cell that looks like a formula.

A text that begins like one gets a ' before it. Ids must come back, so theirs is put on so that it can be
taken off again: an id that itself begins with ' and looks like a formula after it gets one more.
"""

from __future__ import annotations

import re

FORMULA = r"^[=+\-@\t\r\n]"
"""What a spreadsheet may take for a formula."""
_RISKY_ID = re.compile(r"'*[=+\-@\t\r\n]")
_MARKED_ID = re.compile(r"'+[=+\-@\t\r\n]")


def marked_id(name: str) -> str:
    """The id as it stands in a CSV file that people open."""
    return f"'{name}" if _RISKY_ID.match(name) else name


def unmarked_id(name: str) -> str:
    """The id again: `unmarked_id(marked_id(name)) == name`."""
    return name[1:] if _MARKED_ID.match(name) else name
