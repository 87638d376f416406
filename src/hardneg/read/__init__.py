"""read: any source → corpus, queries, qrels and given negatives, with what was read said in plain words."""

from hardneg.read.fingerprint import fingerprint
from hardneg.read.labels import given_pairs, partly_relevant, positives
from hardneg.read.load import load

__all__ = ["fingerprint", "given_pairs", "load", "partly_relevant", "positives"]
