"""Anchors: what negatives are chosen for: a query; under `each` a query and one of its positives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.records import NO_DOC, Block, Int32, Int64

ANCHORS_AT_ONCE = 1024
"""Anchors worked on together: at 200 candidates their arrays stay in the processor's cache."""

Rows = slice | Int64


@dataclass(frozen=True)
class Anchors:
    """row       int64 (anchors,): rows of the block, ascending, every row at least once
    positive  int32 (anchors,): the positive's place in the block's row, -1 for all of them together
    """

    row: Int64
    positive: Int32
    each: bool

    @classmethod
    def of(cls, block: Block, each: bool) -> Anchors:
        """Under `each` a query without positives is an anchor all the same."""
        rows = np.arange(len(block.query), dtype=np.int64)
        if not each:
            return cls(rows, np.full(len(rows), -1, np.int32), False)
        there = block.positive != NO_DOC
        row, place = np.nonzero(there)
        without = rows[~there.any(axis=1)]
        row = np.concatenate([row, without])
        place = np.concatenate([place, np.full(len(without), -1)])
        order = np.argsort(row, kind="stable")
        return cls(row[order], place[order].astype(np.int32), True)

    @cached_property
    def start(self) -> Int64:
        """int64 (queries,): the first anchor of each row."""
        return np.flatnonzero(np.diff(self.row, prepend=-1)).astype(np.int64)

    def parts(self) -> Iterator[tuple[slice, Rows]]:
        """Some anchors at a time: which of the anchors, and their rows of the block."""
        for begin in range(0, len(self.row), ANCHORS_AT_ONCE):
            part = slice(begin, min(begin + ANCHORS_AT_ONCE, len(self.row)))
            yield part, self.row[part] if self.each else part


def take_rows(block: Block, rows: Rows) -> Block:
    """These rows of a block; a slice copies nothing."""
    take: Callable[[NDArray[Any]], NDArray[Any]] = lambda values: values[rows]  # noqa: E731
    return Block(
        query=take(block.query),
        doc=take(block.doc),
        ranks={name: take(rank) for name, rank in block.ranks.items()},
        scores={name: take(score) for name, score in block.scores.items()},
        positive=take(block.positive),
        positive_scores={name: take(score) for name, score in block.positive_scores.items()},
        p_false_negative=take(block.p_false_negative),
    )


def only_positive(block: Block, place: Int32) -> Block:
    """The block with each row's one positive at `place`, none where that is -1."""
    index = np.maximum(place, 0)[:, None]

    def take(values: NDArray[Any], nothing: Any) -> NDArray[Any]:
        if not values.shape[1]:
            return np.full((len(place), 1), nothing, values.dtype)
        return np.where(place[:, None] < 0, nothing, np.take_along_axis(values, index, axis=1))

    return Block(
        query=block.query,
        doc=block.doc,
        ranks=block.ranks,
        scores=block.scores,
        positive=take(block.positive, np.int32(NO_DOC)),
        positive_scores={
            name: take(score, np.float32(np.nan)) for name, score in block.positive_scores.items()
        },
        p_false_negative=block.p_false_negative,
    )
