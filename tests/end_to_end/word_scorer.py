"""A scorer and a retriever whose answers can be told by hand, for runs without a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hardneg.records import Float32, Int32, Ranking


class Shared:
    """A scorer: how many words two texts share, upper case apart; it keeps what it was asked."""

    name = "shared"

    def __init__(self, version: int = 1) -> None:
        self.asked: list[tuple[str, str]] = []
        self.version = version

    def fingerprint(self) -> dict[str, int]:
        return {"version": self.version}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        self.asked += pairs
        return np.array([shared(*pair) for pair in pairs], np.float32)


def shared(query: str, document: str) -> float:
    words = document.split()
    return len(set(query.split()) & set(words)) + 1 / (1 + len(words))


class Alphabetical:
    """A retriever: the first documents, whatever the query."""

    name = "alphabetical"
    fingerprint = "alphabetical-1"

    def search(self, query: Int32, depth: int, positives: Int32, progress: object) -> Ranking:
        doc = np.tile(np.arange(depth, dtype=np.int32), (len(query), 1))
        known = np.where(positives >= 0, -positives, np.nan).astype(np.float32)
        return Ranking(self.name, doc, -doc.astype(np.float32), known)
