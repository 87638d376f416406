"""Which column of a row with texts is what: query, positives, negatives, ids and scores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """Names of a row's columns; None where it has no such column."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    query_id: str | None = None
    positive_id: str | None = None
    negative_id: str | None = None
    relevance: str | None = None
    positive_scores: str | None = None
    negative_scores: str | None = None
    prompt: str | None = None
    group: str | None = None
    lang: str | None = None
    further: tuple[tuple[str, str], ...] = ()

    def shown(self) -> str:
        """`query ← question, positive ← answer`: for people."""
        pairs = [("query", self.query), ("positive", self.positive)]
        pairs += [("negative", name) for name in self.negatives]
        pairs += [
            (role, name)
            for role in ("query_id", "positive_id", "negative_id", "relevance", "prompt", "group", "lang")
            if (name := getattr(self, role)) is not None
        ]
        text = ", ".join(f"{role} ← {name}" for role, name in pairs[:12])
        return f"{text}, ..." if len(pairs) > 12 else text
