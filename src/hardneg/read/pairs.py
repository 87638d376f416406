"""Pairs and triplets: columns by the names that a setting gives, or by names that are well known."""

from __future__ import annotations

from collections.abc import Sequence

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
from hardneg.read.roles import Roles


def pair_roles(columns: Sequence[str], config: ReadConfig) -> Roles:
    """Raises RowError for a column that is missing or misspelt, or where several could be meant."""
    query = _column(columns, config.query_column, PAIR_QUERY, "query", "--query-column")
    rest = [column for column in columns if column != query]
    positive = _column(rest, config.positive_column, PAIR_POSITIVE, "positive", "--positive-column")
    negatives = _negatives([column for column in rest if column != positive], config.negative_column)
    rest = [column for column in rest if column != positive and column not in negatives]
    optional = {
        "query_id": find(rest, PAIR_QUERY_ID),
        "positive_id": find(rest, PAIR_POSITIVE_ID),
        "negative_id": find(rest, PAIR_NEGATIVE_ID) if len(negatives) == 1 else None,
        "relevance": find(rest, PAIR_RELEVANCE),
        "positive_scores": find(rest, POSITIVE_SCORES),
        "negative_scores": find(rest, NEGATIVE_SCORES) if len(negatives) == 1 else None,
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
