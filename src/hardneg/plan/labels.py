"""People's judgments in a run: judged positives stand with the user's own, and a rate comes out of them.

A document judged relevant is a known positive from here on: for the exclusions, near-duplicates, the margins'
reference, the guard and the export. One judged not relevant has a `p_false_negative` of 0; what a hard
exclusion says of it stands all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import Config
from hardneg.errors import InputError
from hardneg.guard.fitted import LEVEL, Stratum, measured_rate
from hardneg.plan.prepare import Prepared
from hardneg.plan.retrieve import NO_LIMIT, read_block
from hardneg.plan.retrievers import Source
from hardneg.progress import Silent
from hardneg.quantities import counted
from hardneg.read import RelevanceLabels, read_relevance
from hardneg.records import NO_DOC, Block, Bool, Float32, Float64, Int32, Int64, Pairs

NO_DRAWING = (
    "the judged pairs are no drawing of `hardneg suspects` (with selection, stratum, their sizes and "
    "inclusion_probability), so no rate follows from them"
)


@dataclass(frozen=True)
class Judgments:
    """Judged pairs by row.

    read      the files' rows
    known     the user's own positives
    query     int32 (pairs,), doc int32, relevant bool, each pair once, without the user's own positives;
              sorted by query and document
    weight    float64 (pairs,): how many negatives the pair stands for; 1 where no drawing says
    measured  for each selection that pairs were drawn from: its rate of false negatives, or why there is none
    found     the run's retrievers, looked at where a judged positive has no score of one yet
    """

    read: RelevanceLabels
    known: Pairs
    query: Int32
    doc: Int32
    relevant: Bool
    weight: Float64
    measured: list[dict[str, Any]]
    found: Callable[[], Sequence[Source]] = field(repr=False)

    @property
    def key(self) -> Int64:
        return _key(self.query, self.doc)

    @cached_property
    def added(self) -> Pairs:
        """The documents judged relevant, of each query."""
        return Pairs.from_rows(self.query[self.relevant], self.doc[self.relevant], len(self.known.start) - 1)

    def prepared(self, prepared: Prepared) -> Prepared:
        """The run with judged positives among its positives."""
        count = len(self.known.start) - 1
        both = np.concatenate([self.known.query, self.query[self.relevant]])
        doc = np.concatenate([self.known.doc, self.doc[self.relevant]])
        return replace(prepared, positives=Pairs.from_rows(both, doc, count))

    # -- blocks -------------------------------------------------------------------------------------

    def block(self, block: Block) -> Block:
        """The block with judged positives after its own, with the scores that they have as candidates."""
        added = self.added.padded(block.query)
        if not added.shape[1]:
            return block
        names = dict.fromkeys([*block.positive_scores, *block.scores])
        nothing = np.full(block.positive.shape, np.nan, np.float32)
        return replace(
            block,
            positive=np.hstack([block.positive, added]),
            positive_scores={
                name: np.hstack([block.positive_scores.get(name, nothing), self._scores(block, name, added)])
                for name in names
            },
        )

    def _scores(self, block: Block, name: str, added: Int32) -> Float32:
        """float32 like `added`, NaN where there is none."""
        out = np.full(added.shape, np.nan, np.float32)
        if name in block.scores:
            for column in range(added.shape[1]):
                wanted = added[:, column : column + 1]
                row, place = np.nonzero(block.doc == wanted)  # no document: no score
                out[row, column] = block.scores[name][row, place]
        missing = np.isnan(out) & (added != NO_DOC)
        if name in block.ranks and missing.any():
            keys, scores = self._computed[name]
            rows = np.broadcast_to(block.query[:, None], added.shape)
            out[missing] = scores[np.searchsorted(keys, _key(rows[missing], added[missing]))]
        return out

    @cached_property
    def _computed(self) -> dict[str, tuple[Int64, Float32]]:
        """By retriever, of all judged positives: keys, ascending, and scores, as those of the positives."""
        query = np.unique(self.query[self.relevant])
        doc = self.added.padded(query)
        there = doc != NO_DOC
        keys = _key(np.broadcast_to(query[:, None], doc.shape)[there], doc[there])
        opened = [source.open() for source in self.found()]
        return {
            retriever.name: (keys, retriever.search(query, 1, doc, Silent()).positive_score[there])
            for retriever in opened
        }

    def places(self, block: Block) -> tuple[Int64, Int64, Int64]:
        """Where judged pairs are candidates of the block: number of the pair, row and place."""
        _, row, queries = np.intersect1d(block.query, np.unique(self.query), return_indices=True)
        row_of = np.full(len(self.known.start), -1, np.int64)
        row_of[np.unique(self.query)[queries]] = row
        pair = np.flatnonzero(row_of[self.query] >= 0)
        hit, place = np.nonzero(block.doc[row_of[self.query[pair]]] == self.doc[pair][:, None])
        return pair[hit], row_of[self.query[pair[hit]]], place

    # -- what it came to ------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """How many were judged, how, and what rows were not used."""
        return {
            "judged": len(self.query),
            "relevant": int(self.relevant.sum()),
            "not_relevant": int((~self.relevant).sum()),
            "not_used": {
                **{name: count for name, count in self.read.counts.items() if name != "rows"},
                "own_positives": self.own_positives,
            },
        }

    @property
    def own_positives(self) -> int:
        """Judged pairs that are positives of the user's own, which stay so."""
        return len(np.unique(_key(self.read.query, self.read.doc))) - len(self.query)


def judgments(prepared: Prepared, config: Config, found: Callable[[], Sequence[Source]]) -> Judgments | None:
    """What `--labels` brings; None where it is not given. Says what it could not use.

    Raises InputError as `read_relevance` and `measured` do.
    """
    if not config.guard.labels:
        return None
    collection, known = prepared.collection, prepared.positives
    read = read_relevance(
        [Path(path) for path in config.guard.labels],
        collection.queries["query_id"],
        collection.corpus["doc_id"],
    )
    for note in read.notes:
        prepared.progress.say(note)
    key, first = np.unique(_key(read.query, read.doc), return_index=True)
    new = ~np.isin(key, _key(known.query, known.doc))
    kept = first[new]
    people = Judgments(
        read=read,
        known=known,
        query=read.query[kept],
        doc=read.doc[kept],
        relevant=np.asarray(read.table["relevant"].to_numpy(zero_copy_only=False), np.bool_)[kept],
        weight=_weights(read)[new],
        measured=measured(read.table),
        found=found,
    )
    if people.own_positives:
        prepared.progress.say(
            counted(people.own_positives, "judged pair is a positive", "judged pairs are positives")
            + " by the data's own labels, and stay so"
        )
    return people


def _weights(read: RelevanceLabels) -> Float64:
    """Of each judged pair: the highest that any of its rows gives; float64 (distinct pairs,)."""
    chance = read.table["inclusion_probability"].fill_null(1.0).to_numpy()
    pairs, place = np.unique(_key(read.query, read.doc), return_inverse=True)
    weight = np.ones(len(pairs))
    np.maximum.at(weight, place, 1 / chance)
    return weight


def read_judged(prepared: Prepared, judged: Judgments | None, name: str, depth: int = NO_LIMIT) -> Block:
    """A stored part with judged positives among its positives."""
    block = read_block(prepared, name, depth)
    return block if judged is None else judged.block(block)


def _key(query: Int32, doc: Int32) -> Int64:
    key: Int64 = query.astype(np.int64) << 32 | doc.astype(np.int64)
    return key


# -- the rate -----------------------------------------------------------------------------------------------


def measured(table: pa.Table) -> list[dict[str, Any]]:
    """The share of false negatives of each selection that the judged rows (RELEVANCE_LABELS) are drawn from.

    Raises InputError where rows of one selection are of different drawings.
    """
    drawn = table.filter(pc.is_valid(table["selection"]))
    names = sorted(set(drawn["selection"].to_pylist()))
    found = [_measured(name, drawn.filter(pc.equal(drawn["selection"], name))) for name in names]
    return found or [{"selection": None, "share": None, "message": NO_DRAWING}]


def _measured(selection: str, rows: pa.Table) -> dict[str, Any]:
    """The rate of one selection, from its judged rows."""
    strata, drawn = [], 0
    for name in sorted(set(rows["stratum"].to_pylist())):
        part = rows.filter(pc.equal(rows["stratum"], name))
        size = _only(part, "stratum_size", selection)
        chance = _only(part, "inclusion_probability", selection)
        strata.append(Stratum(size, part.num_rows, pc.sum(part["relevant"]).as_py()))
        drawn += round(chance * size)
    negatives = _only(rows, "selection_size", selection)
    unseen = negatives - sum(stratum.size for stratum in strata)
    if unseen < 0 or any(stratum.judged > stratum.size for stratum in strata):
        raise InputError(
            f"selection {selection!r} has {negatives:,} negatives by its column selection_size, fewer than "
            "its strata hold; give a file as `hardneg suspects` wrote it"
        )
    facts = {"selection": selection, "negatives": negatives, "judged": rows.num_rows, "share": None}
    rate = measured_rate([*strata, Stratum(unseen, 0, 0)])
    if rate is None:
        message = f"{unseen:,} of its {negatives:,} negatives belong to a stratum of which nothing is judged"
        return {**facts, "message": message}
    return {**facts, "not_judged": max(drawn - rows.num_rows, 0), **asdict(rate), "level": LEVEL}


def _only(rows: pa.Table, column: str, selection: str) -> Any:
    """The value that all the rows share."""
    values = sorted(set(rows[column].to_pylist()))
    if len(values) > 1:
        raise InputError(
            f"the rows of selection {selection!r} come from different drawings ({column} is {values[0]} and "
            f"{values[1]}); give the files of one drawing of a selection",
            column=column,
        )
    return values[0]
