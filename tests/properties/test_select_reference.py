"""Selection against a second one, written in plain Python from the documents, on random blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC, Block
from hardneg.select import OUTCOMES, Corpus, Selector

NUM_DOCS = 12
# Few values, so that ties and scores on the bounds come often; all exact in float32 and in sums.
SCORE = st.integers(-8, 8).map(lambda n: n / 4)
Query = dict[str, Any]


@st.composite
def a_query(draw: st.DrawFn, names: list[str]) -> Query:
    rankings = {}
    for name in names:
        docs = draw(st.lists(st.integers(0, NUM_DOCS - 1), max_size=7, unique=True))
        scores = sorted((draw(SCORE) for _ in docs), reverse=True)
        rankings[name] = list(zip(docs, scores, strict=True))
    positives = draw(st.lists(st.integers(0, NUM_DOCS - 1), max_size=3, unique=True))
    known = {
        d: {n: draw(st.one_of(st.just(math.nan), SCORE, SCORE, SCORE)) for n in names} for d in positives
    }
    given_docs = draw(st.lists(st.integers(0, NUM_DOCS - 1), max_size=2, unique=True))
    return {"rankings": rankings, "positives": known, "given": given_docs}


@st.composite
def a_case(draw: st.DrawFn) -> tuple[list[Query], list[str], list[int], dict[str, Any]]:
    names = draw(st.sampled_from([["dense"], ["dense", "bm25"], ["bm25", "dense", "run"]]))
    queries = draw(st.lists(a_query(names), min_size=1, max_size=4))
    classes = draw(st.lists(st.integers(-1, NUM_DOCS - 3), min_size=NUM_DOCS, max_size=NUM_DOCS))
    maybe = lambda values: st.one_of(st.none(), values)  # noqa: E731
    window = st.tuples(st.integers(0, 3), maybe(st.integers(4, 8)))
    low, high = draw(st.tuples(SCORE, SCORE).map(sorted))
    config = {
        "num_negatives": draw(st.sampled_from([1, 2, 3, "all"])),
        "window": draw(maybe(window)),
        "max_score": draw(maybe(st.just(high))),
        "min_score": draw(maybe(st.just(low))),
        "margin": draw(maybe(st.sampled_from([0.0, 0.25, 1.0]))),
        "relative_margin": draw(maybe(st.sampled_from([0.0, 0.25, 0.5]))),
        "reference": draw(st.sampled_from(["min", "mean", "max", "each"])),
        "missing_positive_score": draw(maybe(st.just(0.5))),
        "combine": draw(st.sampled_from(["any", "all"])),
        "score_by": draw(maybe(st.sampled_from(names))),
        "order_by": draw(maybe(st.sampled_from(names))),
        "max_reuse": draw(maybe(st.integers(1, 2))),
        "shortfall": draw(st.sampled_from(["keep", "drop"])),
    }
    return queries, names, classes, config


def places_of(query: Query, names: list[str]) -> list[int]:
    """Any order will do for the block of several retrievers, as long as both sides use the same: here, by the
    best rank and then by number."""
    docs = {d for name in names for d, _ in query["rankings"][name]}

    def best(doc: int) -> tuple[int, int]:
        ranks = [r for n in names for r, (d, _) in enumerate(query["rankings"][n]) if d == doc]
        return (min(ranks), doc) if len(names) > 1 else (ranks[0], 0)

    return sorted(docs, key=best)


# -- the second implementation ------------------------------------------------------------------------------


def reference_of(query: Query, positives: list[int], name: str, config: dict[str, Any]) -> float:
    scores = [query["positives"][d][name] for d in positives]
    if config["missing_positive_score"] is not None:
        scores = [config["missing_positive_score"] if math.isnan(s) else s for s in scores]
    if not scores or any(math.isnan(s) for s in scores):
        return math.nan
    how = config["reference"]
    return {"min": min(scores), "max": max(scores)}.get(how, sum(scores) / len(scores))


def in_window(rank: int, config: dict[str, Any]) -> bool:
    if config["window"] is None:
        return True
    start, stop = config["window"]
    return rank > start and (stop is None or rank <= stop)


def failed_rules(score: float, positive: float, config: dict[str, Any]) -> list[str]:
    checks = {
        "min_score": config["min_score"] is not None and score < config["min_score"],
        "max_score": config["max_score"] is not None and score > config["max_score"],
        "margin": config["margin"] is not None and score > positive - config["margin"],
        "relative_margin": config["relative_margin"] is not None
        and score > positive - abs(positive) * config["relative_margin"],
    }
    return [name for name, failed in checks.items() if failed]


ORDER = ["window", "no_score", "min_score", "max_score", "margin", "relative_margin"]


def judge(query: Query, doc: int, positives: list[int], names: list[str], config: dict[str, Any]) -> str:
    """The reason that a candidate is rejected for, "" where it passes."""
    ranks = {n: r for n in names for r, (d, _) in enumerate(query["rankings"][n], start=1) if d == doc}
    scores = {n: s for n in names for d, s in query["rankings"][n] if d == doc}
    thresholds = any(config[k] is not None for k in ("min_score", "max_score", "margin", "relative_margin"))
    by = config["score_by"]
    if by is not None:
        if not in_window(ranks.get(by, 0), config) and config["window"] is not None:
            return "window"
        if by not in scores:
            return "no_score" if thresholds else ""
        failed = failed_rules(scores[by], reference_of(query, positives, by, config), config)
        return failed[0] if failed else ""
    verdicts = []
    for name in ranks:
        failed = [] if in_window(ranks[name], config) else ["window"]
        failed += failed_rules(scores[name], reference_of(query, positives, name, config), config)
        verdicts.append(failed[0] if failed else "")
    if config["combine"] == "any":
        return "" if "" in verdicts else max(verdicts, key=ORDER.index)
    return min((v for v in verdicts if v), key=ORDER.index, default="")


def preference(query: Query, docs: list[int], names: list[str], config: dict[str, Any]) -> list[int]:
    by = config["order_by"] or config["score_by"] or (names[0] if len(names) == 1 else None)
    if by is None:
        return docs
    scores = dict(query["rankings"][by])
    return sorted(docs, key=lambda d: (-scores.get(d, -math.inf), docs.index(d)))


def select_one(
    query: Query,
    positives: list[int],
    names: list[str],
    classes: list[int],
    config: dict[str, Any],
    uses: list[int],
) -> tuple[list[int], str]:
    """The chosen of one anchor and its outcome."""
    wanted = NUM_DOCS * 2 if config["num_negatives"] == "all" else config["num_negatives"]
    judges = [config["score_by"]] if config["score_by"] else names
    margins = config["margin"] is not None or config["relative_margin"] is not None
    lacking = margins and any(math.isnan(reference_of(query, positives, n, config)) for n in judges)
    if not positives or lacking:
        return [], "invalid"

    def text(doc: int) -> tuple[str, int]:
        return ("unique", doc) if classes[doc] < 0 else ("class", classes[doc])

    usable: list[int] = []
    for doc in query["given"]:
        if doc not in query["positives"] and text(doc) not in map(text, usable):
            usable.append(doc)
    passing = []
    for doc in places_of(query, names):
        if doc in query["positives"] or doc in query["given"]:
            continue
        if judge(query, doc, positives, names, config):
            continue
        if text(doc) in map(text, usable + passing):
            continue
        passing.append(doc)
    limit = config["max_reuse"] or math.inf
    ordered = [d for d in usable if uses[d] < limit]
    ordered = ordered[:wanted] + [
        d
        for d in preference(query, places_of(query, names), names, config)
        if d in passing and uses[d] < limit
    ]
    chosen = ordered[:wanted]
    if config["num_negatives"] == "all":
        outcome = "full" if chosen else "empty"
    else:
        outcome = "full" if len(chosen) == wanted else "short" if chosen else "empty"
    if config["shortfall"] == "drop" and outcome != "full":
        return [], "dropped"
    for doc in chosen:
        uses[doc] += 1
    return chosen, outcome


# -- the comparison -----------------------------------------------------------------------------------------


def block_of(queries: list[Query], names: list[str]) -> Block:
    docs = [places_of(query, names) for query in queries]
    width = max(len(row) for row in docs)
    wide = max(len(query["positives"]) for query in queries)
    doc = np.full((len(queries), width), NO_DOC, np.int32)
    ranks = {n: np.zeros(doc.shape, np.int32) for n in names}
    scores = {n: np.full(doc.shape, np.nan, np.float32) for n in names}
    positive = np.full((len(queries), wide), NO_DOC, np.int32)
    known = {n: np.full(positive.shape, np.nan, np.float32) for n in names}
    for q, query in enumerate(queries):
        doc[q, : len(docs[q])] = docs[q]
        for name in names:
            for rank, (d, score) in enumerate(query["rankings"][name], start=1):
                ranks[name][q, docs[q].index(d)] = rank
                scores[name][q, docs[q].index(d)] = score
        for place, (d, by) in enumerate(query["positives"].items()):
            positive[q, place] = d
            for name in names:
                known[name][q, place] = by[name]
    query_rows = np.arange(len(queries), dtype=np.int32)
    return Block(query_rows, doc, ranks, scores, positive, known, np.full(doc.shape, np.nan, np.float32))


@settings(max_examples=600)
@given(a_case())
def test_both_choose_the_same(case: tuple[list[Query], list[str], list[int], dict[str, Any]]) -> None:
    queries, names, classes, config = case
    block = block_of(queries, names)
    wide = max(len(query["given"]) for query in queries)
    given_docs = np.full((len(queries), wide), NO_DOC, np.int32)
    for q, query in enumerate(queries):
        given_docs[q, : len(query["given"])] = query["given"]
    labelled = lambda docs: np.array(  # noqa: E731
        [[int(d in query["positives"]) for d in row] for row, query in zip(docs, queries, strict=True)],
        np.uint8,
    ).reshape(docs.shape)
    corpus = Corpus(
        [f"q{n}" for n in range(len(queries))],
        [f"d{n}" for n in range(NUM_DOCS)],
        np.array(classes, np.int32),
    )
    found = Selector(SelectConfig(**config), ("", "positive"), corpus).select(
        block, labelled(block.doc), given=given_docs, given_excluded=labelled(given_docs)
    )
    uses = [0] * NUM_DOCS
    for q, query in enumerate(queries):
        each = config["reference"] == "each"
        anchors = (
            [[d] for d in query["positives"]] if each and query["positives"] else [list(query["positives"])]
        )
        results = [select_one(query, positives, names, classes, config, uses) for positives in anchors]
        mine = found.negatives.query == q
        assert found.negatives.doc[mine].tolist() == [d for docs, _ in results for d in docs]
        kinds = {outcome for _, outcome in results}
        if len(kinds) == 1:
            assert OUTCOMES[found.outcome[q]] == kinds.pop()
        judged = {
            int(d): found.codes.names[r] for d, r in zip(found.doc[q], found.reason[q], strict=True) if d >= 0
        }
        assert set(judged) == set(places_of(query, names)) | set(query["given"])
        if not each and results[0][1] != "invalid":
            for doc, reason in judged.items():
                if doc not in query["given"] and doc not in query["positives"]:
                    rejected = judge(query, doc, list(query["positives"]), names, config)
                    assert (reason == rejected) if rejected else (reason not in ORDER)
    assert (found.counts.sum(axis=1) == (found.doc != NO_DOC).sum(axis=1)).all()
