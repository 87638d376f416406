"""Whom a trial teaches and whom it asks: the run's queries, those of another source, how they are split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.config import Config
from hardneg.errors import InputError, UsageError
from hardneg.guard import alike_queries, like_any
from hardneg.plan.guarding import queries_to_leave_out, text_classes
from hardneg.plan.prepare import Prepared
from hardneg.plan.trial_evaluation import Joined, join
from hardneg.records import NO_DOC, Bool, Collection, Float64, Int32, Int64, Pairs
from hardneg.texts import normalise, take, text_number
from hardneg.trialing import (
    FOLDS,
    Answers,
    Folds,
    Groups,
    TrialOptions,
    folds,
    learned_from,
    of_queries,
    shared,
)

ONE_SPLIT_FROM = 1500
"""Queries from which one fifth of them is asked; with fewer each in turn."""
REPEATED_BELOW = 400
"""Queries below which every seed splits them anew."""


@dataclass(frozen=True)
class View:
    """One split: who learns what, and who is asked.

    repeat, fold  its numbers
    learning      bool (trial queries,)
    taught        the pairs that may be learned
    asked         bool (trial queries,)
    removed       pairs of learning queries that were taken out, their documents being answers of those asked
    withheld      numbers of the texts that nobody may learn as an answer, whoever found it to be one
    """

    repeat: int
    fold: int
    learning: Bool
    taught: Pairs
    asked: Bool
    removed: int
    withheld: Int32


@dataclass(frozen=True)
class Queries:
    """The trial's queries: those of the run, and after them those of an evaluation source.

    prepared   the run
    joined     their texts and positives
    usable     bool (trial queries,): has a positive and takes part
    given      bool (trial queries,): those of the evaluation source; none: the run's own are split
    document   int32 (documents,): documents of one number have the same text
    options    the trial's
    thorough   whether all folds are asked in turn where queries are few
    available  how many of the run's could take part, before some were drawn
    """

    prepared: Prepared
    joined: Joined
    usable: Bool
    given: Bool
    document: Int32
    options: TrialOptions
    thorough: bool
    available: int

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        config: Config,
        options: TrialOptions,
        asked: Collection | None,
        thorough: bool,
    ) -> Queries:
        """asked  the evaluation's; None: the run's own queries are split."""
        left_out, _ = queries_to_leave_out(prepared, config)
        joined = join(prepared.collection, asked, config.read.min_relevance)
        count = joined.table.num_rows
        given = np.arange(count) >= prepared.collection.queries.num_rows
        takes_part = np.concatenate([~left_out, np.ones(count - len(left_out), np.bool_)])
        usable = (joined.positives.counts > 0) & takes_part
        if asked is not None and not usable[given].any():
            raise InputError(
                "none of the evaluation's queries has a positive among the run's documents; its document ids "
                "must be those of the run"
            )
        document = text_classes(prepared, config).document
        available = int((usable & ~given).sum())
        found = cls(prepared, joined, usable, given, document, options, thorough, available)
        return replace(found, usable=found._drawn())

    @property
    def table(self) -> pa.Table:
        return self.joined.table

    @property
    def positives(self) -> Pairs:
        return self.joined.positives

    @property
    def own(self) -> int:
        """How many are the run's."""
        count: int = self.prepared.collection.queries.num_rows
        return count

    def _drawn(self) -> Bool:
        """The usable ones, no more of either kind than are needed for what the options say."""
        learning, asked = self.options.training_queries, self.options.asked_queries
        if self.given.any():
            return self._first(self.usable & self.given, asked) | self._first(
                self.usable & ~self.given, learning
            )
        # Of which one fold is asked, and the others learn.
        return self._first(self.usable, max(FOLDS * asked, -(-learning * FOLDS // (FOLDS - 1))))

    def _first(self, queries: Bool, most: int, purpose: str = "sample") -> Bool:
        """No more than `most` of these, by the draw for this purpose."""
        rows = np.flatnonzero(queries)
        if len(rows) <= most:
            return queries
        kept = np.zeros_like(queries)
        kept[rows[np.argsort(self.draw(purpose, 0)[rows], kind="stable")[:most]]] = True
        return kept

    def draw(self, purpose: str, repeat: int) -> Float64:
        """float64 (trial queries,): a number in [0, 1) for each, by its text, the seed, and what for."""
        seed = self.options.trial_seed
        texts = self.table["text"].to_pylist()
        return np.array(
            [text_number(f"{seed} {purpose} {repeat} {normalise(text)}") / 2.0**64 for text in texts]
        )

    def _texts(self, rows: Int64) -> list[str]:
        texts: list[str] = take(self.table["text"], rows).to_pylist()
        return texts

    @cached_property
    def groups(self) -> Groups:
        """Of the usable queries; the others stand alone."""
        rows = np.flatnonzero(self.usable)
        left, right = alike_queries(self._texts(rows))
        own = rows.astype(np.int32)
        return Groups.of(of_queries(self.positives, self.usable), self.document, own[left], own[right])

    # -- splits ---------------------------------------------------------------------------------------

    @property
    def repeats(self) -> int:
        """How many partitions there are; every seed has its own where queries are few and all are asked."""
        every = not self.given.any() and self._asked_folds == FOLDS
        few = every and self.available < REPEATED_BELOW
        return self.options.seeds if few else 1

    @property
    def _asked_folds(self) -> int:
        if self.options.folds is not None:
            return self.options.folds
        every = self.thorough and self.available < ONE_SPLIT_FROM
        return FOLDS if every else 1

    def views(self) -> Iterator[View]:
        if not self.usable.any():
            raise UsageError("trial: no query of the run has a positive and takes part, so none can be asked")
        if self.given.any():
            yield self._view(0, 0, self.usable & ~self.given, self.usable & self.given, separate=True)
            return
        for repeat in range(self.repeats):
            dealt = self.folds(self.usable, repeat)
            askable = (dealt.number >= 0) & (dealt.number < self._asked_folds)
            chosen = self._first(askable, self.options.asked_queries, "asked")
            for fold in range(self._asked_folds):
                if (chosen & dealt.asked(fold)).any():
                    learning = self.usable & ~dealt.asked(fold)
                    yield self._view(repeat, fold, learning, chosen & dealt.asked(fold), dealt.separate)

    def folds(self, usable: Bool, repeat: int, purpose: str = "folds") -> Folds:
        """Where one fold is asked, a fifth must be left to ask; where each is, half of all."""
        count = int(usable.sum())
        least = count // FOLDS if self._asked_folds == 1 else -(-count // 2)
        return folds(self.groups, usable, self.draw(purpose, repeat), least)

    def _view(self, repeat: int, fold: int, learning: Bool, asked: Bool, separate: bool) -> View:
        learning = self._first(learning, self.options.training_queries, "learning")
        answers = None if separate else of_queries(self.positives, asked)
        taught = learned_from(self.positives, self.document, learning, answers)
        kept = taught.counts > 0
        removed = int(self.positives.counts[learning].sum()) - len(taught.doc)
        if not learning.any():
            raise UsageError(
                "no query is left to learn: there is only one, or all are nearly the same text; give queries "
                "to ask with --evaluation or --evaluation-split"
            )
        if not kept.any():
            raise UsageError(
                "no training pair is left: every positive is an answer of a query that is asked; give "
                "queries to ask with --evaluation or --evaluation-split"
            )
        return View(repeat, fold, kept, taught, asked, removed, self._withheld(asked))

    def tuning(self, view: View) -> View:
        """The view's learning queries split once more; the part asked is what settings are chosen on.

        Documents are shared there where most of the evaluation's queries share one: what does best then is
        what is looked for.
        """
        dealt = self.folds(view.learning, view.repeat, f"tuning {view.fold}")
        asked = dealt.asked(0)
        learning = view.learning & ~asked
        sharing = self.given.any() and bool(self._sharing(view.learning, view.asked).mean() > 0.5)
        answers = None if sharing or dealt.separate else of_queries(self.positives, asked)
        pairs = of_queries(view.taught, learning)
        taught = learned_from(pairs, self.document, learning, answers)
        removed = len(pairs.doc) - len(taught.doc)
        withheld = np.union1d(view.withheld, self._withheld(asked))
        return View(view.repeat, view.fold, taught.counts > 0, taught, asked, removed, withheld)

    def _withheld(self, asked: Bool) -> Int32:
        """Answers of those asked; an evaluation's may be shared, which is said."""
        if self.given.any():
            return np.zeros(0, np.int32)
        return np.unique(self.document[of_queries(self.positives, asked).doc])

    # -- what is asked --------------------------------------------------------------------------------

    def answers(self, asked: Bool) -> Answers:
        query = np.flatnonzero(asked).astype(np.int32)
        document = self.positives.padded(query)
        relevance = np.zeros(document.shape, np.float32)
        pair_query = np.repeat(asked, self.positives.counts)
        relevance[document != NO_DOC] = self.joined.relevance[pair_query]
        return Answers(query, document, relevance)

    # -- what is said ---------------------------------------------------------------------------------

    def facts(self, views: list[View]) -> dict[str, Any]:
        """How the queries were split, as JSON values."""
        first = views[0]
        asked = np.any([view.asked for view in views], axis=0)
        counts = {
            "queries": self.available,
            "asked": int(asked.sum()),
            "learning": int(first.learning.sum()),
            "pairs": len(first.taught.doc),
            "pairs_removed": first.removed,
            "largest_component": self.groups.largest(self.usable & ~self.given),
            "folds": len({view.fold for view in views}),
            "repeats": len({view.repeat for view in views}),
        }
        if self.given.any():
            lost = {f"{what}_without_document": number for what, number in self.joined.lost.items()}
            return {"kind": "given", **counts, **lost, **self._leak(first.learning, asked)}
        return {"kind": "pairs removed" if any(view.removed for view in views) else "separate", **counts}

    def _sharing(self, learning: Bool, asked: Bool) -> Bool:
        """bool (queries asked,): which have a positive in common with one that learns."""
        learned, answers = of_queries(self.positives, learning), of_queries(self.positives, asked)
        return shared(learned, self.document, answers)[asked]

    def _leak(self, learning: Bool, asked: Bool) -> dict[str, int]:
        """Queries asked that have something in common with one that learns: what, and how many in all."""
        sharing = self._sharing(learning, asked)
        alike = like_any(self._texts(np.flatnonzero(asked)), self._texts(np.flatnonzero(learning)))
        return {
            "sharing_documents": int(sharing.sum()),
            "alike_queries": int(alike.sum()),
            "leaking": int((sharing | alike).sum()),
        }
