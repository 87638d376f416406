"""Every feature as plain loops work it out: candidates that one retriever missed, equal scores, positives
without a score, queries without a positive and of few candidates, and two vector spaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardneg.guard.fitted.features import (
    COLUMNS,
    FIRST,
    LIKELY,
    NEIGHBOURS,
    RIVALS,
    SECOND,
    Sight,
    features,
)
from hardneg.guard.fitted.grid import Space
from hardneg.guard.fitted.others import Company, Others
from hardneg.guard.fitted.regression import Weights
from hardneg.records import NO_DOC, Block, Pairs

DOCUMENTS, QUERIES, WIDTH = 90, 14, 40
RETRIEVERS, SCORERS = ("dense", "sparse"), ("judge", "other judge")
OFTEN = 3
"""Queries that have the popular documents as positives."""


def space(name: str, seed: int, near: float) -> Space:
    """Vectors of which each has `near` of a direction that all share."""
    draws = np.random.default_rng(seed)
    query, document = (draws.normal(size=(n, 8)) + near for n in (QUERIES, DOCUMENTS))
    return Space(
        name,
        lambda rows: query[rows].astype(np.float32),
        lambda rows: document[rows].astype(np.float32),
    )


def a_block(seed: int) -> tuple[Block, Sight]:
    draws = np.random.default_rng(seed)
    shape = (QUERIES, WIDTH)
    positive = np.full((QUERIES, 4), NO_DOC, np.int32)
    doc = np.full(shape, NO_DOC, np.int32)
    for q in range(QUERIES):
        turned = draws.permutation(DOCUMENTS)
        count, width = q % 5, (WIDTH, 30, 12, 6, 2, 1, 0)[q % 7]
        positive[q, :count], doc[q, :width] = turned[:count], turned[4 : 4 + width]
        doc[q] = draws.permutation(doc[q])
    ranks, scores, positive_scores = {}, {}, {}
    for name in (*RETRIEVERS, *SCORERS):
        found = (doc != NO_DOC) & (draws.random(shape) < (0.95 if name == "dense" else 0.7))
        # Whole eighths: some are equal, of candidates and of positives.
        score = np.round(draws.normal(size=shape) * 8) / 8
        scores[name] = np.where(found, score, np.nan).astype(np.float32)
        of_positive = np.round(draws.normal(0.8, 1, positive.shape) * 8) / 8
        there = (positive != NO_DOC) & (draws.random(positive.shape) < 0.8)
        positive_scores[name] = np.where(there, of_positive, np.nan).astype(np.float32)
        if name in RETRIEVERS:
            place = np.argsort(np.argsort(-np.where(found, score, -np.inf), axis=1, kind="stable"), axis=1)
            ranks[name] = np.where(found, 2 * place + 1, 0).astype(np.int32)  # positives stand between
    labels = [row[row != NO_DOC] for row in positive]
    labels[:OFTEN] = [np.unique([*row, *range(0, DOCUMENTS, 4)]) for row in labels[:OFTEN]]
    query = np.repeat(np.arange(QUERIES, dtype=np.int32), [len(row) for row in labels])
    near = np.stack([[n for n in range(QUERIES) if n != q][:4] for q in range(QUERIES)]).astype(np.int32)
    weight = np.tile(np.array([1.0, 0.75, 0.5, 0.0], np.float32), (QUERIES, 1))
    others = Others(Pairs.from_rows(query, np.concatenate(labels), QUERIES), near, weight, DOCUMENTS)
    nothing = np.full(shape, np.nan, np.float32)
    rows = np.arange(QUERIES, dtype=np.int32)
    block = Block(rows, doc, ranks, scores, positive, positive_scores, nothing)
    count = len(FIRST)
    first = Weights(tuple(FIRST), np.zeros(count), np.ones(count), np.linspace(-1, 1, count), 0.1)
    spaces = (space("one", seed + 1, 0.4), space("another", seed + 2, 0.0))
    return block, Sight(spaces, space("words", seed + 3, 0.0), Company(others), first)


def standard(values: Sequence[float]) -> Any:
    """Less their mean, over their standard deviation; all 0 where they are equal."""
    found = np.array(values, np.float64)
    return (found - found.mean()) / found.std() if found.std() > 0 else np.zeros(len(found))


def by_scores(block: Block, q: int, name: str, at: Sequence[int]) -> dict[str, list[float]]:
    """What one retriever's or scorer's scores say of the query's candidates."""
    score = {n: float(block.scores[name][q, n]) for n in at if np.isfinite(block.scores[name][q, n])}
    known = [float(s) for s in block.positive_scores[name][q] if np.isfinite(s)]
    if name in block.ranks:
        order = sorted(score, key=lambda n: block.ranks[name][q, n])
    else:
        order = sorted(score, key=lambda n: -score[n])
    held = np.array(list(score.values())) if score else np.zeros(1)
    scale = held.std()
    filled = [score.get(n, held.min()) for n in at]
    against = np.mean(known) if known else held.max()
    above = [sum(other > one for other in score.values()) for one in known]
    return {
        "score": [(one - held.mean()) / scale if scale else 0.0 for one in filled],
        "below positives": [(one - against) / scale if scale else 0.0 for one in filled],
        "log rank": [np.log(order.index(n) + 1 if n in score else len(score) + 1) for n in at],
        "depth of positives": [np.mean(np.log1p(above)) if known else 0.0] * len(at),
        "positives in reach": [np.mean([n < len(score) for n in above]) if known else 0.0] * len(at),
    }


def likeness(one: Any, other: Any) -> float:
    return float(one.astype(np.float64) @ other.astype(np.float64))


def to_positives(of: Space, block: Block, q: int, at: Sequence[int]) -> tuple[Any, Any]:
    documents, known = of.documents(block.doc[q, at]), block.positive[q][block.positive[q] != NO_DOC]
    cosines = [[likeness(one, other) for other in of.documents(known)] for one in documents]
    if not len(known):
        return np.zeros(len(at)), np.zeros(len(at))
    return standard([max(row) for row in cosines]), standard([round(sum(row) / len(row)) for row in cosines])


def rivals(of: Space, block: Block, q: int, at: Sequence[int], chance: Sequence[float]) -> Any:
    documents = of.documents(block.doc[q, at])
    likely = sorted(range(len(at)), key=lambda n: -chance[n])[:RIVALS]
    found = []
    for n in range(len(at)):
        near = [likeness(documents[n], documents[other]) * chance[other] for other in likely if other != n]
        found.append(round(sum(max(one, 0.0) for one in sorted(near)[-3:]) / 1024))
    return standard(found)


def neighbours(of: Space, block: Block, q: int, at: Sequence[int], chance: Sequence[float]) -> Any:
    documents = of.documents(block.doc[q, at])
    found = []
    for n in range(len(at)):
        cosines = {other: likeness(documents[n], documents[other]) for other in range(len(at)) if other != n}
        bar = sorted(cosines.values())[-NEIGHBOURS:][:1]
        near = [chance[other] for other, cosine in cosines.items() if [cosine] >= bar]
        found.append(float(np.rint(np.mean(near))) if near else 0.0)
    return standard(found)


def by_loops(block: Block, sight: Sight, q: int) -> tuple[list[int], dict[str, Any]]:
    """Where the query's candidates stand, and each feature of them."""
    at = np.flatnonzero(block.doc[q] != NO_DOC).tolist()
    if not at:
        return at, {}
    parts = {name: by_scores(block, q, name, at) for name in (*block.retrievers, *block.scorers)}
    mean = lambda key, names: np.mean([parts[name][key] for name in names], axis=0)  # noqa: E731
    keys = ("score", "below positives", "log rank", "depth of positives", "positives in reach")
    found: dict[str, Any] = {key: mean(key, parts) for key in keys}
    found["scorers"] = mean("score", block.scorers) if block.scorers else np.zeros(len(at))
    found["scorers, below positives"] = (
        mean("below positives", block.scorers) if block.scorers else np.zeros(len(at))
    )
    found["agreement"] = np.mean([block.ranks[name][q, at] > 0 for name in block.retrievers], axis=0)
    spaces = sight.spaces or [sight.lexical]
    nearest = [to_positives(one, block, q, at) for one in spaces]
    found["nearest positive"], found["mean positive"] = np.mean(nearest, axis=0)
    found["nearest positive, words"], found["mean positive, words"] = to_positives(
        sight.lexical, block, q, at
    )
    asked = sight.lexical.queries(block.query[q : q + 1])[0]
    found["query, words"] = standard(
        [likeness(asked, one) for one in sight.lexical.documents(block.doc[q, at])]
    )
    total, most = (part[q, at] for part in sight.company.near(block))
    highest, together = (part[q, at] for part in sight.company.company(block))
    found["near queries"], found["nearest query"] = np.log(1 + 10 * total), most
    found["popularity"] = np.log(1 + sight.company.popularity(block)[q, at])
    found["company"], found["company, sum"] = highest, np.log(1 + together)
    found["known"] = np.full(len(at), np.log(max((block.positive[q] != NO_DOC).sum(), 1)))
    return at, found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scorers", [SCORERS, ()])
@pytest.mark.parametrize("vectors", [True, False])
def test_every_feature_is_what_plain_loops_find(seed: int, scorers: tuple[str, ...], vectors: bool) -> None:
    block, sight = a_block(seed)
    kept = (*RETRIEVERS, *scorers)
    block = replace(
        block,
        scores={name: block.scores[name] for name in kept},
        positive_scores={name: block.positive_scores[name] for name in kept},
    )
    sight = sight if vectors else replace(sight, spaces=())
    found, seen = features(block, sight), 0
    for q in range(QUERIES):
        at, wanted = by_loops(block, sight, q)
        seen += len(at)
        assert (np.delete(found[q], at, axis=0) == 0).all()
        for name, values in wanted.items():
            assert found[q, at, COLUMNS.index(name)] == pytest.approx(values, abs=2e-3), (q, name)
        if not at:
            continue
        assert set(wanted) == set(FIRST)
        # The second opinion rests on the first: on its bits, which rounding here would change.
        opinion = sight.first.log_odds(found[q, at, : len(FIRST)])
        bar = sorted(opinion)[-LIKELY:][0]
        chance = np.rint(1024 / (1 + np.exp(-np.clip(opinion - bar, -30, 30)))).tolist()
        spaces = sight.spaces or (sight.lexical,)
        second = {
            "nearest rivals": np.mean([rivals(one, block, q, at, chance) for one in spaces], axis=0),
            "neighbours": np.mean([neighbours(one, block, q, at, chance) for one in spaces], axis=0),
            "nearest rivals, words": rivals(sight.lexical, block, q, at, chance),
        }
        assert set(second) == set(SECOND)
        for name, values in second.items():
            assert found[q, at, COLUMNS.index(name)] == pytest.approx(values, abs=1e-3), (q, name)
    assert seen > 100


@pytest.mark.parametrize("seed", range(4))
def test_few_candidates_are_judged_alike_alone_and_beside_many(seed: int) -> None:
    block, sight = a_block(seed)
    whole = features(block, sight)
    for q in range(QUERIES):
        assert (features(block.rows(slice(q, q + 1)), sight)[0] == whole[q]).all(), q
