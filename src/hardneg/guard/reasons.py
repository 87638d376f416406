"""Why a candidate may never be a negative: the reason codes of the hard exclusions, in their stated order.

A candidate that several rules exclude is counted under the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "positive": "It is a positive of the query.",
    "positive_text": "It has the text of a positive of the query under another id.",
    "query_text": "It has the query's own text.",
    "same_query_positive": "It is, or has the text of, a positive of another query with the same text.",
    "partly_relevant": "It is judged relevant to the query, but below the relevance that makes a positive.",
    "near_duplicate": "It is nearly the text of a positive of the query.",
    "group": "It belongs to the same group (document) as a positive of the query.",
    "excluded_document": "It is on the list of documents never to use.",
    "empty": "It has no text.",
    "too_short": "Its text is shorter than the shortest allowed.",
    "other_language": "It is in another language than the query.",
    "promoted": "It is so likely a positive that it was made one (--promote, --promote-precision).",
    "likely_positive": "It is too likely a positive that nobody labelled (--max-miss-rate, --max-p).",
}
