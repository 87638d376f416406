"""Scoring only what a choice hangs on chooses what scoring all chooses, whatever the rules beside."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC, Block, Int32
from hardneg.select import Corpus, Selection, Selector

NUM_DOCS = 14
JUDGE = "judge"
# Few values, so that ties and scores on the bounds come often.
SCORE = st.integers(-4, 4).map(lambda n: n / 2)
Case = tuple[list[dict[str, Any]], list[str], list[int], dict[str, Any]]


@st.composite
def a_query(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    docs = st.lists(st.integers(0, NUM_DOCS - 1), max_size=8, unique=True)
    return {
        "rankings": {name: draw(docs) for name in names},
        "judge": draw(st.lists(SCORE, min_size=NUM_DOCS, max_size=NUM_DOCS)),
        "positives": draw(st.lists(st.integers(0, NUM_DOCS - 1), max_size=3, unique=True)),
        "given": draw(st.lists(st.integers(0, NUM_DOCS - 1), min_size=2, max_size=2, unique=True)),
        "left_out": draw(st.integers(0, 5)) == 0,
    }


@st.composite
def a_case(draw: st.DrawFn) -> Case:
    names = draw(st.sampled_from([["dense"], ["dense", "bm25"]]))
    queries = draw(st.lists(a_query(names), min_size=1, max_size=5))
    classes = draw(st.lists(st.integers(-1, NUM_DOCS // 2), min_size=NUM_DOCS, max_size=NUM_DOCS))
    maybe = lambda values: st.one_of(st.none(), values)  # noqa: E731  # used five times
    claims = draw(st.lists(st.integers(1, 3), max_size=len(names)))
    quota = [f"{name}={count}" for name, count in zip(draw(st.permutations(names)), claims, strict=False)]
    wanted = draw(st.integers(max(1, sum(claims)), 6))
    sampler = draw(st.sampled_from(["top", "random"]))
    order_by = draw(st.sampled_from(names)) if sampler == "top" else draw(maybe(st.sampled_from(names)))
    config = {
        "num_negatives": wanted,
        "sampler": sampler,
        "order_by": order_by,
        "score_by": JUDGE,
        "window": draw(maybe(st.tuples(st.integers(0, 2), maybe(st.integers(4, 8))))),
        "max_score": draw(maybe(SCORE)),
        "margin": draw(maybe(st.sampled_from([0.0, 0.5]))),
        "relative_margin": draw(maybe(st.sampled_from([0.0, 0.25]))),
        "reference": draw(st.sampled_from(["min", "mean", "max", "each"])),
        "combine": draw(st.sampled_from(["any", "all"])),
        "quota": tuple(quota),
        "max_reuse": draw(maybe(st.integers(1, 2))),
        "shortfall": draw(st.sampled_from(["keep", "drop", "backfill"])),
        "seed": draw(st.integers(0, 3)),
    }
    return queries, names, classes, config


def block_of(queries: list[dict[str, Any]], names: list[str]) -> Block:
    """With the judge's scores of all."""
    docs = [list(dict.fromkeys(d for name in names for d in q["rankings"][name])) for q in queries]
    width, wide = max(map(len, docs)), max(len(q["positives"]) for q in queries)
    doc = filled(docs, width)
    positive = filled([q["positives"] for q in queries], wide)
    ranks = {name: np.zeros(doc.shape, np.int32) for name in names}
    scores = {name: np.full(doc.shape, np.nan, np.float32) for name in names}
    for row, query in enumerate(queries):
        for name in names:
            for rank, found in enumerate(query["rankings"][name], start=1):
                ranks[name][row, docs[row].index(found)] = rank
                scores[name][row, docs[row].index(found)] = -rank
    judged = np.array([q["judge"] for q in queries], np.float32)
    at = lambda places: np.where(  # noqa: E731  # of candidates and of positives
        places < 0, np.nan, np.take_along_axis(judged, np.maximum(places, 0), axis=1)
    ).astype(np.float32)
    known = {name: np.where(positive < 0, np.nan, 0.0).astype(np.float32) for name in names}
    return Block(
        np.arange(len(queries), dtype=np.int32),
        doc,
        ranks,
        {**scores, JUDGE: at(doc)},
        positive,
        {**known, JUDGE: at(positive)},
        np.full(doc.shape, np.nan, np.float32),
    )


def filled(rows: list[list[int]], width: int) -> Int32:
    padded = [[*row, *[NO_DOC] * (width - len(row))] for row in rows]
    return np.array(padded, np.int32).reshape(len(rows), width)


def same_as(block: Block) -> Any:
    """The guard: known positives may not be chosen."""
    return ((block.doc[:, :, None] == block.positive[:, None, :]).any(axis=2)) & (block.doc != NO_DOC)


def make_selector(config: dict[str, Any], classes: list[int]) -> Selector:
    corpus = Corpus(
        [f"q{n}" for n in range(9)],
        [f"d{n}" for n in range(NUM_DOCS)],
        np.array(classes, np.int32),
        exclude=same_as,
    )
    return Selector(SelectConfig(**config), ("", "positive"), corpus)


def chosen_with_all(block: Block, beside: dict[str, Any], selector: Selector) -> Selection:
    return selector.select(block, same_as(block).astype(np.uint8), **beside)


def chosen_with_few(block: Block, beside: dict[str, Any], selector: Selector) -> tuple[Selection, Any]:
    """And which were not scored."""
    excluded, unscored = same_as(block).astype(np.uint8), block.doc != NO_DOC
    while True:
        seen = {**block.scores, JUDGE: np.where(unscored, np.nan, block.scores[JUDGE]).astype(np.float32)}
        part = replace(block, scores=seen)
        wanted = selector.needed(part, excluded, unscored=unscored, **beside)
        assert not (wanted & ~unscored).any()
        if not wanted.any():
            return selector.select(part, excluded, unscored=unscored, **beside), unscored
        unscored = unscored & ~wanted


def both(case: Case) -> tuple[Selection, Selection, Any, Block]:
    queries, names, classes, config = case
    block = block_of(queries, names)
    given_docs = np.array([q["given"] for q in queries], np.int32)
    known = (given_docs[:, :, None] == block.positive[:, None, :]).any(axis=2)
    beside = {
        "given": given_docs,
        "given_excluded": known.astype(np.uint8),
        "left_out": np.array([q["left_out"] for q in queries]),
    }
    whole = chosen_with_all(block, beside, make_selector(config, classes))
    few, unscored = chosen_with_few(block, beside, make_selector(config, classes))
    return whole, few, unscored, block


@settings(max_examples=150)
@given(a_case())
def test_the_same_negatives_ranks_scores_and_outcomes(case: Case) -> None:
    whole, few, _, _ = both(case)
    for part in ("negatives", "positives"):
        for field in fields(getattr(whole, part)):
            a, b = (getattr(getattr(one, part), field.name) for one in (whole, few))
            assert a.tobytes() == b.tobytes(), (part, field.name)
    assert few.outcome.tolist() == whole.outcome.tolist()
    assert few.short.tolist() == whole.short.tolist()


@settings(max_examples=100)
@given(a_case())
def test_every_candidate_has_a_reason_and_those_looked_at_have_the_same(case: Case) -> None:
    whole, few, unscored, block = both(case)
    names, width = np.array(few.codes.names), block.doc.shape[1]
    here, there = names[few.reason], names[whole.reason]
    assert ((few.reason > 0) == (few.doc != NO_DOC)).all()
    assert few.counts.sum() == whole.counts.sum()
    by_score = {"min_score", "max_score", "margin", "relative_margin", "not_sampled", "dropped"}
    for row, place in np.argwhere(here != there).tolist():
        assert place < width and unscored[row, place]
        # A given negative's twin, and a document that is used up, are told by that; the score comes after.
        assert here[row, place] in {"not_scored", "duplicate", "max_reuse"}
        assert there[row, place] in by_score | {"duplicate", "max_reuse"}


@settings(max_examples=100)
@given(a_case())
def test_nothing_is_scored_beyond_the_last_negative(case: Case) -> None:
    """Where queries, documents and quotas are each for themselves, up to the last chosen and no further."""
    queries, names, _, config = case
    simple = {**config, "quota": (), "max_reuse": None, "reference": "mean", "sampler": "top"}
    simple["order_by"], simple["shortfall"] = names[0], "keep"
    _, few, unscored, block = both((queries, names, [-1] * NUM_DOCS, simple))
    reasons = np.array(few.codes.names)[few.reason][:, : block.doc.shape[1]]
    value = np.nan_to_num(block.scores[names[0]], nan=-math.inf)
    for row in range(len(block.query)):
        order = np.argsort(-value[row], kind="stable")
        looked = [p for p in order if not unscored[row, p] and block.doc[row, p] != NO_DOC]
        mined = [p for p in order if reasons[row, p] == "selected"]
        asked = [p for p in looked if reasons[row, p] != "given"]
        if (few.negatives.query == row).sum() == config["num_negatives"] and asked:
            assert asked[-1] == mined[-1]


# -- many blocks at once: twins, used-up documents and quotas meet more often than in small ones -------------

QUERIES, WIDTH, MANY_DOCS = 24, 16, 30
MANY = [
    {"sampler": sampler, "reference": reference, "combine": combine, **rules}
    for sampler in ("top", "random")
    for reference in ("mean", "each")
    for combine, rules in (
        ("all", {"shortfall": "keep"}),
        ("any", {"shortfall": "backfill", "max_reuse": 3, "window": "1:12"}),
        ("any", {"shortfall": "drop", "max_reuse": 2}),
        ("all", {"shortfall": "keep", "quota": ("bm25=2",), "max_reuse": 4}),
        ("any", {"shortfall": "backfill", "quota": ("dense=1", "bm25=1"), "window": "2:"}),
    )
]


def random_block(seed: int) -> tuple[Block, dict[str, Any], np.ndarray]:
    draw = np.random.default_rng(seed)
    doc = np.stack([draw.permutation(MANY_DOCS)[:WIDTH] for _ in range(QUERIES)]).astype(np.int32)
    doc[::5, WIDTH // 2 :] = NO_DOC
    here = doc != NO_DOC
    ranks, scores = {}, {}
    for name in ("dense", "bm25"):
        order = np.argsort(draw.random(doc.shape), axis=1)
        found = here & (draw.random(doc.shape) < 0.7)
        ranks[name] = np.where(found, order + 1, 0).astype(np.int32)
        scores[name] = np.where(found, -order, np.nan).astype(np.float32)
    positive = np.stack([draw.permutation(MANY_DOCS)[:2] for _ in range(QUERIES)]).astype(np.int32)
    positive[::3, 1:] = NO_DOC
    known = np.where(positive < 0, np.nan, draw.random(positive.shape)).astype(np.float32)
    judged = np.where(here, draw.random(doc.shape), np.nan).astype(np.float32)
    given_docs = np.stack([draw.permutation(MANY_DOCS)[:1] for _ in range(QUERIES)]).astype(np.int32)
    given_docs[::2] = NO_DOC
    block = Block(
        np.arange(QUERIES, dtype=np.int32),
        doc,
        ranks,
        {**scores, JUDGE: judged},
        positive,
        {"dense": known, "bm25": known, JUDGE: known},
        np.full(doc.shape, np.nan, np.float32),
    )
    excluded = (given_docs[:, :, None] == positive[:, None, :]).any(axis=2).astype(np.uint8)
    beside = {"given": given_docs, "given_excluded": excluded, "left_out": draw.random(QUERIES) < 0.1}
    return block, beside, draw.integers(-1, MANY_DOCS // 2, MANY_DOCS).astype(np.int32)


def facts(selection: Selection) -> list[Any]:
    parts = (selection.negatives, selection.positives)
    return [
        *(getattr(part, field.name).tobytes() for part in parts for field in fields(part)),
        selection.outcome.tolist(),
    ]


@pytest.mark.parametrize("rules", MANY, ids=str)
def test_large_blocks_one_after_the_other(rules: dict[str, Any]) -> None:
    order = {"order_by": "bm25"} if rules["sampler"] == "top" else {}
    config = SelectConfig(score_by=JUDGE, margin=0.1, relative_margin=None, num_negatives=4, **order, **rules)
    for seed in range(10):
        block, beside, classes = random_block(seed)
        corpus = Corpus(
            [f"q{n}" for n in range(2 * QUERIES)],
            [f"d{n}" for n in range(MANY_DOCS)],
            classes,
            exclude=same_as,
        )
        selectors = Selector(config, ("", "positive"), corpus), Selector(config, ("", "positive"), corpus)
        for number in (0, 1):  # documents used in the first block are used up in the second
            part = replace(block, query=block.query + number * QUERIES)
            whole = chosen_with_all(part, beside, selectors[0])
            few, unscored = chosen_with_few(part, beside, selectors[1])
            assert facts(few) == facts(whole), seed
            assert unscored.any()
