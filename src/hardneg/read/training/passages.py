"""Documents as objects with a text and, as the trainer has it, an id, a title and a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hardneg.read.bad_rows import RowError
from hardneg.read.rows import Row
from hardneg.read.training.groups import Side
from hardneg.read.training.values import number, optional_id, text
from hardneg.read.values import describe


def passages(row: Row, column: str) -> list[dict[str, Any]]:
    """The column's objects; none where the row has no such column. Raises RowError for anything else."""
    value = row.get(column)
    if value is None:
        return []
    several = list(value) if isinstance(value, list | tuple) else [value]
    for one in several:
        if not isinstance(one, dict):
            raise RowError(f"must hold objects, not {describe(one)}", column)
    return several


def side_of(found: Sequence[dict[str, Any]], column: str, ids: Sequence[str]) -> Side:
    """Texts with what stands beside them; `ids` are the keys that an id may have."""
    titles = [text(one.get("title") or "", column) for one in found]
    bodies = [text(one.get("text"), column) for one in found]
    keys = [next((one[key] for key in ids if one.get(key) is not None), None) for one in found]
    return Side(
        text=[joined(title, body) for title, body in zip(titles, bodies, strict=True)],
        doc_id=_if_any([optional_id(key, column) for key in keys]),
        score=_if_any([number(one.get("score"), column) for one in found]),
        title=titles if any(titles) else None,
    )


def joined(title: str, body: str) -> str:
    """Title and text, as they are encoded."""
    return f"{title} {body}" if title and body else title or body


def _if_any(values: list[Any]) -> list[Any] | None:
    return values if any(value is not None for value in values) else None
