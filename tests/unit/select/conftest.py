"""Small blocks by hand: each query's candidates as {retriever: {document: score}}, ranks in that order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC, Block
from hardneg.select import SOURCES, Corpus, Selection, Selector

NUM_DOCS = 100
NAN = float("nan")

Scores = Mapping[int, float]


def make_block(
    found: Sequence[Mapping[str, Scores]],
    positives: Sequence[Mapping[int, float | Mapping[str, float]]],
    scorers: Sequence[str] = (),
    first_query: int = 0,
) -> Block:
    """found[q][name] = {doc: score}; the first retriever's documents come first, then the others' new ones.

    positives[q] = {doc: score by everyone, or {name: score}}
    """
    names = list(found[0])
    docs = [list(dict.fromkeys(d for name in names if name not in scorers for d in q[name])) for q in found]
    width = max([len(row) for row in docs], default=0)
    wide = max([len(row) for row in positives], default=0)
    doc = np.full((len(found), width), NO_DOC, np.int32)
    ranks = {n: np.zeros(doc.shape, np.int32) for n in names if n not in scorers}
    scores = {n: np.full(doc.shape, np.nan, np.float32) for n in names}
    positive = np.full((len(found), wide), NO_DOC, np.int32)
    positive_scores = {n: np.full(positive.shape, np.nan, np.float32) for n in names}
    for q, row in enumerate(docs):
        doc[q, : len(row)] = row
        for name in names:
            for rank, (d, score) in enumerate(found[q][name].items(), start=1):
                scores[name][q, row.index(d)] = score
                if name in ranks:
                    ranks[name][q, row.index(d)] = rank
        for place, (d, score) in enumerate(positives[q].items()):
            positive[q, place] = d
            for name in names:
                value = score if isinstance(score, float | int) else score.get(name, NAN)
                positive_scores[name][q, place] = value
    query = np.arange(first_query, first_query + len(found), dtype=np.int32)
    guess = np.full(doc.shape, np.nan, np.float32)
    return Block(query, doc, ranks, scores, positive, positive_scores, guess)


def make_corpus(**changes: Any) -> Corpus:
    parts: dict[str, Any] = {
        "query_ids": pa.chunked_array([pa.array([f"q{n:03d}" for n in range(1000)])]),
        "doc_ids": pa.chunked_array([pa.array([f"d{n:03d}" for n in range(NUM_DOCS)])]),
        "classes": np.arange(NUM_DOCS, dtype=np.int32),
        "exclude": lambda block: (block.doc[:, :, None] == block.positive[:, None, :]).any(axis=2),
    }
    return Corpus(**{**parts, **changes})


def is_positive(block: Block) -> np.ndarray[Any, Any]:
    """What the guard would say: 1 for a positive."""
    same = (block.doc[:, :, None] == block.positive[:, None, :]).any(axis=2) & (block.doc != NO_DOC)[:, :]
    return same.astype(np.uint8)


def choose(
    found: Sequence[Mapping[str, Scores]],
    positives: Sequence[Mapping[int, Any]],
    *,
    corpus: Corpus | None = None,
    scorers: Sequence[str] = (),
    given: Sequence[Sequence[int]] | None = None,
    excluded_given: Sequence[int] = (),
    left_out: Sequence[bool] | None = None,
    **config: Any,
) -> Selection:
    """One block through a Selector with nothing switched on, and nothing filled up, but as `config` says."""
    block = make_block(found, positives, scorers)
    selector = Selector(
        SelectConfig(**{"relative_margin": None, "shortfall": "keep", **config}),
        ("", "positive"),
        corpus or make_corpus(),
    )
    extra: dict[str, Any] = {}
    if given is not None:
        wide = max(len(row) for row in given)
        extra["given"] = np.array([[*row, *[NO_DOC] * (wide - len(row))] for row in given], np.int32)
        extra["given_excluded"] = np.isin(extra["given"], excluded_given).astype(np.uint8)
    if left_out is not None:
        extra["left_out"] = np.array(left_out)
    return selector.select(block, is_positive(block), **extra)


def chosen(selection: Selection, query: int = 0) -> list[int]:
    return selection.negatives.doc[selection.negatives.query == query].tolist()


def sources(selection: Selection, query: int = 0) -> list[str]:
    mine = selection.negatives.source[selection.negatives.query == query]
    return [SOURCES[number] for number in mine.tolist()]


def reasons(selection: Selection, query: int = 0) -> dict[int, str]:
    return {
        int(doc): selection.codes.names[number]
        for doc, number in zip(selection.doc[query], selection.reason[query], strict=True)
        if doc != NO_DOC
    }


@pytest.fixture
def select() -> SimpleNamespace:
    """The functions above."""
    return SimpleNamespace(
        choose=choose,
        chosen=chosen,
        sources=sources,
        reasons=reasons,
        block=make_block,
        corpus=make_corpus,
        is_positive=is_positive,
    )


Choose = Callable[..., Selection]
