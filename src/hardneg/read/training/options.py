"""What the reader of a training file is told beside the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hardneg.read.bad_rows import BadRows


@dataclass(frozen=True)
class ReadOptions:
    """bad            where rows go that cannot be read
    corpus, queries  texts by id, for formats that hold ids alone
    min_relevance    labels and scores from it on are positives, in formats that say it by a number
    """

    bad: BadRows = field(default_factory=BadRows)
    corpus: Path | None = None
    queries: Path | None = None
    min_relevance: float | None = None
