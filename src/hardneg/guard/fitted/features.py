"""What a candidate looks like beside its query's known positives and its rivals, as numbers without a scale.

Everything is relative to the other candidates of the query (standard deviations from their mean, ranks), so
that weights fitted with one model mean the same with another. Retrievers are averaged; so are vector spaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hardneg.guard.fitted.grid import GRID, Space, cosines, moments, standardised
from hardneg.guard.fitted.others import Company
from hardneg.guard.fitted.regression import Weights
from hardneg.records import NO_DOC, Block, Bool, Float32, Float64, Int32, Int64

FIRST = {
    "score": "score, in standard deviations of the query's candidates",
    "below positives": "score less the mean score of the known positives, in the same",
    "scorers": "score, of scorers alone; 0 where there is none",
    "scorers, below positives": "the same of their scores less the mean score of the known positives",
    "log rank": "logarithm of the rank among candidates that are not known positives",
    "agreement": "share of the retrievers that found it",
    "nearest positive": "highest cosine to a known positive, standardised",
    "mean positive": "mean cosine to the known positives, standardised",
    "nearest positive, words": "the same of the lexical vectors",
    "mean positive, words": "the same of the lexical vectors",
    "query, words": "lexical cosine to the query, standardised",
    "near queries": "logarithm of 1 + 10 × the weights of near queries that have it as a positive",
    "nearest query": "the highest of those weights",
    "popularity": "logarithm of 1 + other queries that have it as a positive",
    "company": "highest cosine of its labels to those of a known positive",
    "company, sum": "logarithm of 1 + the sum of those cosines",
    "known": "logarithm of the number of known positives",
    "depth of positives": "mean logarithm of 1 + candidates that score above a known positive",
    "positives in reach": "share of the known positives that score above the last candidate",
}
SECOND = {
    "nearest rivals": "mean of the three highest cosines to others, each times how likely that one looks",
    "neighbours": "mean of how likely the five nearest candidates look, standardised",
    "nearest rivals, words": "the same of the lexical vectors",
}
COLUMNS = (*FIRST, *SECOND)
LIKELY = 10
"""The candidate at this place of the first opinion counts half as a rival."""
RIVALS = 24
"""Candidates that likeness is taken to."""
NEIGHBOURS = 5
"""Nearest candidates whose likeliness is looked at."""
STEPS = 65536


@dataclass(frozen=True)
class Sight:
    """What features are taken from.

    spaces   vector spaces of the retrievers that have one
    lexical  the lexical space
    company  other queries' labels
    first    weights of the first opinion, over FIRST
    scorers  whether the scores of scorers are looked at
    """

    spaces: Sequence[Space]
    lexical: Space
    company: Company
    first: Weights
    scorers: bool = True


def features(block: Block, sight: Sight) -> Float32:
    """float32 (queries, width, FIRST + SECOND): what is known of each candidate, 0 where there is none.

    block.doc holds the candidates that are asked about, block.positive the positives that may be looked at:
    neither may be among the other.
    """
    block = block if sight.scorers else block.by_retrievers()
    present = block.doc != NO_DOC
    order = np.argsort(~present, axis=1, kind="stable")[:, : int(present.sum(axis=1).max(initial=0))]
    found = _dense_features(_taken(block, order), sight)
    out = np.zeros((*block.doc.shape, len(COLUMNS)), np.float32)
    np.put_along_axis(out, order[:, :, None], found, axis=1)
    return out


def _taken(block: Block, order: Int64) -> Block:
    """The block with its columns in another order, each row its own."""
    row = np.arange(len(order))[:, None]
    return replace(
        block,
        doc=block.doc[row, order],
        ranks={name: rank[row, order] for name, rank in block.ranks.items()},
        scores={name: score[row, order] for name, score in block.scores.items()},
        p_false_negative=block.p_false_negative[row, order],
    )


def _dense_features(block: Block, sight: Sight) -> Float32:
    """The same where candidates stand before places without one."""
    present = block.doc != NO_DOC
    columns = [*_from_scores(block, present), *_from_others(block, sight.company)]
    spaces = [*(sight.spaces or [sight.lexical]), sight.lexical]
    documents = [space.documents(block.doc) for space in spaces]
    to_positives = [
        _to_positives(found, space, block) for found, space in zip(documents, spaces, strict=True)
    ]
    named = dict(zip(("nearest positive", "mean positive"), _mean_of(to_positives[:-1]), strict=True))
    named["nearest positive, words"], named["mean positive, words"] = to_positives[-1]
    query = sight.lexical.queries(block.query)[:, None, :]
    named["query, words"] = standardised(cosines(documents[-1], query)[..., 0].astype(np.float64), present)
    values = {**dict(columns), **named}
    first = np.stack([np.where(present, values[name], 0.0) for name in FIRST], axis=2).astype(np.float32)
    chance = _chances(sight.first.log_odds(first), present)
    second = [*_mean_of([_among(found, chance, present) for found in documents[:-1]])]
    second.append(_rivals(*_to_likeliest(documents[-1], chance), chance, present))
    return np.concatenate([first, np.stack(second, axis=2).astype(np.float32)], axis=2)


def _mean_of(values: Sequence[Sequence[Float64]]) -> tuple[Float64, ...]:
    """The mean over spaces, in their order, of each of several values."""
    return tuple(sum(one[1:], start=one[0]) / len(one) for one in zip(*values, strict=True))


# -- scores and ranks -------------------------------------------------------------------------------------


def _from_scores(block: Block, present: Bool) -> list[tuple[str, Float64]]:
    """Means over retrievers and scorers; agreement is the retrievers' alone."""
    parts = [_one_scale(block, name, present) for name in (*block.retrievers, *block.scorers)]
    means = _means(parts)
    of_scorers = _means(parts[len(block.retrievers) :])
    for key, of in (("scorers", "score"), ("scorers, below positives", "below positives")):
        means[key] = of_scorers.get(of, np.zeros(block.doc.shape))
    shape = block.doc.shape
    found = [(block.ranks[name] > 0) for name in block.retrievers]
    means["agreement"] = np.mean(found, axis=0, dtype=np.float64)
    known = (block.positive != NO_DOC).sum(axis=1)
    means["known"] = np.broadcast_to(np.log(np.maximum(known, 1))[:, None], shape)
    for key in ("depth of positives", "positives in reach"):
        means[key] = np.broadcast_to(means[key], shape)
    return list(means.items())


def _means(parts: Sequence[dict[str, Float64]]) -> dict[str, Float64]:
    """Of each key, over the parts in their order; none of no parts."""
    keys = parts[0] if parts else ()
    return {key: sum((part[key] for part in parts[1:]), start=parts[0][key]) / len(parts) for key in keys}


def _one_scale(block: Block, name: str, present: Bool) -> dict[str, Float64]:
    """What one retriever's or scorer's scores say; a scorer ranks by its scores."""
    if name in block.ranks:
        found, rank = present & (block.ranks[name] > 0), block.ranks[name]
    else:
        found = present & np.isfinite(block.scores[name])
        rank = _by_falling(np.where(found, block.scores[name], -np.inf))
    score, positive = _stepped(block, name, found)
    known = (block.positive != NO_DOC) & np.isfinite(positive)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    held = np.where(found, score, np.nan)
    mean, deviation = moments(score, found)
    highest = score.max(axis=1, keepdims=True, initial=0.0)
    reference = np.where(known, positive, 0.0).sum(axis=1, keepdims=True) / count
    reference = np.where(known.any(axis=1, keepdims=True), reference, highest)
    among = _ranks(rank, found)
    above = (held[:, None, :] > positive[:, :, None]).sum(axis=2)
    number = found.sum(axis=1, keepdims=True)
    depth = np.rint(np.log1p(above) * STEPS)
    return {
        "score": (score - mean) / deviation,
        # Candidates that score alike have no deviation to measure by.
        "below positives": np.where(highest > 0, (score - reference) / deviation, 0.0),
        "log rank": np.log(np.where(found, among, number + 1)),
        "depth of positives": np.where(known, depth, 0.0).sum(axis=1, keepdims=True) / count / STEPS,
        "positives in reach": (known & (above < number)).sum(axis=1, keepdims=True) / count,
    }


def _stepped(block: Block, name: str, found: Bool) -> tuple[Float64, Float64]:
    """Scores of candidates and positives as whole steps of the range of the query's candidates, so that sums
    of them are exact: 0 the lowest candidate's, and that of one without a score."""
    score = np.where(found, block.scores[name], np.nan).astype(np.float64)
    lowest = np.where(found, score, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    highest = np.where(found, score, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    lowest = np.where(np.isfinite(lowest), lowest, 0.0)
    width = np.where(np.isfinite(highest), highest, 0.0) - lowest
    scale = STEPS / np.where(width > 0, width, 1.0)
    positive = block.positive_scores[name].astype(np.float64)
    return np.where(found, _steps((score - lowest) * scale), 0.0), _steps((positive - lowest) * scale)


def _steps(values: Float64) -> Float64:
    out: Float64 = np.rint(np.clip(values, -16.0 * STEPS, 16.0 * STEPS))
    return out


def _by_falling(score: Float32) -> Int32:
    """Place of each in falling order, from 1; equal ones in the order of the block."""
    order = np.argsort(-score, axis=1, kind="stable")
    out = np.empty(score.shape, np.int32)
    np.put_along_axis(out, order, np.arange(1, score.shape[1] + 1, dtype=np.int32)[None, :], axis=1)
    return out


def _ranks(rank: np.ndarray[tuple[int, ...], np.dtype[np.int32]], found: Bool) -> Float64:
    """Ranks counted among those found alone, from 1."""
    order = np.argsort(np.where(found, rank, np.iinfo(np.int32).max), axis=1, kind="stable")
    out = np.empty(rank.shape, np.float64)
    np.put_along_axis(out, order, np.arange(1.0, rank.shape[1] + 1)[None, :], axis=1)
    return out


# -- other queries, positives, rivals ---------------------------------------------------------------------


def _from_others(block: Block, company: Company) -> list[tuple[str, Float64]]:
    total, most = company.near(block)
    highest, together = company.company(block)
    return [
        ("near queries", np.log1p(10 * total)),
        ("nearest query", most),
        ("popularity", np.log1p(company.popularity(block))),
        ("company", highest),
        ("company, sum", np.log1p(together)),
    ]


def _to_positives(documents: Float32, space: Space, block: Block) -> tuple[Float64, Float64]:
    """Standardised highest and mean cosine of the candidates to the known positives."""
    present, known = block.doc != NO_DOC, (block.positive != NO_DOC)[:, None, :]
    cosine = cosines(documents, space.documents(block.positive)).astype(np.float64)
    highest = np.where(known, cosine, -np.inf).max(axis=2, initial=-float(GRID * GRID))
    count = np.maximum(known.sum(axis=2), 1)
    mean = np.rint(np.where(known, cosine, 0.0).sum(axis=2) / count)
    return standardised(highest, present), standardised(mean, present)


def _chances(opinion: Float64, present: Bool) -> Float64:
    """How likely each candidate looks beside the one at LIKELY, or the last where there are fewer, in 1/1024:
    whole numbers float64 (queries, width), 0 where there is none."""
    held = np.where(present, opinion, -np.inf)
    width = held.shape[1]
    at = width - min(LIKELY, width)
    bar = np.partition(held, at, axis=1)[:, at, None] if width else held
    last = np.where(present, opinion, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    bar = np.where(np.isfinite(bar), bar, np.where(np.isfinite(last), last, 0.0))
    chance = np.rint(1024 / (1 + np.exp(-np.clip(held - bar, -30, 30))))
    return np.where(present, chance, 0.0)


def _among(documents: Float32, chance: Float64, present: Bool) -> tuple[Float64, ...]:
    """Likeness to likely candidates, and how likely the nearest ones look."""
    cosine = cosines(documents, documents)
    place = _likeliest(chance)
    likely = np.take_along_axis(cosine, place[:, None, :], axis=2)
    own = np.arange(cosine.shape[1])
    cosine[:, own, own] = -np.inf
    cosine[np.broadcast_to(~present[:, None, :], cosine.shape)] = -np.inf
    neighbours = standardised(_neighbours(cosine, chance), present)
    return _rivals(likely, place, chance, present), neighbours


def _neighbours(cosine: Float32, chance: Float64) -> Float64:
    """Mean chance of the NEIGHBOURS nearest, and of those as near as the last of them; whole numbers.

    cosine  float32 (queries, width, width), -inf where nothing is looked at
    """
    width = cosine.shape[2]
    if not width:
        return chance
    at = width - min(NEIGHBOURS, width)
    bar = np.partition(cosine, at, axis=2)[:, :, at, None]
    near = ((cosine >= bar) & (cosine > -np.inf)).astype(np.float32)
    total = np.matmul(near, chance[:, :, None].astype(np.float32))[..., 0].astype(np.float64)
    mean: Float64 = np.rint(total / np.maximum(near.sum(axis=2), 1.0))
    return mean


def _likeliest(chance: Float64) -> Int64:
    """Places of the RIVALS likeliest candidates of each query; of equally likely ones the first."""
    return np.argsort(-chance, axis=1, kind="stable")[:, :RIVALS]


def _to_likeliest(documents: Float32, chance: Float64) -> tuple[Float32, Int64]:
    """Cosines to the likeliest candidates, and their places."""
    place = _likeliest(chance)
    return cosines(documents, documents[np.arange(len(documents))[:, None], place]), place


def _rivals(found: Float32, place: Int64, chance: Float64, present: Bool) -> Float64:
    """The mean cosine to the three most likely and nearest of the likeliest candidates, standardised; one
    that points away counts 0, like a place without a candidate.

    found  float32 (queries, width, rivals): cosines to the candidates at `place`
    """
    cosine = np.maximum(found, 0.0) * np.take_along_axis(chance, place, axis=1)[:, None, :]
    cosine[np.arange(len(found))[:, None], place, np.arange(place.shape[1])[None, :]] = 0.0
    width = cosine.shape[2]
    top = min(3, width)
    highest = np.partition(cosine, width - top, axis=2)[:, :, width - top :] if top else cosine
    return standardised(np.rint(highest.sum(axis=2) / 1024), present)


def only(block: Block, keep: Bool) -> Block:
    """The block with NO_DOC where `keep` is false."""
    return replace(block, doc=np.where(keep, block.doc, np.int32(NO_DOC)))
