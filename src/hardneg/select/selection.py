"""What selection gives back for a block: the negatives, and what became of every candidate and query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.records import NO_DOC, Block, Bool, Float32, Int32, Int64
from hardneg.select.reasons import Codes

UInt8 = NDArray[np.uint8]
Int8 = NDArray[np.int8]

OUTCOMES = ("full", "short", "empty", "dropped", "invalid")
FULL, SHORT, EMPTY, DROPPED, INVALID = range(len(OUTCOMES))
POSITIVE_SOURCES = ("labelled", "judged", "promoted")
LABELLED, JUDGED, PROMOTED = range(len(POSITIVE_SOURCES))
SOURCES = ("given", "mined", "backfill")
GIVEN, MINED, BACKFILL = range(len(SOURCES))


@dataclass(frozen=True)
class Negatives:
    """The chosen, flat: by query, then positive (under `each`), then in the order of choice.

    query           int32 (negatives,): rows of the query table
    positive        int32: the corpus row of the positive chosen for, NO_DOC unless the reference is `each`
    doc             int32: rows of the corpus
    retriever       int8: index into `Selection.retrievers` of the one whose rank is shown, -1 where none
    found it rank            int32: raw rank, 0 where there is none
    score           float32, NaN where there is none: of `score_by`; without it, of the retriever shown
    positive_score  float32: the reference positive's on the same scale, NaN where there is none
    margin          float32: positive_score - score
    p_false_negative float32, NaN where no guard judged
    source          int8: index into SOURCES
    """

    query: Int32
    positive: Int32
    doc: Int32
    retriever: Int8
    rank: Int32
    score: Float32
    positive_score: Float32
    margin: Float32
    p_false_negative: Float32
    source: Int8


@dataclass(frozen=True)
class Positives:
    """The positives that stand with the negatives, flat, by query: those of queries with at least one
    negative.

    query  int32, doc  int32: rows
    score  float32, of `score_by`, without it of the first retriever; NaN where there is none
    chance float32, of promoted ones how likely they are positives; NaN: the user's own label
    source int8: index into POSITIVE_SOURCES
    """

    query: Int32
    doc: Int32
    score: Float32
    chance: Float32
    source: Int8

    def and_judged(self, judged: Int64) -> Positives:
        """With those of these pairs marked as judged; int64 (pairs,), query << 32 | document."""
        pairs = self.query.astype(np.int64) << 32 | self.doc
        return replace(self, source=np.where(np.isin(pairs, judged), JUDGED, self.source).astype(np.int8))

    def and_promoted(self, block: Block, promoted: Bool, score_by: str | None) -> Positives:
        """With these candidates of the block, for the queries that are there; after the user's own."""
        row, place = np.nonzero(promoted & np.isin(block.query, self.query)[:, None])
        name = score_by or next(iter(block.ranks))
        query = np.concatenate([self.query, block.query[row]])
        order = np.argsort(query, kind="stable")
        doc = np.concatenate([self.doc, block.doc[row, place]])
        score = np.concatenate([self.score, block.scores[name][row, place]])
        chance = np.concatenate([self.chance, block.p_false_negative[row, place]])
        source = np.concatenate([self.source, np.full(len(row), PROMOTED, np.int8)])
        return Positives(query[order], doc[order], score[order], chance[order], source[order])


@dataclass(frozen=True)
class Selection:
    """One block's selection.

    query             int32 (queries,): rows of the query table
    doc               int32 (queries, width + given): the candidates, and after them given negatives that are
                      no candidates; NO_DOC where there is nothing
    reason            uint8 like doc: index into `codes.names`; 0 where there is nothing
    p_false_negative  float32 like doc
    counts            int32 (queries, reasons): how many documents of each reason
    outcome           uint8 (queries,): index into OUTCOMES
    message           for each query, "" where there is nothing to say
    short             bool (queries,): got fewer than asked for, and a deeper search may help
    missing           int32 (queries,): how many negatives it lacks, over its positives under `each`; 0 for
    `all`
    """

    codes: Codes
    retrievers: tuple[str, ...]
    query: Int32
    doc: Int32
    reason: UInt8
    p_false_negative: Float32
    counts: Int32
    outcome: UInt8
    message: tuple[str, ...]
    short: Bool
    missing: Int32
    negatives: Negatives
    positives: Positives

    def without_decisions(self) -> Selection:
        """The same without what there is of every candidate: one place a query, and nothing there."""
        nothing = (len(self.query), 1)
        return replace(
            self,
            doc=np.full(nothing, NO_DOC, np.int32),
            reason=np.zeros(nothing, np.uint8),
            p_false_negative=np.full(nothing, np.nan, np.float32),
        )


def joined(parts: Sequence[Selection]) -> Selection:
    """Several blocks of one selection, one at least, as one block; all as wide as each other."""

    def whole(values: Iterable[Any]) -> Any:
        return np.concatenate(list(values))

    arrays = ("query", "doc", "reason", "p_false_negative", "counts", "outcome", "short", "missing")
    return replace(
        parts[0],
        **{name: whole(getattr(part, name) for part in parts) for name in arrays},
        message=tuple(chain.from_iterable(part.message for part in parts)),
        negatives=Negatives(
            *(whole(getattr(part.negatives, one.name) for part in parts) for one in fields(Negatives))
        ),
        positives=Positives(
            *(whole(getattr(part.positives, one.name) for part in parts) for one in fields(Positives))
        ),
    )
