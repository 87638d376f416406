"""rescore, as far as it is needed: a scorer that only lets candidates pass sees those that could be chosen.

Each query's candidates are walked in the order in which the sampler takes them, over many queries at a time,
and only until its negatives are full. Which pairs that takes depends on the block, the rules and the scores,
never on what was scored before: every walk begins with no score in sight, and asks for pairs that a
`PartScores` looks up or has scored. So a walk that was cut off, or follows another, ends where it would have.

Under `max_reuse` a query's walk hangs on what earlier ones take. Those of a part walk together, so that a few
pairs more are scored than one query after the other would need; the choice is the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from hardneg.config import Config
from hardneg.errors import UsageError
from hardneg.plan.kept_scores import pair_keys
from hardneg.plan.part_scores import PartScores
from hardneg.plan.scoring import Scoring
from hardneg.records import Block, Bool, Int64
from hardneg.select import GuardedBlock, Selector


def why_all(config: Config, scorer: str) -> str | None:
    """What needs the scorer's score of every pair, in words; None: nothing, a walk chooses the same.

    Raises UsageError where that is so and `rescore` is `lazy`.
    """
    reason = _rule_for_all(config, scorer)
    if config.select.rescore == "lazy":
        if reason is not None:
            raise UsageError(
                f"--rescore lazy: all scores of {scorer} are needed: {reason}; --rescore all computes them"
            )
        return None
    if reason is None and _seen_by_guard(config):
        return "the guard looks at them (--rescore lazy keeps them from it, --guard off does without it)"
    return reason


def uses_scores(config: Config, scorer: str) -> bool:
    """Whether choosing from a finished run looks at the scorer's scores at all."""
    select = config.select
    # What is found deeper gets scores too.
    kept_whole = select.rescore == "all" or select.shortfall == "deepen"
    return scorer in (select.score_by, select.order_by) or _seen_by_guard(config) or kept_whole


def lazy_if_allowed(config: Config, scorer: str | None) -> Config:
    """With `auto` in place of a `lazy` that a rule refuses."""
    if config.select.rescore != "lazy" or scorer is None or _rule_for_all(config, scorer) is None:
        return config
    return config.model_copy(update={"select": config.select.model_copy(update={"rescore": "auto"})})


def _seen_by_guard(config: Config) -> bool:
    return config.guard.guard != "off" and config.select.rescore != "lazy"


def _rule_for_all(config: Config, scorer: str) -> str | None:
    """The guard apart."""
    select, guard = config.select, config.guard
    if select.rescore == "all":
        return "--rescore all"
    if select.score_by != scorer:
        return f"no rule of the selection goes by them (--score-by {scorer})"
    if select.sampler not in ("top", "random"):
        return f"--sampler {select.sampler} looks at all candidates that pass"
    if select.sampler == "top" and select.order_by in (None, scorer):
        return "they order the candidates (--order-by a retriever, or --sampler random, walks in that order)"
    if select.num_negatives == "all":
        return "--num-negatives all takes every candidate that passes"
    if select.shortfall == "deepen":
        return "--shortfall deepen"
    if guard.promoting:
        return "promoted candidates stand with their scores"
    return "judged positives (--labels) are compared by them" if guard.labels else None


@dataclass
class Walk:
    """Through one selection's blocks, in their order.

    plan      a digest of what decides the selection
    selector  whose choice it is; where documents are counted (`max_reuse`) the very one that chooses after it
    across    whether one query's choice changes another's
    seconds   spent on scoring, so far
    """

    scoring: Scoring
    plan: str
    selector: Selector
    across: bool
    seconds: float = 0.0

    def settled(self, part: str, guarded: GuardedBlock) -> GuardedBlock:
        """The block with the scores that its choice hangs on, and who has none; stored in the part too."""
        scores = PartScores(self.scoring, part, self.plan)
        block, unscored = self._begun(scores, guarded.block), guarded.block.present
        guarded = replace(guarded, block=block, unscored=unscored)
        keys, seen = pair_keys(block.query, block.doc), block.scores[self.scoring.name]
        rows: Int64 = np.arange(len(keys), dtype=np.int64)
        while len(rows):
            some = guarded.rows(rows)
            wanted = self.selector.needed(some.block, some.excluded, **some.beside)
            row, place = np.nonzero(wanted)
            row = rows[row]
            with self._clocked():
                scores.add(keys[row, place])
            seen[row, place] = scores.of(keys[row, place])
            unscored[row, place] = False
            if not self.across or not len(row):
                rows = rows[wanted.any(axis=1)]
        with self._clocked():
            scores.save()
        return guarded

    def _begun(self, scores: PartScores, block: Block) -> Block:
        """With the positives' scores, and none of a candidate's."""
        name, positive = self.scoring.name, pair_keys(block.query, block.positive)
        with self._clocked():
            scores.add(positive[positive >= 0])
        return replace(
            block,
            scores={**block.scores, name: np.full(block.doc.shape, np.nan, np.float32)},
            positive_scores={**block.positive_scores, name: scores.of(positive)},
        )

    @contextmanager
    def _clocked(self) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds += time.monotonic() - started


@dataclass
class PairCount:
    """Pairs of a query with a candidate or a positive: how many there are, and how many had to be scored."""

    every: int = 0
    scored: int = 0

    def told(self) -> dict[str, int]:
        return {"every": self.every, "scored": self.scored, "saved": self.every - self.scored}

    def add(self, block: Block, unscored: Bool | None) -> None:
        keys, positive = (pair_keys(block.query, places) for places in (block.doc, block.positive))
        known = int((positive >= 0).sum())
        others = (keys >= 0) & ~np.isin(keys, positive)
        seen = others if unscored is None else others & ~unscored
        self.every += known + int(others.sum())
        self.scored += known + int(seen.sum())
