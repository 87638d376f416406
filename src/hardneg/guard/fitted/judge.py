"""Learning from a run's labels, and judging its candidates by what was learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hardneg.cores import usable_cores
from hardneg.guard.fitted.episodes import MOST_EPISODES, Rows, known_places, training_rows
from hardneg.guard.fitted.features import Sight, features, only
from hardneg.guard.fitted.model import (
    ENOUGH,
    SLOPE,
    Model,
    fit_model,
    matching_shift,
    ratio_of,
)
from hardneg.guard.fitted.regression import Weights
from hardneg.records import NO_DOC, Block, Bool, Float32, Float64, Int32, Int64

EPISODES = 4000
"""Of a fit, about: more make it slower and no better."""
SHIFTED = 1000
"""Queries that probabilities are made to add up on, about."""
AT_ONCE = 16
"""Queries whose features are worked out at once, in each thread: 64 take no less time and 100 MB more."""


@dataclass(frozen=True)
class Judge:
    """fold  int32 (queries of the run,): which queries are judged by which weights"""

    sight: Sight
    model: Model
    fold: Int32

    def log_odds(self, block: Block, candidate: Bool) -> Float64:
        """float64 (queries, width), NaN where `candidate` is false."""
        out = np.full(block.doc.shape, np.nan)

        def judge(rows: Int64) -> None:
            one = only(block.rows(rows).trimmed(), candidate[rows])
            found = self.model.log_odds(features(one, self.sight), self.fold[one.query])
            out[rows] = np.where(candidate[rows], found, np.nan)

        with _threads() as threads:
            list(threads.map(judge, _parts(block)))
        return out


def prior_model(prior: Weights) -> Model:
    """The shipped weights alone. They were fitted on judged collections, so their odds stand as they are."""
    return Model((prior,), slope=1.0, shift=0.0, ratio=1.0, spread=3.0, held=())


def learn(
    blocks: Iterable[tuple[Block, Bool]],
    sight: Sight,
    prior: Weights,
    fold: Int32,
    *,
    queries: int,
    must_fit: bool = False,
    completeness: float | None = None,
) -> Model:
    """The model of a run.

    blocks        blocks of queries with bool (queries, width): candidates that are asked about
    queries       how many queries the blocks hold, about
    must_fit      fit however few labels there are
    completeness  share of the positives among the candidates that are labelled; None: estimated

    Few labels: the shipped weights. More: weights pulled towards those, the less the more labels there are.
    """
    sample = list(blocks)
    if not sample:
        return prior_model(prior)
    per_query = int(np.clip(EPISODES // max(queries, 1), 1, MOST_EPISODES))
    see: Callable[[Block], Float32] = lambda block: features(block, sight)  # noqa: E731

    def look(block: Block, candidate: Bool, at: Int64) -> Rows:
        return training_rows(block.rows(at).trimmed(), candidate[at], per_query, see)

    with _threads() as threads:
        found = [threads.map(partial(look, block, candidate), _parts(block)) for block, candidate in sample]
        rows = Rows.joined([part for parts in found for part in parts])
        held = np.unique(rows.query[rows.label > 0])
        if not len(held) or (len(held) < ENOUGH and not must_fit):
            return prior_model(prior)
        known = None if completeness is None else (1 - completeness) / completeness
        ratio, spread, start = ratio_of(rows, prior, known)
        folds, calibration = fit_model(rows, fold, prior, ratio, start, threads)
    model = Model(folds, SLOPE, 0.0, ratio, spread, calibration)
    some = _with_several(sample, max(1, queries // SHIFTED))
    return replace(model, shift=_shift(some, Judge(sight, model, fold)))


def prior_of(
    prior: Weights, blocks: Iterable[tuple[Block, Bool]], sight: Sight, fold: Int32, completeness: float
) -> Model:
    """The shipped weights where the user says what share of the positives is labelled.

    blocks  as `learn` takes them, of about SHIFTED queries, those with one positive among them
    """
    model = replace(prior_model(prior), ratio=(1 - completeness) / completeness)
    return replace(model, shift=_shift(blocks, Judge(sight, model, fold)))


def _with_several(sample: Sequence[tuple[Block, Bool]], step: int) -> Iterator[tuple[Block, Bool]]:
    """Every `step`th query with several positives."""
    for block, candidate in sample:
        at = np.flatnonzero((block.positive != NO_DOC).sum(axis=1) >= 2)[::step]
        yield block.rows(at), candidate[at]


def _shift(sample: Iterable[tuple[Block, Bool]], judge: Judge) -> float:
    """What makes the probabilities of all candidates add up to `ratio` for each known positive among them; 0
    where there is no such positive."""
    odds, labels = [np.zeros(0)], 0
    for block, candidate in sample:
        odds.append(judge.log_odds(block, candidate)[candidate])
        labels += int(known_places(block).sum())
    model = judge.model
    return matching_shift(model.slope * np.concatenate(odds), model.ratio, labels) if labels else 0.0


def of_one_text(log_odds: Float64, doc: Int32, classes: Int32) -> Float64:
    """The log-odds with candidates of one text, of a query, all at the highest of theirs; NaN stays NaN.

    Other queries' labels name one of the documents of a text: what they say holds for all of them.

    log_odds, doc  float64 and int32 (queries, width)
    classes        int32 (documents,): documents of one class have the same text
    """
    several = np.bincount(classes, minlength=1) > 1
    shared = np.isfinite(log_odds) & (doc != NO_DOC)
    shared[shared] = several[classes[doc[shared]]]
    row, place = np.nonzero(shared)
    key = row.astype(np.int64) << 32 | classes[doc[row, place]].astype(np.int64)
    texts, text = np.unique(key, return_inverse=True)
    highest = np.full(len(texts), -np.inf)
    np.maximum.at(highest, text, log_odds[row, place])
    out = log_odds.copy()
    out[row, place] = highest[text]
    return out


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """A thread a core, each with a matrix product of its own: the products here are small."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable_cores()) as threads:
        yield threads


def _parts(block: Block) -> Iterator[Int64]:
    """Rows of a few queries each, with about as many positives: one that has a thousand makes not all others
    as wide."""
    for rows in of_like_width(block):
        yield from np.array_split(rows, range(AT_ONCE, len(rows), AT_ONCE))


def of_like_width(block: Block) -> Iterator[Int64]:
    """Rows of the block whose numbers of positives have the same power of two above them."""
    count = (block.positive != NO_DOC).sum(axis=1)
    size = np.ceil(np.log2(np.maximum(count, 1)))
    for one in np.unique(size):
        yield np.flatnonzero(size == one)
