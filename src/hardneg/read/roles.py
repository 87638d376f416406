"""Which column of a row with texts is what: query, positives, negatives, ids and scores.

Columns are known by the names that settings give, else by well-known names. FlagEmbedding's schema (`query`,
`pos`, `neg`, `pos_scores`, `neg_scores`, `prompt`) is known as a whole: its `pos` needs no guess, whatever
stands beside it, and its `id` is the query's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hardneg.config import ReadConfig
from hardneg.read.columns import (
    NEGATIVE_SCORES,
    PAIR_NEGATIVE,
    PAIR_NEGATIVE_ID,
    PAIR_POSITIVE,
    PAIR_POSITIVE_ID,
    PAIR_QUERY,
    PAIR_QUERY_ID,
    PAIR_RELEVANCE,
    POSITIVE_SCORES,
    find,
    given,
    required,
)
from hardneg.read.documents import further_columns
from hardneg.read.parsed import QUERIES


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


def find_roles(columns: Sequence[str], config: ReadConfig) -> Roles:
    """Raises RowError for a column that is missing or misspelt, or where several could be meant."""
    by_setting = config.query_column or config.positive_column or config.negative_column
    schema = not by_setting and "query" in columns and "pos" in columns
    query = _column(columns, config.query_column, PAIR_QUERY, "query", "--query-column")
    rest = [column for column in columns if column != query]
    names = ("pos",) if schema else PAIR_POSITIVE
    positive = _column(rest, config.positive_column, names, "positive", "--positive-column")
    negatives = _negatives([column for column in rest if column != positive], config.negative_column)
    rest = [column for column in rest if column != positive and column not in negatives]
    # A lone column of negatives may have ids and scores beside it; of several, whose they are is unknown.
    lone = rest if len(negatives) == 1 else ()
    optional = {
        "query_id": find(rest, (*PAIR_QUERY_ID, "id", "_id") if schema else PAIR_QUERY_ID),
        "positive_id": find(rest, PAIR_POSITIVE_ID),
        "negative_id": find(lone, PAIR_NEGATIVE_ID),
        "relevance": None if schema else find(rest, PAIR_RELEVANCE),
        "positive_scores": find(rest, POSITIVE_SCORES),
        "negative_scores": find(lone, NEGATIVE_SCORES),
        "prompt": find(rest, ("prompt",)),
        "group": find(rest, ("group",)),
        "lang": find(rest, ("lang",)),
    }
    further = further_columns(rest, optional.values(), QUERIES.names)
    return Roles(query=query, positive=positive, negatives=negatives, further=further, **optional)


def _column(columns: Sequence[str], named: str | None, names: Sequence[str], what: str, flag: str) -> str:
    if named is not None:
        return given(columns, named)
    return required(columns, names, what, f"name it with {flag}")


def _negatives(columns: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    """Those named, else those of well-known names, by their numbers and then their names."""
    if named:
        return tuple(given(columns, name) for name in named)
    found = [(match, name) for name in columns if (match := PAIR_NEGATIVE.fullmatch(name.lower()))]
    return tuple(name for _, name in sorted(found, key=lambda pair: (int(pair[0][1] or 0), pair[1])))
