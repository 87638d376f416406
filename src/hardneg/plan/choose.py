"""select: negatives from the stored candidates, searching deeper for short queries where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hardneg.config import Config, SelectConfig
from hardneg.guard import apply_rules, block_of, codes
from hardneg.guard.fitted import LIKELY, PROMOTED
from hardneg.plan.guarding import queries_to_leave_out, rules, text_classes
from hardneg.plan.judging import Judged, judged, with_judgments
from hardneg.plan.labels import Judgments, read_judged
from hardneg.plan.lazily import PairCount, Walk
from hardneg.plan.prepare import Prepared
from hardneg.plan.retrieve import QUERIES_A_PART, deepen, parts_in_order
from hardneg.plan.retrievers import Source
from hardneg.plan.scoring import Scoring
from hardneg.protocols import Retriever, Rule, Vectors
from hardneg.quantities import counted
from hardneg.read import given_pairs
from hardneg.records import NO_DOC, Block, Bool, Int32, Pairs
from hardneg.select import Corpus, GuardedBlock, Selection, Selector, Tally
from hardneg.select.duplicates import Twins

DEEPEN_BY = 4
"""A short query is searched to this many times the depth before, until it is full or has seen all."""

Searching = Callable[[], Sequence[Retriever]]
Rescoring = Callable[[str], None]


@dataclass(frozen=True)
class Choosing:
    """What a selection needs beside the candidates, worked out once."""

    prepared: Prepared
    config: Config
    depth: int
    rules: Sequence[Rule]
    classes: Int32
    given: Pairs
    left_out: Bool
    left_out_messages: Sequence[str | None]
    documents: Vectors | None
    judged: Judged | None
    known: Pairs
    judgments: Judgments | None

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        config: Config,
        depth: int,
        found: Callable[[], Sequence[Source]],
        documents: Vectors | None,
        judgments: Judgments | None,
    ) -> Choosing:
        """found: the run's retrievers, looked at where the guard judges by their vectors."""
        classes = text_classes(prepared, config)
        hard = rules_of_data = rules(prepared, config, classes)
        knowing = prepared
        if judgments is not None:
            knowing = judgments.prepared(prepared)
            hard = rules(knowing, config, classes)
        judge = judged(prepared, config, rules_of_data, classes, found, depth)
        if judge is not None and judgments is not None:
            judge = with_judgments(judge, knowing, config, hard, found, judgments)
        left_out, messages = queries_to_leave_out(prepared, config)
        count = prepared.collection.queries.num_rows
        nothing = Pairs.from_rows(np.zeros(0, np.int32), np.zeros(0, np.int32), count)
        return cls(
            prepared=prepared,
            config=config,
            depth=depth,
            rules=[*hard, *(judge.rules_of(config.guard) if judge is not None else ())],
            classes=classes.document,
            given=given_pairs(prepared.collection) if config.select.given_negatives == "keep" else nothing,
            left_out=left_out,
            left_out_messages=messages,
            documents=documents,
            judged=judge,
            known=knowing.positives,
            judgments=judgments,
        )

    @cached_property
    def _corpus(self) -> Corpus:
        collection = self.prepared.collection
        return Corpus(
            query_ids=collection.queries["query_id"],
            doc_ids=collection.corpus["doc_id"],
            classes=self.classes,
            documents=self.documents,
            exclude=lambda block: apply_rules(block, self.rules) > 0,
        )

    def selector(self, config: SelectConfig | None = None) -> Selector:
        """A fresh one: `max_reuse` counts from nothing."""
        return Selector(config or self.config.select, codes(self.rules), self._corpus)

    def guarded(self, block: Block) -> GuardedBlock:
        """The block with what the hard exclusions say of its candidates and of its given negatives."""
        given = self.given.padded(block.query)
        asked = block_of(block.query, given, self.known)
        return GuardedBlock(
            block=block,
            excluded=apply_rules(block, self.rules),
            given=given,
            given_excluded=apply_rules(asked, self.rules),
            left_out=self.left_out[block.query],
        )

    @property
    def fitted_reasons(self) -> list[int]:
        """Places of what the fitted guard excludes for, among the reasons."""
        reasons = codes(self.rules)
        return [reasons.index(code) for code in (PROMOTED, LIKELY) if code in reasons]

    def select(self, selector: Selector, one: GuardedBlock, with_likely_positives: bool = False) -> Selection:
        excluded = one.excluded
        if with_likely_positives:
            number = np.arange(256, dtype=np.uint8)
            number[self.fitted_reasons] = 0
            excluded = number[excluded]
        return selector.select(one.block, excluded, **one.beside)

    def with_new_positives(self, selection: Selection, block: Block) -> Selection:
        """The selection with promoted candidates among its positives, and judged ones marked as such.

        A given negative is the user's own, and so is its text: neither is promoted.
        """
        if self.judgments is not None:
            marked = selection.positives.and_judged(self.judgments.key)
            selection = replace(selection, positives=marked)
        rule = next((rule for rule in self.rules if rule.code == PROMOTED), None)
        if rule is None:
            return selection
        promoted = rule.exclude(block) & block.present
        promoted &= ~Twins(self.classes).among(block.doc, self.given.padded(block.query))
        score_by = self.config.select.score_by
        return replace(selection, positives=selection.positives.and_promoted(block, promoted, score_by))


@dataclass(frozen=True)
class Aside:
    """What choosing tells beside the selection.

    without  where likely positives are dropped, the hardness of what would have been chosen with them
    pairs    how many there are, and how many a scorer had to score; of a run with scores
    seconds  spent on scoring while choosing
    """

    without: dict[str, Any] | None
    pairs: PairCount
    seconds: float = 0.0


def choose(
    choosing: Choosing,
    retrievers: Searching,
    rescored: Rescoring,
    keep: Callable[[Selection], None],
    lazily: tuple[Scoring, str] | None = None,
) -> Aside:
    """Select for all queries, in the order of their rows, giving each block's selection to `keep`.

    Under shortfall `deepen` the short ones are searched deeper first, by `retrievers()`, and the new part
    gets its scorer's scores from `rescored(part)`.

    lazily  the scorer whose scores are asked for as they are needed, and the digest of the selection; what
            would have been chosen with likely positives is not looked at then, since it needs other scores
    """
    deeper: list[str] = []
    if choosing.config.select.shortfall == "deepen":
        deeper = _deepened(choosing, retrievers, rescored)
    selector = choosing.selector()
    walk = None if lazily is None else _walk(choosing, selector, *lazily)
    dropping = bool(choosing.fitted_reasons) and walk is None
    beside, tally = choosing.selector(_for_hardness(choosing.config.select)), Tally(choosing.config.select)
    pairs = PairCount()
    progress = choosing.prepared.progress
    with progress.track("select", choosing.prepared.collection.queries.num_rows, "queries") as advance:
        for name, block in named_blocks(choosing, deeper):
            one = choosing.guarded(block)
            if walk is not None:
                one = walk.settled(name, one)
            if one.block.scorers:
                pairs.add(one.block, one.unscored)
            keep(choosing.with_new_positives(choosing.select(selector, one), one.block))
            if dropping:
                tally.add(choosing.select(beside, one, with_likely_positives=True))
            advance(len(block.query))
    return Aside(tally.hardness() if dropping else None, pairs, 0.0 if walk is None else walk.seconds)


def _walk(choosing: Choosing, selector: Selector, scoring: Scoring, plan: str) -> Walk:
    """Where no query's choice changes another's, what is filled up at random is left to the choice itself."""
    select = choosing.config.select
    if select.max_reuse is not None:
        return Walk(scoring, plan, selector, across=True)
    alone = choosing.selector(select.model_copy(update={"shortfall": "keep"}))
    return Walk(scoring, plan, alone, across=False)


def _for_hardness(config: SelectConfig) -> SelectConfig:
    """The rules with nothing filled up, where that changes no candidate: no hardness counts random documents.

    Under `max_reuse` random documents use up what later queries would take.
    """
    if config.shortfall != "backfill" or config.max_reuse is not None:
        return config
    return config.model_copy(update={"shortfall": "keep"})


def _deepened(choosing: Choosing, retrievers: Searching, rescored: Rescoring) -> list[str]:
    """Search short queries deeper and deeper; the names of the parts made, shallow first."""
    prepared, documents = choosing.prepared, choosing.prepared.collection.corpus.num_rows
    names: list[str] = []
    depth = choosing.depth
    found = np.full(prepared.collection.queries.num_rows, -1, np.int64)
    opened: Sequence[Retriever] | None = None
    while depth < documents:
        short = _short(choosing, names, found)
        if not len(short):
            break
        depth = min(depth * DEEPEN_BY, documents)
        those = counted(len(short), "query is short; searching it", "queries are short; searching them")
        prepared.progress.say(f"deepen: {those} to depth {depth:,}")
        opened = opened or retrievers()
        for start in range(0, len(short), QUERIES_A_PART):
            names.append(deepen(prepared, opened, short[start : start + QUERIES_A_PART], depth))
            rescored(names[-1])
    return names


def _short(choosing: Choosing, deeper: Sequence[str], found: Any) -> Int32:
    """Rows of the queries that are short and had more candidates than at the depth before.

    found  int64 (queries,): candidates of each query so far; brought up to date
    """
    selector, short = choosing.selector(), []
    for block in blocks(choosing, deeper):
        count = block.present.sum(axis=1)
        grown = count > found[block.query]
        found[block.query] = count
        short.append(block.query[choosing.select(selector, choosing.guarded(block)).short & grown])
    return np.concatenate(short) if short else np.zeros(0, np.int32)


# -- blocks -----------------------------------------------------------------------------------------------


def blocks(choosing: Choosing, deeper: Sequence[str] = ()) -> Iterator[Block]:
    """The stored parts cut at the depth, by query row; queries searched deeper with all that was found."""
    return (block for _, block in named_blocks(choosing, deeper))


def named_blocks(choosing: Choosing, deeper: Sequence[str] = ()) -> Iterator[tuple[str, Block]]:
    """The same, each with the name of its part."""
    prepared, judge, judgments = choosing.prepared, choosing.judged, choosing.judgments
    deep = [_judged(judge, read_judged(prepared, judgments, name), name) for name in deeper]
    for name in parts_in_order(prepared.run):
        if name.startswith("part-"):
            block = read_judged(prepared, judgments, name, choosing.depth)
            if not len(block.query):
                continue
            block = _judged(judge, block, f"{name}-{choosing.depth}")
            for over in deep:
                block = overlaid(block, over)
            yield name, block


def _judged(judge: Judged | None, block: Block, name: str) -> Block:
    return block if judge is None else judge.block(block, name)


def overlaid(block: Block, over: Block) -> Block:
    """The block with the rows of those queries that `over` has too taken from there."""
    _, mine, theirs = np.intersect1d(block.query, over.query, return_indices=True)
    if not len(mine):
        return block

    def put(own: Any, other: Any, nothing: Any) -> Any:
        width = max(own.shape[1], other.shape[1])
        out = np.full((len(own), width), nothing, own.dtype)
        out[:, : own.shape[1]] = own
        out[mine] = nothing
        out[mine, : other.shape[1]] = other[theirs]
        return out

    return replace(
        block,
        doc=put(block.doc, over.doc, NO_DOC),
        ranks={name: put(rank, over.ranks[name], 0) for name, rank in block.ranks.items()},
        scores={name: put(score, over.scores[name], np.nan) for name, score in block.scores.items()},
        p_false_negative=put(block.p_false_negative, over.p_false_negative, np.nan),
    )
