"""Pairs and models → the negatives of each query with their scores, a block of queries at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hardneg.compat.sentence_transformers.arguments import Ranks
from hardneg.compat.sentence_transformers.models import NAME
from hardneg.compat.sentence_transformers.pairs import MinedPairs
from hardneg.config import GuardConfig, SelectConfig
from hardneg.guard import TextClasses, apply_rules, block_of, build_rules, codes
from hardneg.protocols import Progress, Retriever, Scorer
from hardneg.records import NO_DOC, Block, Bool, Float32, Int32, Ranking
from hardneg.rescore import score_pairs
from hardneg.select import Corpus, Selection, Selector
from hardneg.select.eligibility import references
from hardneg.select.rules import Candidates, first_failed
from hardneg.select.selection import Negatives, UInt8

RULES: Sequence[str] = ("margin", "relative_margin", "max_score", "min_score")
"""In the order in which what they reject is counted."""
GUARD = GuardConfig(guard="off", near_duplicate=0)
"""Known positives, the query's own text, both also with other case and spacing, and empty texts."""
_MOST_MORE = 1_000


@dataclass(frozen=True)
class Found:
    """query, doc, score    of each negative, by query, then by score
    positive_scores      float32 (pairs,): of the positives, in the order of `MinedPairs.positives`
    rejected             candidates by the rule that rejects them, and by the guard's code that excludes them
    """

    query: Int32
    doc: Int32
    score: Float32
    positive_scores: Float32
    rejected: Mapping[str, int]


@dataclass(frozen=True)
class Miner:
    """pairs, retriever and rules of a call; `scorer`, where there is one, ranks and scores what was found.

    config             its rules and sampler, the window apart
    include_positives  positives stay where they rank, and count there
    """

    pairs: MinedPairs
    retriever: Retriever
    scorer: Scorer | None
    config: SelectConfig
    ranks: Ranks
    include_positives: bool
    progress: Progress
    rejected: dict[str, int] = field(default_factory=dict)

    def mine(self, queries_at_once: int) -> Found:
        total = len(self.pairs.queries)
        parts, scores = [], []
        for start in range(0, total, queries_at_once):
            query = np.arange(start, min(start + queries_at_once, total), dtype=np.int32)
            block = self._block(query)
            there = block.positive != NO_DOC
            scores.append(block.positive_scores[NAME][there])
            parts.append(self._negatives(block))
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("query", "doc", "score")
        }
        return Found(**columns, positive_scores=np.concatenate(scores), rejected=self.rejected)

    # -- candidates -------------------------------------------------------------------------------------

    def _block(self, query: Int32) -> Block:
        """The best documents of some queries with their ranks; positives, unless they are wanted, have that
        of the document before them."""
        positive = self.pairs.positives.padded(query)
        found = self.retriever.search(query, self.ranks.depth + self._never, positive, self.progress)
        doc, score = self._without_excluded(query, found)
        positive_score = found.positive_score
        if self.scorer is not None:
            positive_score = self._scores(query, positive)
            doc, score = _by_score(doc, self._scores(query, doc))
        counted = (doc != NO_DOC) & ~self._taken(query, doc)
        return Block(
            query=query,
            doc=doc,
            ranks={NAME: np.cumsum(counted, axis=1, dtype=np.int32)},
            scores={NAME: score},
            positive=positive,
            positive_scores={NAME: positive_score},
            p_false_negative=np.full(doc.shape, np.nan, np.float32),
        )

    def _taken(self, query: Int32, doc: Int32) -> Bool:
        """Where a document is a positive, and positives may not be chosen."""
        if self.include_positives:
            return np.zeros(doc.shape, np.bool_)
        taken: Bool = self._rules[0].exclude(block_of(query, doc, self.pairs.positives))
        return taken

    def _without_excluded(self, query: Int32, found: Ranking) -> tuple[Int32, Float32]:
        """What was found as if the corpus had no document that the guard excludes, positives apart."""
        why = apply_rules(block_of(query, found.doc, self.pairs.positives), self._rules)
        why[why == self._codes.index("positive")] = 0
        kept = (why == 0) & (found.doc != NO_DOC)
        looked_at = np.cumsum(kept, axis=1) < self.ranks.depth
        for number, code in enumerate(self._codes[1:], start=1):
            self._add(code, (why == number) & looked_at)
        order = np.argsort(~kept, axis=1, kind="stable")[:, : self.ranks.depth]
        doc = np.where(kept, found.doc, NO_DOC).astype(np.int32)
        return np.take_along_axis(doc, order, axis=1), np.take_along_axis(found.score, order, axis=1)

    def _scores(self, query: Int32, doc: Int32) -> Float32:
        """The scorer's, float32 like doc; NaN where NO_DOC."""
        assert self.scorer is not None  # noqa: S101 - asked for only then
        row, place = np.nonzero(doc != NO_DOC)
        out = np.full(doc.shape, np.nan, np.float32)
        texts = self.pairs.queries, self.pairs.documents
        with self.progress.track("rescore", len(row), "pairs") as advance:
            out[row, place] = score_pairs(query[row], doc[row, place], self.scorer, *texts)
            advance(len(row))
        return out

    # -- choice -----------------------------------------------------------------------------------------

    def _negatives(self, block: Block) -> Negatives:
        taken = self._taken(block.query, block.doc)
        self._count(block, block.present & ~taken)
        chosen = self._top.select(block, taken.view(np.uint8))
        if self.config.sampler == "top":
            return chosen.negatives
        return _by_rank(self._random.select(block, _outside(chosen)).negatives)

    def _count(self, block: Block, passing: Bool) -> None:
        """Add up what each rule rejects of what those before it let pass."""
        for rule in RULES:
            if getattr(self.config, rule) is not None:
                off = {other: None for other in RULES if other != rule}
                failed = self._fails(block, self.config.model_copy(update=off)) & passing
                self._add(rule, failed)
                passing = passing & ~failed

    def _fails(self, block: Block, config: SelectConfig) -> Bool:
        candidates = Candidates(block.doc, block.ranks, block.scores, references(block, config))
        failed: Bool = first_failed(candidates, config, self._top.codes) > 0
        return failed

    def _add(self, code: str, where: Bool) -> None:
        self.rejected[code] = self.rejected.get(code, 0) + int(np.count_nonzero(where))

    # -- worked out once ----------------------------------------------------------------------------------

    @cached_property
    def _classes(self) -> TextClasses:
        collection = self.pairs.collection()
        return TextClasses.build(collection.corpus, collection.queries, join_title=False)

    @cached_property
    def _rules(self) -> Sequence[Any]:
        collection = self.pairs.collection()
        return build_rules(collection, self.pairs.positives, self._classes, None, GUARD, join_title=False)

    @cached_property
    def _codes(self) -> tuple[str, ...]:
        return codes(self._rules)

    @cached_property
    def _never(self) -> int:
        """As many documents more are asked for as are excluded for a query at most, positives apart."""
        classes, positives = self._classes, self.pairs.positives
        copies = np.bincount(classes.document, minlength=len(classes.keys))
        others = copies[classes.document[positives.doc]] - 1
        of_positives = np.bincount(positives.query, weights=others, minlength=len(classes.query))
        empty = np.count_nonzero(classes.characters == 0)
        return min(int((copies[classes.query] + of_positives).max()) + int(empty), _MOST_MORE)

    @cached_property
    def _corpus(self) -> Corpus:
        # Draws go by the queries' texts, so that other queries beside them change none.
        return Corpus(self.pairs.queries, self.pairs.documents, self._classes.document)

    @cached_property
    def _top(self) -> Selector:
        """What is chosen under `top`; else all that may be drawn."""
        number = self.config.num_negatives
        if self.config.sampler != "top":
            number = self.ranks.last - self.ranks.skipped
        window = (self.ranks.skipped, None) if self.ranks.skipped else None
        update = {"sampler": "top", "num_negatives": number, "window": window}
        return Selector(self.config.model_copy(update=update), ("", "positive"), self._corpus)

    @cached_property
    def _random(self) -> Selector:
        """Draws from what the other has chosen."""
        off = dict.fromkeys(RULES)
        return Selector(self.config.model_copy(update=off), ("", "outside"), self._corpus)


def _by_score(doc: Int32, score: Float32) -> tuple[Int32, Float32]:
    """Each row by score, ties as they lay; what holds no document last."""
    order = np.argsort(np.where(doc == NO_DOC, np.inf, -score), axis=1, kind="stable")
    return np.take_along_axis(doc, order, axis=1), np.take_along_axis(score, order, axis=1)


def _outside(pool: Selection) -> UInt8:
    """1 where a candidate is not in the pool, else 0: uint8 (queries, width)."""
    outside: UInt8 = (pool.reason != pool.codes.number("selected")).astype(np.uint8)
    return outside


def _by_rank(negatives: Negatives) -> Negatives:
    order = np.lexsort((negatives.rank, negatives.query))
    columns = {name: getattr(negatives, name)[order] for name in negatives.__dataclass_fields__}
    return Negatives(**columns)
