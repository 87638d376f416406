"""Backfill: random documents of the whole corpus for queries that got too few negatives.

Never one that the guard excludes (a positive, the query's own text, ...), one that stands among the query's
candidates (a rule of selection rejected it), a document chosen already, or a twin of one. Where a corpus has
no more that will do, fewer come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hardneg.records import NO_DOC, Block, Bool, Int32
from hardneg.select.anchors import Rows, take_rows
from hardneg.select.draws import UInt64, uniforms
from hardneg.select.duplicates import Twins
from hardneg.select.order_keys import first

Exclude = Callable[[Block], Bool]

SMALL_CORPUS = 256
"""Corpora up to this size are gone through whole, in a random order."""
_ROUNDS = (16, 48, 1024, 16384)
"""Of larger ones so many are drawn at a time for the queries that still lack some, while that is less than
all; after that all are gone through, which only a corpus of which next to nothing is allowed will need."""
_PLACES = 1 << 20  # proposals looked at together


@dataclass(frozen=True)
class Backfill:
    """exclude  the guard's rules on any block: bool like `block.doc`, true where it may not be chosen"""

    twins: Twins
    exclude: Exclude

    def fill(
        self, block: Block, keys: UInt64, need: Int32, taken: Int32, free: Exclude | None = None
    ) -> Int32:
        """Documents for each row of the block: int32 (rows, most needed), NO_DOC where there are no more.

        block  the queries with their candidates and positives
        keys   uint64 (rows,), of each query's own stream of draws
        need   int32  (rows,), how many are wanted; no more are needed than the corpus holds
        taken  int32  (rows, any), chosen already
        free   further says where a document is allowed (max_reuse)
        """
        need = np.minimum(need, self.twins.num_docs)  # more would be room for nothing
        found = np.full((len(need), int(need.max(initial=0))), NO_DOC, np.int32)
        drawn = 0
        for width in self._widths():
            self._round(block, keys, need, taken, found, free, width, drawn)
            drawn += width
        self._round(block, keys, need, taken, found, free, 0, drawn)
        return found

    def _widths(self) -> list[int]:
        documents = self.twins.num_docs
        return [] if documents <= SMALL_CORPUS else [width for width in _ROUNDS if width < documents]

    def _round(
        self,
        block: Block,
        keys: UInt64,
        need: Int32,
        taken: Int32,
        found: Int32,
        free: Exclude | None,
        width: int,
        start: int,
    ) -> None:
        """Propose `width` documents (0: all) to rows that lack some; what will do goes into `found`."""
        lacking = np.flatnonzero(np.count_nonzero(found != NO_DOC, axis=1) < need)
        step = max(1, _PLACES // (width or max(1, self.twins.num_docs)))
        for begin in range(0, len(lacking), step):
            rows = lacking[begin : begin + step]
            proposed = self._propose(keys[rows], width, start)
            part = _asking(block, rows, proposed)
            fits = ~self.exclude(part)
            if free is not None:
                fits &= free(part)
            _append(found, rows, need, proposed, self._usable(block, rows, taken, found, proposed, fits))

    def _propose(self, keys: UInt64, width: int, start: int) -> Int32:
        """int32 (rows, width or all documents)."""
        if width:
            return (uniforms(keys, width, start) * self.twins.num_docs).astype(np.int32)
        return np.argsort(uniforms(keys, self.twins.num_docs, start), axis=1, kind="stable").astype(np.int32)

    def _usable(
        self, block: Block, rows: Rows, taken: Int32, found: Int32, proposed: Int32, fits: Bool
    ) -> Bool:
        fits &= ~_row_contains(block.doc[rows], proposed)
        fits &= ~_row_contains(block.positive[rows], proposed)
        fits &= ~self.twins.among(proposed, np.hstack([taken[rows], found[rows]]))
        return fits & ~_repeated(self.twins.text(proposed), fits)


def _asking(block: Block, rows: Rows, doc: Int32) -> Block:
    """A block that asks the guard about these documents."""
    part = take_rows(block, rows)
    nothing = np.full(doc.shape, np.nan, np.float32)
    return Block(part.query, doc, {}, {}, part.positive, {}, nothing)


def _append(found: Int32, rows: Rows, need: Int32, proposed: Int32, usable: Bool) -> None:
    """Put the first usable proposals after what was found before, as many as are needed."""
    have = np.count_nonzero(found[rows] != NO_DOC, axis=1)
    places = first(usable, found.shape[1])
    place = np.arange(places.shape[1])[None, :]
    row, number = np.nonzero((places != NO_DOC) & (place + have[:, None] < need[rows][:, None]))
    found[np.asarray(rows)[row], have[row] + number] = proposed[row, places[row, number]]


def _row_contains(values: Int32, wanted: Int32) -> Bool:
    """Where a wanted value stands among the values of its row: bool like wanted."""
    found = np.zeros(wanted.shape, np.bool_)
    if wanted.shape[1] < values.shape[1]:
        for column in range(wanted.shape[1]):
            found[:, column] = (values == wanted[:, column : column + 1]).any(axis=1)
    else:
        for column in range(values.shape[1]):
            found |= wanted == values[:, column : column + 1]
    return found


def _repeated(text: np.typing.NDArray[np.int64], fits: Bool) -> Bool:
    """Where a usable proposal has the text of a usable one before it in its row."""
    row, place = np.nonzero(fits)
    again = np.zeros(text.shape, np.bool_)
    order = np.lexsort((place, text[row, place], row))
    ordered_row, ordered_text = row[order], text[row, place][order]
    same = (ordered_row[1:] == ordered_row[:-1]) & (ordered_text[1:] == ordered_text[:-1])
    later = order[1:][same]
    again[row[later], place[later]] = True
    return again
