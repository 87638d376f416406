"""read: any source → corpus, queries, qrels and given negatives, with what was read said in plain words."""

from hardneg.read.fingerprint import fingerprint
from hardneg.read.labels import given_pairs, is_positive, partly_relevant, positives, rows_of
from hardneg.read.load import load
from hardneg.read.relevance import RelevanceLabels, read_relevance

__all__ = [
    "RelevanceLabels",
    "fingerprint",
    "given_pairs",
    "is_positive",
    "load",
    "partly_relevant",
    "positives",
    "read_relevance",
    "rows_of",
]
