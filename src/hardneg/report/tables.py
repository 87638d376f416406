"""Tables for a terminal, a file and a test: the same text for all."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hardneg.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table

WIDEST = 10_000
DASH = "-"


def number_text(value: float | None, places: int = 4) -> str:
    return DASH if value is None or not math.isfinite(value) else f"{value:,.{places}f}"


def value_text(value: Any) -> str:
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{value_text(one)} {name}" for name, one in value.items())
    return DASH if value is None else str(value)


def cell(text: str) -> Any:
    """Text as it is: rich would read `[bold]` in a plain string as markup."""
    from rich.text import Text

    return Text(printable(text))


def new_table(*headers: str, header: bool = True) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD if header else None, show_header=header, pad_edge=False)
    for name in headers:
        table.add_column(cell(name), no_wrap=True)
    return table


def as_text(table: Table) -> str:
    """Without colours, as wide as it needs."""
    from rich.console import Console

    width = Console(width=WIDEST).measure(table).maximum
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
