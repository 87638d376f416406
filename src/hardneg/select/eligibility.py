"""Who may be chosen: for each candidate and each given negative of some anchors the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC, Block, Bool, Int32
from hardneg.select.duplicates import Twins
from hardneg.select.margins import Float64, reference_score
from hardneg.select.reasons import Codes
from hardneg.select.rules import Candidates, first_failed, has_margin, judging_scores
from hardneg.select.samplers import NEEDS_REFERENCE, NEEDS_SCORES
from hardneg.select.scoring import order_value, ordering
from hardneg.select.selection import UInt8


@dataclass(frozen=True)
class Given:
    """Negatives that came with the data.

    doc       int32 (anchors, given), NO_DOC where there is nothing
    excluded  uint8 (anchors, given), the guard's number, 0 where it lets them pass
    """

    doc: Int32
    excluded: UInt8


def references(block: Block, config: SelectConfig) -> Mapping[str, Float64]:
    """The reference positive's score by each retriever and scorer, float64 (rows,)."""
    how = "max" if config.reference == "each" else config.reference  # under `each` there is one
    return {
        name: reference_score(
            block.positive,
            block.positive_scores.get(name, np.full(block.positive.shape, np.nan, np.float32)),
            how,
            config.missing_positive_score,
        )
        for name in block.scores
    }


def lacking(candidates: Candidates, positive: Int32, config: SelectConfig) -> Mapping[str, Bool]:
    """Whose score of a positive is missing and needed: name -> bool (anchors,); without any positive, all
    lack one, under the name ""."""
    found = {"": ~(positive != NO_DOC).any(axis=1)}
    needed: list[str] = []
    if has_margin(config):
        needed += judging_scores(config, tuple(candidates.ranks))
    name = ordering(config, tuple(candidates.ranks))
    if config.sampler in NEEDS_REFERENCE and name is not None and name not in needed:
        needed.append(name)
    for name in needed:
        found[name] = np.isnan(candidates.reference[name]) & ~found[""]
    return found


def candidate_reasons(
    block: Block, candidates: Candidates, excluded: UInt8, config: SelectConfig, codes: Codes
) -> UInt8:
    """The guard's number, else the first rule that a candidate fails, else 0: uint8 (anchors, width)."""
    reason = excluded.copy()
    failed = first_failed(candidates, config, codes)
    if config.sampler in NEEDS_SCORES:
        without = ~np.isfinite(order_value(block, config)) & (failed == 0)
        failed[without] = codes.number("no_score")
    np.copyto(reason, failed, where=reason == 0)
    reason[candidates.doc == NO_DOC] = 0
    return reason


def given_reasons(given: Given, twins: Twins, codes: Codes) -> UInt8:
    """The guard's number, `duplicate` for the text of an earlier one, else 0: uint8 (anchors, given)."""
    reason = given.excluded.copy()
    reason[given.doc == NO_DOC] = 0
    usable = (given.doc != NO_DOC) & (reason == 0)
    for column in range(1, given.doc.shape[1]):
        before = np.where(usable[:, :column], given.doc[:, :column], NO_DOC)
        again = twins.among(given.doc[:, column : column + 1], before)[:, 0] & usable[:, column]
        reason[again, column] = codes.number("duplicate")
        usable[again, column] = False
    return reason


def keep_first(reason: UInt8, usable: Bool, wanted: int | None, codes: Codes) -> None:
    """Mark the first `wanted` usable given negatives of each anchor `given`, the others `not_needed`."""
    np.putmask(reason, usable, codes.number("given"))
    if wanted is not None:
        np.putmask(reason, usable & (np.cumsum(usable, axis=1) > wanted), codes.number("not_needed"))


def mark_given(reason: UInt8, doc: Int32, given: Given, given_reason: UInt8) -> None:
    """Where a candidate is a given negative, its reason is that one's (unless the guard excludes it)."""
    for column in range(given.doc.shape[1]):
        rows = np.flatnonzero(given.doc[:, column] != NO_DOC)
        same = doc[rows] == given.doc[rows, column][:, None]
        row, place = np.nonzero(same)
        reason[rows[row], place] = given_reason[rows[row], column]


def mark_duplicates(
    reason: UInt8, doc: Int32, kept: Int32, twins: Twins, codes: Codes, unscored: Bool | None = None
) -> None:
    """Among the candidates that may be chosen, twins of a kept given negative or of one placed before.

    One that is not scored yet may still fail: it makes no other a duplicate.
    """
    eligible = (reason == 0) & (doc != NO_DOC)
    if kept.shape[1]:
        again = eligible & twins.among(doc, kept)
        reason[again] = codes.number("duplicate")
        eligible &= ~again
    if unscored is not None:
        eligible &= ~unscored
    reason[twins.repeated(doc, eligible)] = codes.number("duplicate")
