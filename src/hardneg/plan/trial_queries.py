"""Whom a trial teaches and whom it asks: the run's queries, those of another source, how they are split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.config import Config
from hardneg.errors import InputError, UsageError
from hardneg.guard import alike_queries, like_any
from hardneg.plan.guarding import queries_to_leave_out, text_classes
from hardneg.plan.prepare import Prepared
from hardneg.plan.retrieve import base_parts, read_block
from hardneg.read import is_positive, load, rows_of
from hardneg.records import NO_DOC, Bool, Collection, Float32, Float64, Int32, Int64, Pairs
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
    table      their texts (and prompts)
    positives  by rows of the trial's queries
    relevance  of each pair of `positives`
    usable     bool (trial queries,): has a positive and takes part
    given      bool (trial queries,): those of the evaluation source; none: the run's own are split
    document   int32 (documents,): documents of one number have the same text
    options    the trial's
    """

    prepared: Prepared
    table: pa.Table
    positives: Pairs
    relevance: Float32
    usable: Bool
    given: Bool
    document: Int32
    options: TrialOptions

    @classmethod
    def of(cls, prepared: Prepared, config: Config, options: TrialOptions, evaluation: Any) -> Queries:
        """evaluation  what `hardneg.load` takes, or its result; None: the run's own queries are split."""
        collection = prepared.collection
        left_out, _ = queries_to_leave_out(prepared, config)
        asked = None if evaluation is None else _evaluation(prepared, config, options, evaluation)
        table, positives, relevance = _joined(collection, asked, config.read.min_relevance)
        count = table.num_rows
        given = np.arange(count) >= collection.queries.num_rows
        takes_part = np.concatenate([~left_out, np.ones(count - len(left_out), np.bool_)])
        usable = (positives.counts > 0) & takes_part
        if asked is not None and not usable[given].any():
            raise InputError(
                "none of the evaluation's queries has a positive among the run's documents; its document ids "
                "must be those of the run"
            )
        found = cls(
            prepared,
            table,
            positives,
            relevance,
            usable,
            given,
            text_classes(prepared, config).document,
            options,
        )
        return replace(found, usable=found._drawn())

    @property
    def own(self) -> int:
        """How many are the run's."""
        count: int = self.prepared.collection.queries.num_rows
        return count

    def _drawn(self) -> Bool:
        """The usable ones, no more of either kind than the options say."""
        draw = self.draw("sample", 0)
        kept = np.zeros_like(self.usable)
        least = self.options.training_queries
        own, given = self.usable & ~self.given, self.usable & self.given
        parts = [(given, self.options.asked_queries), (own, least)]
        if not given.any():
            parts = [(own, least + self.options.asked_queries)]
        for part, most in parts:
            rows = np.flatnonzero(part)
            kept[rows[np.argsort(draw[rows], kind="stable")[:most]]] = True
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
        few = every and int(self.usable.sum()) < REPEATED_BELOW
        return self.options.seeds if few else 1

    @property
    def _asked_folds(self) -> int:
        if self.options.folds is not None:
            return self.options.folds
        many = int(self.usable.sum()) >= ONE_SPLIT_FROM or self.options.student != "adapter"
        return 1 if many else FOLDS

    def views(self) -> Iterator[View]:
        if not self.usable.any():
            raise UsageError("trial: no query of the run has a positive and takes part, so none can be asked")
        if self.given.any():
            yield self._view(0, 0, self.usable & self.given, separate=True)
            return
        for repeat in range(self.repeats):
            dealt = self.folds(self.usable, repeat)
            for fold in range(self._asked_folds):
                if dealt.asked(fold).any():
                    yield self._view(repeat, fold, dealt.asked(fold), dealt.separate)

    def folds(self, usable: Bool, repeat: int, purpose: str = "folds") -> Folds:
        """Where one fold is asked, a fifth must be left to ask; where each is, half of all."""
        count = int(usable.sum())
        least = count // FOLDS if self._asked_folds == 1 else -(-count // 2)
        return folds(self.groups, usable, self.draw(purpose, repeat), least)

    def _view(self, repeat: int, fold: int, asked: Bool, separate: bool) -> View:
        learning = self.usable & ~asked
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

        Documents may be shared there where the view itself lets them be (an evaluation source).
        """
        dealt = self.folds(view.learning, view.repeat, f"tuning {view.fold}")
        asked = dealt.asked(0)
        learning = view.learning & ~asked
        sharing = self.given.any() or dealt.separate
        answers = None if sharing else of_queries(self.positives, asked)
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
        relevance[document != NO_DOC] = self.relevance[pair_query]
        return Answers(query, document, relevance)

    def pool(self, asked: Bool) -> Int32:
        """int32, ascending: all documents; of a large corpus the answers, the candidates, and random ones."""
        documents = self.prepared.collection.corpus.num_rows
        most = self.options.pool
        if documents <= most:
            return np.arange(documents, dtype=np.int32)
        answers = np.unique(of_queries(self.positives, asked).doc)
        wanted = [np.zeros(0, np.int32)]
        within = np.flatnonzero(asked[: self.own]).astype(np.int32)
        looking = replace(self.prepared, within=within)
        for name in base_parts(self.prepared.run):
            found = read_block(looking, name).doc
            wanted.append(found[found != NO_DOC])
        order = np.random.Generator(np.random.Philox(key=self.options.trial_seed)).permutation(documents)
        # All answers, then candidates, then the rest; of each a random part where there is no room for all.
        rank = np.full(documents, 2)
        rank[np.concatenate(wanted)] = 1
        rank[answers] = 0
        first = order[np.argsort(rank[order], kind="stable")]
        return np.sort(first[:most]).astype(np.int32)

    # -- what is said ---------------------------------------------------------------------------------

    def facts(self, views: list[View]) -> dict[str, Any]:
        """How the queries were split, as JSON values."""
        first = views[0]
        asked = np.any([view.asked for view in views], axis=0)
        counts = {
            "queries": int((self.usable & ~self.given).sum()),
            "asked": int(asked.sum()),
            "learning": int(first.learning.sum()),
            "pairs": len(first.taught.doc),
            "pairs_removed": first.removed,
            "largest_component": self.groups.largest(self.usable & ~self.given),
            "folds": len({view.fold for view in views}),
            "repeats": len({view.repeat for view in views}),
        }
        if self.given.any():
            return {"kind": "given", **counts, **self._leak(first.learning, asked)}
        return {"kind": "pairs removed" if any(view.removed for view in views) else "separate", **counts}

    def _leak(self, learning: Bool, asked: Bool) -> dict[str, int]:
        """Queries asked that have something in common with one that learns: what, and how many in all."""
        learned, answers = of_queries(self.positives, learning), of_queries(self.positives, asked)
        sharing = shared(learned, self.document, answers)[asked]
        alike = like_any(self._texts(np.flatnonzero(asked)), self._texts(np.flatnonzero(learning)))
        return {
            "sharing_documents": int(sharing.sum()),
            "alike_queries": int(alike.sum()),
            "leaking": int((sharing | alike).sum()),
        }


# -- the evaluation's source ----------------------------------------------------------------------------


def _evaluation(prepared: Prepared, config: Config, options: TrialOptions, source: Any) -> Collection:
    if isinstance(source, Collection):
        return source
    if isinstance(source, str) and not Path(source).exists() and not source.startswith("hf:"):
        raise InputError(
            "there is no such file or folder; name the queries to ask with --evaluation SOURCE", file=source
        )
    update: dict[str, Any] = {"limit_queries": None, "corpus": None, "qrels": None}
    if options.evaluation_split is not None:
        update["split"] = options.evaluation_split
    return load(source, config=config.read.model_copy(update=update))


def _joined(
    collection: Collection, asked: Collection | None, min_relevance: float | None
) -> tuple[pa.Table, Pairs, Float32]:
    """All queries' texts and prompts, their positives, and how relevant each is."""
    parts = [collection] if asked is None else [collection, asked]
    names = ["query_id", "text", "prompt"]
    tables = [part.queries.select([n for n in names if n in part.queries.column_names]) for part in parts]
    query, doc, relevance = [], [], []
    start = 0
    for part in parts:
        grade = part.qrels["relevance"].to_numpy()
        rows = rows_of(part.qrels["query_id"], part.queries["query_id"])
        docs = rows_of(part.qrels["doc_id"], collection.corpus["doc_id"])
        kept = is_positive(grade, min_relevance) & (rows >= 0) & (docs >= 0)
        query.append(rows[kept] + start)
        doc.append(docs[kept])
        relevance.append(grade[kept])
        start += part.queries.num_rows
    table = pa.concat_tables(tables, promote_options="default")
    pairs, grades = _pairs(np.concatenate(query), np.concatenate(doc), np.concatenate(relevance), start)
    return table, pairs, grades


def _pairs(query: Int32, doc: Int32, relevance: Float32, queries: int) -> tuple[Pairs, Float32]:
    """Each pair once, sorted; its highest relevance, at least a little above 0."""
    order = np.lexsort((-relevance, doc, query))
    pairs = Pairs.from_rows(query, doc, queries)
    key = query[order].astype(np.int64) << 32 | doc[order]
    _, first = np.unique(key, return_index=True)
    return pairs, np.maximum(relevance[order][first], np.float32(1e-6)).astype(np.float32)
