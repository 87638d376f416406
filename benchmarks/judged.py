"""Judged collections with labels hidden: what the guard's figures and its shipped weights are taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

import hardneg
from hardneg.config import DEFAULT_MODEL, EncodeConfig
from hardneg.encode import VectorStore, encode_texts, open_encoder
from hardneg.guard.fitted.features import Sight
from hardneg.guard.fitted.grid import Space, on_grid
from hardneg.guard.fitted.lexical import Lexical, project_all
from hardneg.guard.fitted.others import Company, Others, near_weights
from hardneg.guard.fitted.regression import Weights
from hardneg.progress import Silent
from hardneg.records import NO_DOC, Block, Bool, Float32, Int32, Pairs
from hardneg.search.bm25 import Bm25Retriever
from hardneg.texts import document_texts
from measuring import shared_data

DEPTH = 100
NEIGHBOURS = 50
QUERIES_AT_ONCE = 64
COLLECTIONS = {"nfcorpus": "train", "cranfield": "test", "scifact": "train"}

Keep = float | str
"""The share of each query's positives that stays known, or `one`."""


@dataclass(frozen=True)
class Judged:
    """A collection: vectors of unit length, lexical vectors, every positive; `scores` is dense or bm25."""

    name: str
    queries: Float32
    documents: Float32
    lexical: Lexical
    positives: Pairs
    bm25: Bm25Retriever


@cache
def judged(name: str) -> Judged:
    data = hardneg.load(str(shared_data(name)), split=COLLECTIONS[name])
    encoder = open_encoder(DEFAULT_MODEL, EncodeConfig())
    texts = document_texts(data.corpus, True)
    vectors = {
        kind: encode_texts(encoder, of, kind, store=VectorStore(None, "float32"), progress=Silent()).vectors
        for kind, of in (("query", data.queries["text"]), ("document", texts))
    }
    query, doc = (
        np.searchsorted(of[key].to_numpy(), data.qrels[key].to_numpy()).astype(np.int32)
        for of, key in ((data.queries, "query_id"), (data.corpus, "doc_id"))
    )
    positive = data.qrels["relevance"].to_numpy() > 0
    return Judged(
        name,
        vectors["query"].block(0, data.queries.num_rows),
        vectors["document"].block(0, data.corpus.num_rows),
        Lexical(*project_all(texts, data.queries["text"])),
        Pairs.from_rows(query[positive], doc[positive], data.queries.num_rows),
        Bm25Retriever("bm25", data.queries["text"], texts),
    )


@dataclass(frozen=True)
class Setting:
    """A collection of which a part of the labels is known, searched to DEPTH beyond the known ones.

    block    one block of all queries
    known    bool (queries, width): a known positive stands there
    hidden   bool (queries, width): a positive that is not known stands there
    """

    judged: Judged
    positives: Pairs
    block: Block
    known: Bool
    hidden: Bool
    near: tuple[Int32, Float32]

    def sight(self, first: Weights, dense: bool = True) -> Sight:
        own = self.judged
        space = Space("dense", lambda rows: own.queries[rows], lambda rows: own.documents[rows])
        lexical = Space("words", own.lexical.query, own.lexical.document, whole=True)
        company = Company(Others(self.positives, *self.near, len(own.documents)))
        return Sight((space,) if dense else (), lexical, company, first)

    def blocks(self) -> Iterator[tuple[slice, Block]]:
        for start in range(0, len(self.block.query), QUERIES_AT_ONCE):
            part = slice(start, start + QUERIES_AT_ONCE)
            yield part, self.block.rows(part)

    def values(self, see: Callable[[Block], Float32]) -> Float32:
        """Features of every candidate that is not known, zeros elsewhere."""
        return np.concatenate([see(unknown(block, self.known[part])) for part, block in self.blocks()])


def unknown(block: Block, known: Bool) -> Block:
    return replace(block, doc=np.where(known, np.int32(NO_DOC), block.doc))


def hide(collection: Judged, keep: Keep, seed: int) -> Setting:
    draws = np.random.default_rng(seed)
    rows, docs = [], []
    every = collection.positives
    for query in range(len(every.start) - 1):
        own = every.doc[every.start[query] : every.start[query + 1]]
        count = 1 if keep == "one" else max(1, round(float(keep) * len(own)))
        kept = draws.choice(own, count, replace=False)
        rows.append(np.full(count, query, np.int32))
        docs.append(kept.astype(np.int32))
    known = Pairs.from_rows(np.concatenate(rows), np.concatenate(docs), len(every.start) - 1)
    return setting(collection, known)


def setting(collection: Judged, known: Pairs) -> Setting:
    query = np.arange(len(known.start) - 1, dtype=np.int32)
    positive = known.padded(query)
    score = collection.queries @ collection.documents.T
    width = DEPTH + positive.shape[1]
    order = np.argsort(-score, axis=1, kind="stable")[:, :width].astype(np.int32)
    is_known = _members(order, known)
    # DEPTH counts the candidates that are not known positives.
    inside = np.cumsum(~is_known, axis=1) - ~is_known < DEPTH
    doc = np.where(inside, order, np.int32(NO_DOC))
    rank = np.where(inside, np.arange(1, order.shape[1] + 1, dtype=np.int32), 0).astype(np.int32)
    held = np.where(inside, np.take_along_axis(score, order, axis=1), np.nan).astype(np.float32)
    positive_score = np.take_along_axis(score, np.maximum(positive, 0), axis=1).astype(np.float32)
    positive_score[positive == NO_DOC] = np.nan
    nothing = np.full(doc.shape, np.nan, np.float32)
    block = Block(query, doc, {"dense": rank}, {"dense": held}, positive, {"dense": positive_score}, nothing)
    known_here = is_known & inside
    hidden = _members(doc, collection.positives) & ~known_here
    return Setting(collection, known, block, known_here, hidden, near_queries(collection.queries))


def near_queries(vectors: Float32) -> tuple[Int32, Float32]:
    grid = on_grid(vectors)
    near, similar = [], []
    for start in range(0, len(grid), 1024):
        product = grid[start : start + 1024] @ grid.T
        row = np.arange(len(product))
        product[row, start + row] = -1e9
        order = np.argsort(-product, axis=1, kind="stable")[:, :NEIGHBOURS]
        near.append(order.astype(np.int32))
        similar.append(np.take_along_axis(product, order, axis=1))
    return np.concatenate(near), near_weights(np.concatenate(similar))


def _members(doc: Int32, pairs: Pairs) -> Bool:
    keys = np.repeat(np.arange(len(pairs.start) - 1, dtype=np.int64), pairs.counts) << 32 | pairs.doc
    asked = np.arange(len(doc), dtype=np.int64)[:, None] << 32 | np.maximum(doc, 0)
    return np.isin(asked, keys) & (doc != NO_DOC)


# -- rules and what they give --------------------------------------------------------------------------


def taken(allowed: Bool, count: int = 4) -> Bool:
    """The first `count` allowed of each query."""
    return allowed & (np.cumsum(allowed, axis=1) <= count)


def measured(one: Setting, mask: Bool) -> tuple[float, float]:
    """Contamination and hardness (mean score)."""
    return float(one.hidden[mask].mean()), float(one.block.scores["dense"][mask].mean())


def shifted(one: Setting, skip: int) -> Bool:
    place = np.cumsum(candidates(one), axis=1)
    return candidates(one) & (place > skip) & (place <= skip + 4)


def candidates(one: Setting) -> Bool:
    found: Bool = (one.block.doc != NO_DOC) & ~one.known
    return found


def margin_sweep(one: Setting) -> list[tuple[float, float]]:
    score = one.block.scores["dense"]
    mean = np.nanmean(one.block.positive_scores["dense"], axis=1, keepdims=True)
    every = [taken(candidates(one) & (score <= mean - margin)) for margin in np.linspace(-0.6, 0.8, 71)]
    return [measured(one, mask) for mask in every if mask.any()]


def guard_sweep(one: Setting, opinion: np.ndarray) -> list[tuple[float, float]]:
    there = candidates(one)
    cuts = np.unique(np.quantile(opinion[there], np.r_[np.linspace(0.02, 1, 99), np.linspace(0.9, 1, 51)]))
    every = [taken(there & (opinion < cut)) for cut in cuts]
    return [measured(one, mask) for mask in every if mask.any()]


def at_hardness(rows: Sequence[tuple[float, float]], hardness: float) -> float:
    """Contamination where the sweep's hardness is this; between two settings a straight line."""
    ordered = sorted((h, c) for c, h in rows)
    return float(np.interp(hardness, [h for h, _ in ordered], [c for _, c in ordered]))


def auc(label: Bool, opinion: np.ndarray) -> float:
    from scipy.stats import rankdata

    rank, count = rankdata(opinion), int(label.sum())
    return float((rank[label].sum() - count * (count + 1) / 2) / (count * (len(label) - count)))


def report(one: Setting, opinion: np.ndarray) -> dict[str, float]:
    there = candidates(one)
    out = {"auc": auc(one.hidden[there], opinion[there])}
    margins, guards = margin_sweep(one), guard_sweep(one, opinion)
    for skip in (10, 5):
        contamination, hardness = measured(one, shifted(one, skip))
        out[f"shift {skip}"] = contamination
        out[f"margin {skip}"] = at_hardness(margins, hardness)
        out[f"guard {skip}"] = at_hardness(guards, hardness)
    return out
