"""CSV is opened in spreadsheets, and a spreadsheet runs a cell that looks like a formula.

A cell that begins like one gets a ' before it, put on so that it can be taken off again: one that itself
begins with ' and looks like a formula after it gets one more.
"""

from __future__ import annotations

import re

_PASSED_OVER = "\\x00-\\x20\\x7f\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
"""White space and what shows nothing: some programs cut it off before they look at a cell."""
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
"""= + - and @, also as wide and small forms, which become the plain ones."""
_BEGINNING = f"(?:[\\t\\r\\n]|[{_PASSED_OVER}]*[{_SIGNS}])"
FORMULA = f"^{_BEGINNING}"
"""What a spreadsheet may take for a formula, for Python's expressions and Arrow's."""
TO_MARK = f"^'*{_BEGINNING}"
"""The same, and what would be taken for a marked one."""
_TO_MARK, _MARKED = re.compile(TO_MARK), re.compile(f"'+{_BEGINNING}")


def marked_cell(cell: str) -> str:
    """The id or text as it stands in a CSV file that people open."""
    return f"'{cell}" if _TO_MARK.match(cell) else cell


def unmarked_cell(cell: str) -> str:
    """The id or text again: `unmarked_cell(marked_cell(cell)) == cell`."""
    return cell[1:] if _MARKED.match(cell) else cell
