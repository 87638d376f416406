"""Window, thresholds and margins over the retrievers: the first rule that each candidate fails.

Each retriever judges by its own ranks and scores; `combine` says whether any or all of those that found a
document must let it pass. With `score_by` NAME, thresholds and margins use that score alone, and so does the
window where NAME is a retriever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardneg.config import SelectConfig
from hardneg.records import Bool, Float32, Int32
from hardneg.select.margins import (
    Float64,
    float32_at_least,
    float32_at_most,
    margin_bound,
    relative_margin_bound,
)
from hardneg.select.reasons import Codes
from hardneg.select.window import in_window

UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Candidates:
    """What the rules look at, one row for each anchor (a query; under `each`, a query and a positive).

    doc        int32 (anchors, width), NO_DOC where there is nothing
    ranks      retriever -> int32 (anchors, width)
    scores     retriever or scorer -> float32 (anchors, width)
    reference  retriever or scorer -> float64 (anchors,), NaN where there is none
    unscored   bool (anchors, width): whom the scorer `score_by` has not scored yet; they pass its rules until
               it has. None: nobody
    """

    doc: Int32
    ranks: Mapping[str, Int32]
    scores: Mapping[str, Float32]
    reference: Mapping[str, Float64]
    unscored: Bool | None = None


def judging_scores(config: SelectConfig, retrievers: tuple[str, ...]) -> tuple[str, ...]:
    """Whose scores thresholds and margins use."""
    return (config.score_by,) if config.score_by is not None else retrievers


def has_margin(config: SelectConfig) -> bool:
    return config.margin is not None or config.relative_margin is not None


def has_threshold(config: SelectConfig) -> bool:
    """Whether any rule looks at scores."""
    return has_margin(config) or config.min_score is not None or config.max_score is not None


def first_failed(candidates: Candidates, config: SelectConfig, codes: Codes) -> UInt8:
    """The number of the first rule that each candidate fails, 0 where it passes: uint8 (anchors, width)."""
    judges = judging_scores(config, tuple(candidates.ranks))
    if config.score_by is not None and config.score_by not in candidates.ranks:
        failed = _combined(
            [_by_window(candidates.ranks[name], config, codes) for name in candidates.ranks],
            list(candidates.ranks.values()),
            config,
        )
        by_score = _by_score(candidates, config.score_by, None, config, codes)
        if candidates.unscored is not None:
            by_score[candidates.unscored] = 0
        return _then(failed, by_score)
    parts = [
        _then(
            _by_window(candidates.ranks[name], config, codes),
            _by_score(candidates, name, None if config.score_by else candidates.ranks[name], config, codes),
        )
        for name in judges
    ]
    if config.score_by is not None:
        return parts[0]
    return _combined(parts, [candidates.ranks[name] for name in judges], config)


def _combined(parts: list[UInt8], ranks: list[Int32], config: SelectConfig) -> UInt8:
    """Under `all` the first rule failed before anyone who found the document; under `any`, where nobody lets
    it pass, the rule that stopped it before the one it came furthest with. Numbers rise in the stated
    order."""
    if len(parts) == 1:
        return parts[0]
    if config.combine == "any":
        passed = np.zeros(parts[0].shape, np.bool_)
        furthest = np.zeros(parts[0].shape, np.uint8)
        for part, rank in zip(parts, ranks, strict=True):
            passed |= (rank > 0) & (part == 0)
            np.maximum(furthest, part, out=furthest, where=rank > 0)
        furthest[passed] = 0
        return furthest
    first = np.full(parts[0].shape, 255, np.uint8)
    for part, rank in zip(parts, ranks, strict=True):
        np.minimum(first, part, out=first, where=(rank > 0) & (part > 0))
    first[first == 255] = 0
    return first


def _then(failed: UInt8, later: UInt8) -> UInt8:
    """The first of two rules' numbers."""
    np.copyto(failed, later, where=failed == 0)
    return failed


def _by_window(rank: Int32, config: SelectConfig, codes: Codes) -> UInt8:
    if config.window is None:
        return np.zeros(rank.shape, np.uint8)
    outside = ~in_window(rank, config.window)
    return outside.view(np.uint8) * np.uint8(codes.number("window"))


def _by_score(
    candidates: Candidates, name: str, rank: Int32 | None, config: SelectConfig, codes: Codes
) -> UInt8:
    """Thresholds and margins by one score. `rank` is that of the retriever whose score it is, None where a
    score is not tied to having found the document (score_by): then only rules that need a score ask
    for it."""
    score = candidates.scores[name]
    failed = np.zeros(score.shape, np.uint8)

    def fail(where: Bool, code: str) -> None:
        np.putmask(failed, where, codes.number(code))

    # Written last to first, so that the first rule's number is the one that stays.
    reference = candidates.reference[name]
    if config.relative_margin is not None:
        bound = float32_at_most(relative_margin_bound(reference, config.relative_margin))
        fail(score > bound[:, None], "relative_margin")
    if config.margin is not None:
        fail(score > float32_at_most(margin_bound(reference, config.margin))[:, None], "margin")
    if config.max_score is not None:
        fail(score > float32_at_most(config.max_score), "max_score")
    if config.min_score is not None:
        fail(score < float32_at_least(config.min_score), "min_score")
    if has_threshold(config) or rank is not None:
        fail(~np.isfinite(score), "no_score")
    else:
        fail(np.isinf(score), "no_score")
    return failed
