"""From who may be chosen to who is: given negatives first, then the sampler's order, quotas and backfill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardneg.records import NO_DOC, Block, Bool, Int32, Int64
from hardneg.select.anchors import take_rows
from hardneg.select.backfill import Backfill
from hardneg.select.draws import UInt64
from hardneg.select.duplicates import Twins
from hardneg.select.eligibility import Given, keep_first, mark_duplicates, mark_given
from hardneg.select.order_keys import first
from hardneg.select.quota import quotas_first
from hardneg.select.reasons import Codes
from hardneg.select.reuse import Reuse
from hardneg.select.selection import BACKFILL, GIVEN, MINED, Int8, UInt8

Order = Callable[[Bool, int], Int32]
"""(eligible, limit) → places in the sampler's order of preference, int32 (anchors, limit)."""


@dataclass(frozen=True)
class Chosen:
    """doc      int32 (anchors, most chosen): given, mined, backfill, each in its order; NO_DOC in between and
    after place    int32 like doc: the document's place among the candidates, NO_DOC where it is none
    source   int8  (most chosen,): of each column, one of GIVEN, MINED, BACKFILL
    got      int32 (anchors,): how many were chosen, also where they were dropped afterwards
    """

    doc: Int32
    place: Int32
    source: Int8
    got: Int32


@dataclass(frozen=True)
class Task:
    """Some anchors to choose for. `reason` and `given_reason` are written to, in place.

    backfill_keys  of some of the anchors, int64 (rows,): their streams of draws, uint64 (rows,)
    unscored       bool (anchors, width): candidates that pass only for want of a score; None: there are none
    """

    block: Block
    reason: UInt8
    given: Given
    given_reason: UInt8
    active: Bool
    order: Order
    backfill_keys: Callable[[Int64], UInt64]
    unscored: Bool | None = None


@dataclass(frozen=True)
class Chooser:
    """What is wanted; `wanted` None is `all`."""

    codes: Codes
    wanted: int | None
    quotas: Mapping[str, int]
    reuse: Reuse
    backfill: Backfill | None
    drop: bool
    twins: Twins

    def choose(self, task: Task) -> Chosen:
        """The chosen of each anchor, and in the task's reasons what became of all others."""
        codes, doc = self.codes, task.block.doc
        usable = (task.given.doc != NO_DOC) & (task.given_reason == 0) & task.active[:, None]
        np.putmask(task.given_reason, usable, codes.number("given"))
        mark_given(task.reason, doc, task.given, task.given_reason)
        kept = np.where(usable, task.given.doc, NO_DOC)
        mark_duplicates(task.reason, doc, kept, self.twins, codes, task.unscored)
        eligible = (task.reason == 0) & (doc != NO_DOC)
        width = doc.shape[1]
        everything = self.wanted is None or self.quotas or self.reuse.limit is not None
        places = task.order(eligible, width if everything else min(width, self.wanted or width))
        if self.reuse.limit is None:
            parts = self._all_at_once(task, usable, places)
        else:
            parts = self._in_turn(task, usable, places)
        chosen = self._joined(task.block, *parts)
        left = eligible & (task.reason == 0)
        np.putmask(task.reason, left, codes.number("not_sampled"))
        if task.unscored is not None:
            np.putmask(task.reason, left & task.unscored, codes.number("not_scored"))
        row, column = np.nonzero((chosen.place != NO_DOC) & (chosen.source == MINED))
        task.reason[row, chosen.place[row, column]] = codes.number("selected")
        if self.drop:
            chosen = self._without_short(task, chosen)
        if task.given.doc.shape[1]:
            mark_given(task.reason, doc, task.given, task.given_reason)
        return chosen

    def _all_at_once(self, task: Task, usable: Bool, places: Int32) -> tuple[Int32, Int32, Int32]:
        """Given documents, places of mined ones, backfill: int32 (anchors, any) each."""
        given = self._given(task, usable)
        places = self._mined(task.block, places, self._missing(given))
        need = np.where(task.active, self._missing(given, places), 0).astype(np.int32)
        return given, places, self._filled(task, given, places, need)

    def _in_turn(self, task: Task, usable: Bool, places: Int32) -> tuple[Int32, Int32, Int32]:
        """The same, anchor by anchor, since each may use up what later ones would take."""
        codes, rows = self.codes, len(places)
        if self.wanted is None:
            most = places.shape[1] + usable.shape[1]
        else:  # no more than there is of candidates, given negatives and documents to draw from
            most = min(self.wanted, max(places.shape[1], usable.shape[1], self.twins.num_docs))
        out = [np.full((rows, most), NO_DOC, np.int32) for _ in range(3)]
        for number in np.flatnonzero(task.active):
            here = slice(number, number + 1)
            one = _one(task, here)
            used_up = usable[here] & ~self.reuse.free(one.given.doc)
            np.putmask(one.given_reason, used_up, codes.number("max_reuse"))
            order = places[here, : np.count_nonzero(places[number] != NO_DOC)]
            free = self.reuse.free(one.block.doc[0, order])
            one.reason[0, order[~free]] = codes.number("max_reuse")
            parts = self._all_at_once(one, usable[here] & ~used_up, order[free][None, :])
            docs = np.concatenate([parts[0][0], one.block.doc[0, parts[1][parts[1] != NO_DOC]], parts[2][0]])
            docs = docs[docs != NO_DOC]
            if not (self.drop and len(docs) < (self.wanted or 0)):
                self.reuse.use(docs)
            for whole, part in zip(out, parts, strict=True):
                whole[number, : part.shape[1]] = part[0]
        return out[0], out[1], out[2]

    def _given(self, task: Task, usable: Bool) -> Int32:
        keep_first(task.given_reason, usable, self.wanted, self.codes)
        limit = usable.shape[1] if self.wanted is None else self.wanted
        return _at(task.given.doc, first(usable, limit))

    def _missing(self, *chosen: Int32) -> Int32:
        """How many each anchor still lacks; for `all` more than there are."""
        got = np.sum([np.count_nonzero(part != NO_DOC, axis=1) for part in chosen], axis=0)
        wanted = np.iinfo(np.int32).max if self.wanted is None else self.wanted
        missing: Int32 = np.maximum(wanted - got, 0).astype(np.int32)
        return missing

    def _mined(self, block: Block, places: Int32, need: Int32) -> Int32:
        if self.quotas:
            found = [block.ranks[name] > 0 for name in self.quotas]
            places = quotas_first(places, found, list(self.quotas.values()), need)
        places = places[:, : self.wanted]
        return np.where(np.arange(places.shape[1])[None, :] < need[:, None], places, np.int32(NO_DOC))

    def _filled(self, task: Task, given: Int32, places: Int32, need: Int32) -> Int32:
        rows = np.flatnonzero(need)
        if self.backfill is None or not len(rows):
            return np.full((len(need), 0), NO_DOC, np.int32)
        taken = np.hstack([given, _at(task.block.doc, places)])
        free = None if self.reuse.limit is None else lambda asked: self.reuse.free(asked.doc)
        found = self.backfill.fill(
            take_rows(task.block, rows), task.backfill_keys(rows), need[rows], taken[rows], free
        )
        filled = np.full((len(need), found.shape[1]), NO_DOC, np.int32)
        filled[rows] = found
        return filled

    def _joined(self, block: Block, given: Int32, places: Int32, filled: Int32) -> Chosen:
        doc = np.hstack([given, _at(block.doc, places), filled])
        place = np.hstack([_find(block.doc, given), places, np.full_like(filled, NO_DOC)])
        widths = (given.shape[1], places.shape[1], filled.shape[1])
        source = np.repeat(np.array([GIVEN, MINED, BACKFILL], np.int8), widths)
        return Chosen(doc, place, source, np.count_nonzero(doc != NO_DOC, axis=1).astype(np.int32))

    def _without_short(self, task: Task, chosen: Chosen) -> Chosen:
        """Take back what anchors got that did not get enough."""
        short = chosen.got < (1 if self.wanted is None else self.wanted)
        dropped = self.codes.number("dropped")
        for reason, name in ((task.reason, "selected"), (task.given_reason, "given")):
            np.putmask(reason, short[:, None] & (reason == self.codes.number(name)), dropped)
        doc, place = (np.where(short[:, None], NO_DOC, part) for part in (chosen.doc, chosen.place))
        return Chosen(doc.astype(np.int32), place.astype(np.int32), chosen.source, chosen.got)


def _one(task: Task, here: slice) -> Task:
    """The task of one anchor; its reasons are views into the whole."""
    return Task(
        block=take_rows(task.block, here),
        reason=task.reason[here],
        given=Given(task.given.doc[here], task.given.excluded[here]),
        given_reason=task.given_reason[here],
        active=task.active[here],
        order=task.order,
        backfill_keys=lambda rows: task.backfill_keys(rows + here.start),
        unscored=None if task.unscored is None else task.unscored[here],
    )


def _at(values: Int32, places: Int32) -> Int32:
    """Each row's values at these places, NO_DOC where the place is."""
    if not values.shape[1] or not places.shape[1]:
        return np.full(places.shape, NO_DOC, np.int32)
    taken = np.take_along_axis(values, np.maximum(places, 0), axis=1)
    return np.where(places == NO_DOC, np.int32(NO_DOC), taken)


def _find(doc: Int32, wanted: Int32) -> Int32:
    """The place of each wanted document in its row, NO_DOC where it is not there: int32 like wanted."""
    places = np.full(wanted.shape, NO_DOC, np.int32)
    for column in range(wanted.shape[1]):
        rows = np.flatnonzero(wanted[:, column] != NO_DOC)
        same = doc[rows] == wanted[rows, column][:, None]
        there: NDArray[np.bool_] = same.any(axis=1)
        places[rows[there], column] = same[there].argmax(axis=1)
    return places
