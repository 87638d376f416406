"""Positive-unlabelled training rows: each known positive in turn left out of its query's positives.

In an episode the held-out positive is a candidate like any other, labelled 1; the candidates without a label
count as 0, though some of them are positives too. Features compare with the positives that are left, in both,
so that they mean the same (Elkan & Noto 2008 call the setting case-control).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from hardneg.records import NO_DOC, Block, Bool, Float32, Float64, Int64

MOST_EPISODES = 6
"""A query, at most."""
UNLABELLED = 60
"""Rows without a label that are kept of an episode; each counts for those that are not."""


@dataclass(frozen=True)
class Rows:
    """Training rows of many episodes.

    values   float32 (rows, columns)
    label    float64 (rows,): 1 for the held-out positive
    share    float64 (rows,): how many candidates of the run the row stands for
    query    int64 (rows,): the query's row
    """

    values: Float32
    label: Float64
    share: Float64
    query: Int64

    def of(self, keep: Bool) -> Rows:
        return Rows(self.values[keep], self.label[keep], self.share[keep], self.query[keep])

    @classmethod
    def joined(cls, parts: Iterable[Rows]) -> Rows:
        found = list(parts)
        return cls(
            *(np.concatenate([getattr(part, name) for part in found]) for name in cls.__dataclass_fields__)
        )


def known_places(block: Block) -> Bool:
    """bool (queries, width): where a known positive of the query stands among its candidates."""
    out = np.zeros(block.doc.shape, np.bool_)
    for place in range(block.positive.shape[1]):
        out |= block.doc == block.positive[:, place : place + 1]
    out &= block.doc != NO_DOC
    return out


def episodes(block: Block, candidate: Bool, per_query: int) -> tuple[Block, Bool, Float64]:
    """(block, held, share): a row an episode; where its held-out positive stands; how many of the query's
    known positives among its candidates each episode stands for.

    A query none of whose positives is among its candidates has an episode that holds none: what is hidden
    there counts too where hidden positives are set against known ones.

    candidate  bool (queries, width): candidates that are asked about
    """
    several = (block.positive != NO_DOC).sum(axis=1) >= 2
    known = known_places(block) & several[:, None]
    draw = _mixed(block.query.astype(np.int64)[:, None] << 32 | np.maximum(block.doc, 0).astype(np.int64))
    order = np.argsort(np.where(known, draw, np.uint64(2**64 - 1)), axis=1, kind="stable")[:, :per_query]
    chosen = np.take_along_axis(known, order, axis=1)
    chosen[several & ~chosen.any(axis=1), :1] = True
    row, number = np.nonzero(chosen)
    place = order[row, number]
    held = np.zeros((len(row), block.doc.shape[1]), np.bool_)
    held[np.arange(len(row)), place] = known[row, place]
    part = block.rows(row)
    doc = np.where(candidate[row] | held, part.doc, np.int32(NO_DOC))
    out = np.where(known[row, place], block.doc[row, place], block.positive[row, 0])
    kept = part.positive != out[:, None]
    positive = np.where(kept, part.positive, np.int32(NO_DOC))
    share = known.sum(axis=1)[row] / np.maximum(chosen.sum(axis=1)[row], 1)
    return replace(part, doc=doc, positive=positive), held, share


def training_rows(
    block: Block, candidate: Bool, per_query: int, features: Callable[[Block], Float32]
) -> Rows:
    """Features and labels of the block's episodes."""
    part, held, share = episodes(block, candidate, per_query)
    if not len(part.query):
        width = features(part).shape[2]
        nothing = np.zeros(0)
        return Rows(np.zeros((0, width), np.float32), nothing, nothing, np.zeros(0, np.int64))
    values = features(part)
    present = (part.doc != NO_DOC) & ~held
    number = (part.query.astype(np.int64) << 32) + (held.argmax(axis=1).astype(np.int64) << 16)
    draw = _mixed(number[:, None] * 31 + part.doc.astype(np.int64))
    order = np.argsort(np.where(present, draw, np.uint64(2**64 - 1)), axis=1, kind="stable")[:, :UNLABELLED]
    kept = np.zeros(present.shape, np.bool_)
    np.put_along_axis(kept, order, True, axis=1)
    kept &= present
    episodes_of = np.bincount(part.query, minlength=int(part.query.max()) + 1)[part.query]
    stands_for = present.sum(axis=1) / np.maximum(kept.sum(axis=1), 1) / episodes_of
    row, place = np.nonzero(kept | held)
    label = held[row, place].astype(np.float64)
    weight = np.where(label > 0, share[row], stands_for[row])
    return Rows(values[row, place], label, weight, part.query[row].astype(np.int64))


def _mixed(numbers: Int64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """A well-mixed uint64 of each (the finaliser of MurmurHash3)."""
    mixed = numbers.astype(np.uint64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(factor)
    return mixed ^ mixed >> np.uint64(33)
