"""FlagEmbedding's schema: `query`, `pos`, `neg`, and what may stand beside them.

`pos` and `neg` are lists of texts, or one text; `pos_scores` and `neg_scores` are aligned with them, and so
are the ids, `pos_id` and `neg_id`. `id` or `query_id` names the query, `prompt` goes before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hardneg.read.columns import PAIR_NEGATIVE_ID, PAIR_POSITIVE_ID, PAIR_QUERY_ID, find
from hardneg.read.documents import further_columns
from hardneg.read.parsed import QUERIES
from hardneg.read.roles import Roles


def is_flagembedding(columns: Sequence[str]) -> bool:
    return "query" in columns and "pos" in columns


def flagembedding_roles(columns: Sequence[str]) -> Roles:
    """Which column is what in a row of this schema."""

    def there(name: str) -> str | None:
        return name if name in columns else None

    negatives = ("neg",) if "neg" in columns else ()
    optional = {
        "query_id": find(columns, (*PAIR_QUERY_ID, "id", "_id")),
        "positive_id": find(columns, PAIR_POSITIVE_ID),
        "negative_id": find(columns, PAIR_NEGATIVE_ID) if negatives else None,
        "positive_scores": there("pos_scores"),
        "negative_scores": there("neg_scores") if negatives else None,
        "prompt": there("prompt"),
        "group": there("group"),
        "lang": there("lang"),
    }
    taken = ("query", "pos", *negatives, *optional.values())
    further = further_columns(columns, taken, QUERIES.names)
    return Roles(query="query", positive="pos", negatives=negatives, further=further, **optional)
