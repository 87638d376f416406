"""The parts of a block put together: what its queries got, and what became of their candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC, Block, Bool, Int32, Int64
from hardneg.select.anchors import Anchors
from hardneg.select.choice import Chosen
from hardneg.select.outcomes import anchor_states, count_reasons, describe, query_outcomes
from hardneg.select.reasons import Codes
from hardneg.select.rules import Candidates
from hardneg.select.scoring import shown
from hardneg.select.selection import (
    BACKFILL,
    EMPTY,
    FULL,
    INVALID,
    LABELLED,
    SHORT,
    Negatives,
    Positives,
    Selection,
    UInt8,
)


@dataclass(frozen=True)
class Part:
    """Some anchors, worked through. `missing`: whose score of a positive is needed and not there."""

    block: Block
    candidates: Candidates
    reason: UInt8
    given_reason: UInt8
    chosen: Chosen
    missing: Mapping[str, Bool]

    @property
    def invalid(self) -> Bool:
        invalid: Bool = np.any(list(self.missing.values()), axis=0)
        return invalid

    @property
    def num_backfilled(self) -> Int32:
        filled = (self.chosen.source == BACKFILL)[None, :] & (self.chosen.doc != NO_DOC)
        number: Int32 = np.count_nonzero(filled, axis=1).astype(np.int32)
        return number


def assemble(
    block: Block,
    anchors: Anchors,
    parts: Sequence[Part],
    given: Int32,
    left_out: Bool,
    config: SelectConfig,
    codes: Codes,
) -> Selection:
    """The block's selection from those of its anchors."""
    if not parts:
        return _nothing(block, given, codes)
    wanted = None if config.num_negatives == "all" else config.num_negatives
    start = anchors.start
    invalid = np.concatenate([part.invalid for part in parts])
    got = np.concatenate([part.chosen.got for part in parts])
    state = anchor_states(got, wanted, invalid, left_out[anchors.row], config.shortfall == "drop")
    outcome = query_outcomes(state, start)
    doc, reason = _decisions(block, anchors, parts, given)
    counts = count_reasons(reason, codes)
    lacks = np.logical_or.reduceat((state == SHORT) | (state == EMPTY), start)
    negatives = _negatives(parts, anchors.each, config)
    beyond = np.full((len(doc), doc.shape[1] - block.doc.shape[1]), np.nan, np.float32)
    return Selection(
        codes=codes,
        retrievers=block.retrievers,
        query=block.query,
        doc=doc,
        reason=reason,
        p_false_negative=np.hstack([block.p_false_negative, beyond]),
        counts=counts,
        outcome=outcome,
        message=_messages(anchors, parts, state, outcome, got, wanted, counts, left_out, codes),
        short=lacks & (wanted is not None),
        missing=_missing(got, wanted, start),
        negatives=negatives,
        positives=_positives(block, negatives, config),
    )


def _missing(got: Int32, wanted: int | None, start: Int64) -> Int32:
    lacks = np.zeros_like(got) if wanted is None else np.maximum(wanted - got, 0)
    missing: Int32 = np.add.reduceat(lacks, start).astype(np.int32)
    return missing


def _nothing(block: Block, given: Int32, codes: Codes) -> Selection:
    """Of a block without queries."""
    ints, floats, small = np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int8)
    return Selection(
        codes=codes,
        retrievers=block.retrievers,
        query=block.query,
        doc=block.doc,
        reason=np.zeros(block.doc.shape, np.uint8),
        p_false_negative=block.p_false_negative,
        counts=np.zeros((0, len(codes.names)), np.int32),
        outcome=np.zeros(0, np.uint8),
        message=(),
        short=np.zeros(0, np.bool_),
        missing=ints,
        negatives=Negatives(ints, ints, ints, small, ints, floats, floats, floats, floats, small),
        positives=Positives(ints, ints, floats, floats, small),
    )


def _decisions(block: Block, anchors: Anchors, parts: Sequence[Part], given: Int32) -> tuple[Int32, UInt8]:
    """Candidates, then given negatives that are none, with reasons; of several positives the furthest."""
    reason = np.concatenate([part.reason for part in parts])
    given_reason = np.concatenate([part.given_reason for part in parts])
    if anchors.each:
        reason = np.maximum.reduceat(reason, anchors.start, axis=0)
        if given_reason.shape[1]:
            given_reason = np.maximum.reduceat(given_reason, anchors.start, axis=0)
    if not given.shape[1]:
        return block.doc, reason
    known = np.zeros(given.shape, np.bool_)
    for column in range(given.shape[1]):
        known[:, column] = (block.doc == given[:, column : column + 1]).any(axis=1)
    beyond = np.where(known, NO_DOC, given).astype(np.int32)
    given_reason = np.where(beyond == NO_DOC, 0, given_reason).astype(np.uint8)
    return np.hstack([block.doc, beyond]), np.hstack([reason, given_reason])


def _negatives(parts: Sequence[Part], each: bool, config: SelectConfig) -> Negatives:
    columns = zip(*(_part_negatives(part, each, config) for part in parts), strict=True)
    return Negatives(*(np.concatenate(column) for column in columns))


def _part_negatives(part: Part, each: bool, config: SelectConfig) -> tuple[np.ndarray, ...]:
    """The columns of `Negatives`, in their order."""
    row, column = np.nonzero(part.chosen.doc != NO_DOC)
    place = part.chosen.place[row, column]
    retriever, rank, score, positive_score = shown(part.candidates, config, row, place)
    positive = part.block.positive[row, 0] if each else np.full(len(row), NO_DOC, np.int32)
    guessed = np.where(
        place == NO_DOC, np.float32(np.nan), part.block.p_false_negative[row, np.maximum(place, 0)]
    )
    margin = (positive_score.astype(np.float64) - score.astype(np.float64)).astype(np.float32)
    return (
        part.block.query[row],
        positive,
        part.chosen.doc[row, column],
        retriever,
        rank,
        score,
        positive_score,
        margin,
        guessed,
        part.chosen.source[column],
    )


def _positives(block: Block, negatives: Negatives, config: SelectConfig) -> Positives:
    """Those that negatives were chosen for."""
    row, place = np.nonzero(block.positive != NO_DOC)
    query, doc = block.query[row], block.positive[row, place]
    if config.reference == "each":
        pairs = negatives.query.astype(np.int64) << 32 | negatives.positive
        keep = np.isin(query.astype(np.int64) << 32 | doc, pairs)
    else:
        keep = np.isin(query, negatives.query, kind="table")
    name = config.score_by or next(iter(block.ranks), None)
    scores = block.positive_scores.get(name) if name is not None else None
    score = np.full(len(row), np.nan, np.float32) if scores is None else scores[row, place]
    own = np.full(int(np.count_nonzero(keep)), np.nan, np.float32)
    source = np.full(len(own), LABELLED, np.int8)
    return Positives(query[keep], doc[keep], score[keep], own, source)


def _messages(
    anchors: Anchors,
    parts: Sequence[Part],
    state: UInt8,
    outcome: UInt8,
    got: Int32,
    wanted: int | None,
    counts: Int32,
    left_out: Bool,
    codes: Codes,
) -> tuple[str, ...]:
    """One for each query; only those with something to say cost anything."""
    message = [""] * len(outcome)
    filled = np.concatenate([part.num_backfilled for part in parts])
    filled_of = np.add.reduceat(filled, anchors.start)
    stop = np.append(anchors.start[1:], len(state))
    for row in np.flatnonzero((outcome != FULL) | (filled_of > 0)).tolist():
        mine = slice(int(anchors.start[row]), int(stop[row]))
        if left_out[row]:
            message[row] = "on the list of queries to leave out"
        elif outcome[row] == INVALID:
            message[row] = _what_is_missing(parts, mine.start)
        else:
            message[row] = describe(
                int(outcome[row]), got[mine].tolist(), state[mine].tolist(), wanted,
                counts[row].tolist(), codes, int(filled_of[row]),
            )  # fmt: skip
    return tuple(message)


def _what_is_missing(parts: Sequence[Part], anchor: int) -> str:
    for part in parts:
        if anchor < len(part.reason):
            missing = part.missing
            break
        anchor -= len(part.reason)
    names = [name for name, rows in missing.items() if rows[anchor]]
    if names == [""]:
        return "has no positive"
    return f"a positive has no score by {names[0]!r}; set missing_positive_score, or unset what needs it"
