"""candidates → negatives: a block of queries at a time.

The guard's exclusions, window, thresholds and margins, twins, then the sampler's order, quotas and
`max_reuse`; given negatives come first and count. What a query still lacks is handled as `shortfall` says;
for `deepen` it is only told (`Selection.short`), since searching deeper is the plan's to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.config import SelectConfig
from hardneg.protocols import Vectors
from hardneg.records import NO_DOC, Block, Bool, Int32
from hardneg.select.anchors import Anchors, only_positive, take_rows
from hardneg.select.assembly import Part, assemble
from hardneg.select.backfill import Backfill, Exclude
from hardneg.select.checks import check
from hardneg.select.choice import Chooser, Task
from hardneg.select.draws import Draws, UInt64, stream_keys, uniforms
from hardneg.select.duplicates import Twins
from hardneg.select.eligibility import Given, candidate_reasons, given_reasons, lacking, references
from hardneg.select.quota import parse_quotas
from hardneg.select.reasons import Codes
from hardneg.select.reuse import Reuse
from hardneg.select.rules import Candidates
from hardneg.select.samplers import NEEDS_DRAWS, build_sampler
from hardneg.select.scoring import order_value, ordering
from hardneg.select.selection import Selection, UInt8
from hardneg.select.unscored import needed
from hardneg.texts import take

Ids = Any
"""An Arrow array, chunked or not, or a sequence of str."""


@dataclass(frozen=True)
class Corpus:
    """What selection must know of the queries and documents, by row.

    query_ids  of all queries; doc_ids of all documents
    classes    int32 (documents,): documents of one class have the same text; -1: known to have no twin
    documents  the stored vectors, for the sampler `diverse`
    exclude    the guard's rules for any block, for the shortfall `backfill`: bool like `block.doc`, true
               where a document may not be chosen
    draws      of the block at hand, for all selectors that share this
    """

    query_ids: Ids
    doc_ids: Ids
    classes: Int32
    documents: Vectors | None = None
    exclude: Exclude | None = None
    draws: Draws = field(default_factory=Draws, repr=False, compare=False)


class Selector:
    """One selection: `select` each block, in ascending order of queries.

    guard_codes  names of the numbers in `excluded`, `""` first, as the guard's `codes` gives them

    Raises UsageError for a sampler or quota that cannot be carried out.
    """

    def __init__(self, config: SelectConfig, guard_codes: Sequence[str], corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus
        self.codes = Codes.after(guard_codes)
        self._twins = Twins(corpus.classes)
        self._sampler = build_sampler(config, corpus.documents)
        self._chooser = Chooser(
            codes=self.codes,
            wanted=None if config.num_negatives == "all" else config.num_negatives,
            quotas=parse_quotas(config.quota),
            reuse=Reuse(config.max_reuse, len(corpus.classes)),
            backfill=self._backfill(),
            drop=config.shortfall == "drop",
            twins=self._twins,
        )

    def _backfill(self) -> Backfill | None:
        if self.config.shortfall != "backfill" or self.config.num_negatives == "all":
            return None
        if self.corpus.exclude is None:
            raise ValueError("shortfall 'backfill' needs Corpus.exclude, the guard's rules")
        return Backfill(self._twins, self.corpus.exclude)

    def select(
        self,
        block: Block,
        excluded: UInt8,
        *,
        given: Int32 | None = None,
        given_excluded: UInt8 | None = None,
        left_out: Bool | None = None,
        unscored: Bool | None = None,
    ) -> Selection:
        """Choose for a block of queries.

        excluded        uint8 (queries, width): number of the first guard rule that excludes a candidate, or 0
        given           int32 (queries, given): given negatives in their order, NO_DOC filled
        given_excluded  uint8 (queries, given): the same of them
        left_out        bool (queries,): queries on the block list, which get nothing
        unscored        bool (queries, width): candidates that `score_by`, a scorer, has not scored; they pass
                        its rules. None: it has scored all

        Raises UsageError as `check` does.
        """
        check(self.config, block.retrievers, block.scorers)
        self._chooser.reuse.start_block(block.query)
        self.corpus.draws.start_block(block.query)
        if not block.doc.shape[1]:
            block, excluded, unscored = *_one_wide(block), None
        known = _given(block, given, given_excluded)
        left_out = np.zeros(len(block.query), np.bool_) if left_out is None else left_out
        anchors = Anchors.of(block, self.config.reference == "each")
        parts = []
        for part, rows in anchors.parts():
            some = take_rows(block, rows)
            if anchors.each:
                some = only_positive(some, anchors.positive[part])
            here = Given(known.doc[rows], known.excluded[rows])
            unseen = None if unscored is None else unscored[rows]
            parts.append(self._part(some, excluded[rows], here, left_out[rows], unseen))
        return assemble(block, anchors, parts, known.doc, left_out, self.config, self.codes)

    def needed(self, block: Block, excluded: UInt8, *, unscored: Bool, **beside: Any) -> Bool:
        """The unscored candidates whose scores the choice hangs on, bool (queries, width); none: it stands.

        Takes what `select` takes, and remembers no use for `max_reuse`.
        """
        with self._chooser.reuse.undone():
            found = self.select(block, excluded, unscored=unscored, **beside)
        reason = found.reason[:, : unscored.shape[1]]
        return needed(block.doc, reason, unscored, self._twins, self.codes)

    def _part(
        self, block: Block, excluded: UInt8, given: Given, left_out: Bool, unscored: Bool | None
    ) -> Part:
        """The same for some anchors, whose `block` has a row each."""
        reference = references(block, self.config)
        candidates = Candidates(block.doc, block.ranks, block.scores, reference, unscored)
        missing = lacking(candidates, block.positive, self.config)
        invalid = np.any(list(missing.values()), axis=0)
        reason = candidate_reasons(block, candidates, excluded, self.config, self.codes)
        given_reason = given_reasons(given, self._twins, self.codes)
        for rows, name in ((invalid, "no_positive_score"), (left_out, "excluded_query")):
            number = self.codes.number(name)
            for whole, doc, guard in (
                (reason, block.doc, excluded),
                (given_reason, given.doc, given.excluded),
            ):
                np.putmask(whole, rows[:, None] & (doc != NO_DOC) & (guard == 0), number)
        task = Task(
            block=block,
            reason=reason,
            given=given,
            given_reason=given_reason,
            active=~invalid & ~left_out,
            order=lambda eligible, limit: self._order(block, candidates, eligible, limit),
            backfill_keys=lambda rows: self._keys(take_rows(block, rows), "backfill"),
            unscored=unscored,
        )
        return Part(block, candidates, reason, given_reason, self._chooser.choose(task), missing)

    def _order(self, block: Block, candidates: Candidates, eligible: Bool, limit: int) -> Int32:
        name = ordering(self.config, block.retrievers)
        reference = candidates.reference[name] if name is not None else np.full(len(block.query), np.nan)
        uniform: Any = None
        if self.config.sampler in NEEDS_DRAWS:
            width = block.doc.shape[1]
            positive = block.positive.tobytes() if self.config.reference == "each" else b""
            uniform = self.corpus.draws.kept(
                (self.config.seed, block.query.tobytes(), positive, width),
                lambda: uniforms(self._keys(block, "sampler"), width),
            )
        return self._sampler.order(
            block, eligible, order_value(block, self.config), reference.astype(np.float32), uniform, limit
        )

    def _keys(self, block: Block, purpose: str) -> UInt64:
        """Each anchor's stream: by its query, and under `each` its positive."""
        ids: list[tuple[bytes, ...]] = [(one,) for one in _ids(self.corpus.query_ids, block.query)]
        if self.config.reference == "each":
            positive = block.positive[:, 0]
            names = _ids(self.corpus.doc_ids, np.maximum(positive, 0)) if len(self.corpus.classes) else []
            ids = [(*query, name) for query, name in zip(ids, names, strict=True)]
        return stream_keys(self.config.seed, ids, purpose)


def _ids(ids: Ids, rows: Int32) -> list[bytes]:
    if not isinstance(ids, pa.ChunkedArray | pa.Array):
        return [ids[row].encode() for row in rows.tolist()]
    taken = take(ids, rows) if isinstance(ids, pa.ChunkedArray) else ids.take(pa.array(rows))
    found: list[bytes] = taken.cast(pa.binary()).to_pylist()
    return found


def _one_wide(block: Block) -> tuple[Block, UInt8]:
    """A block without any candidate gets one empty place, so that no later step must think of it; and what
    the guard says of it."""
    shape = (len(block.query), 1)
    filled: Mapping[str, Any] = {name: np.full(shape, np.nan, np.float32) for name in block.scores}
    wider = Block(
        query=block.query,
        doc=np.full(shape, NO_DOC, np.int32),
        ranks={name: np.zeros(shape, np.int32) for name in block.ranks},
        scores=filled,
        positive=block.positive,
        positive_scores=block.positive_scores,
        p_false_negative=np.full(shape, np.nan, np.float32),
    )
    return wider, np.zeros(shape, np.uint8)


def _given(block: Block, given: Int32 | None, excluded: UInt8 | None) -> Given:
    """Given negatives, one that stands there twice only once."""
    if given is None:
        return Given(np.zeros((len(block.query), 0), np.int32), np.zeros((len(block.query), 0), np.uint8))
    if excluded is None:
        raise ValueError("given negatives must come with `given_excluded`, what the guard says of them")
    once = given.copy()
    for column in range(1, given.shape[1]):
        again = (given[:, :column] == given[:, column : column + 1]).any(axis=1)
        once[again, column] = NO_DOC
    return Given(once, excluded)
