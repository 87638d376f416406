"""The same choice however blocks are cut, which other queries there are, and how wide a block is."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC, Block
from hardneg.select import Corpus, Selection, Selector, anchors

QUERIES, WIDTH, DOCS = 60, 40, 300


class Stored:
    def __init__(self) -> None:
        self.vectors = np.random.default_rng(5).normal(size=(DOCS, 37)).astype(np.float32)
        self.shape = self.vectors.shape

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors[rows]

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.vectors[start:stop]


def whole_block(seed: int = 0) -> Block:
    random = np.random.default_rng(seed)
    doc = np.stack([random.permutation(DOCS)[:WIDTH] for _ in range(QUERIES)]).astype(np.int32)
    doc[::7, WIDTH // 2 :] = NO_DOC
    score = -np.sort(-random.random((QUERIES, WIDTH)).astype(np.float32), axis=1)
    score[doc == NO_DOC] = np.nan
    rank = np.where(doc == NO_DOC, 0, np.arange(1, WIDTH + 1)).astype(np.int32)
    positive = np.stack([random.permutation(DOCS)[:3] for _ in range(QUERIES)]).astype(np.int32)
    positive[::2, 1:] = NO_DOC
    known = np.where(positive == NO_DOC, np.nan, random.random(positive.shape)).astype(np.float32)
    guess = random.random(doc.shape).astype(np.float32)
    return Block(
        np.arange(QUERIES, dtype=np.int32),
        doc,
        {"dense": rank},
        {"dense": score},
        positive,
        {"dense": known},
        guess,
    )


def part_of(block: Block, rows: Any, extra: int = 0) -> Block:
    """Some queries of a block, with `extra` empty places at the end of every row."""

    def widened(values: np.ndarray, nothing: Any) -> np.ndarray:
        return np.pad(values[rows], ((0, 0), (0, extra)), constant_values=nothing)

    return Block(
        block.query[rows],
        widened(block.doc, NO_DOC),
        {n: widened(r, 0) for n, r in block.ranks.items()},
        {n: widened(s, np.nan) for n, s in block.scores.items()},
        widened(block.positive, NO_DOC),
        {n: widened(s, np.nan) for n, s in block.positive_scores.items()},
        widened(block.p_false_negative, np.nan),
    )


def make_selector(config: SelectConfig, query_ids: list[str] | None = None) -> Selector:
    classes = np.arange(DOCS, dtype=np.int32)
    classes[::5] = classes[1::5]
    corpus = Corpus(
        query_ids or [f"q{n}" for n in range(QUERIES)],
        [f"d{n}" for n in range(DOCS)],
        classes,
        documents=Stored(),
        exclude=lambda block: (block.doc[:, :, None] == block.positive[:, None, :]).any(axis=2),
    )
    return Selector(config, ("", "positive"), corpus)


def run(selector: Selector, blocks: list[Block]) -> list[Selection]:
    out = []
    for block in blocks:
        positive = (block.doc[:, :, None] == block.positive[:, None, :]).any(axis=2) & (block.doc != NO_DOC)
        out.append(selector.select(block, positive.astype(np.uint8)))
    return out


def facts(selections: list[Selection]) -> dict[str, Any]:
    """All that is said, free of widths and cuts."""
    said: dict[str, Any] = {
        field.name: np.concatenate([getattr(s.negatives, field.name) for s in selections]).tobytes()
        for field in fields(selections[0].negatives)
    }
    said["decisions"] = [
        [(int(d), int(r)) for d, r in zip(docs, reasons, strict=True) if d != NO_DOC]
        for s in selections
        for docs, reasons in zip(s.doc, s.reason, strict=True)
    ]
    said["message"] = [message for s in selections for message in s.message]
    said["outcome"] = [int(outcome) for s in selections for outcome in s.outcome]
    said["positives"] = [
        pair for s in selections for pair in zip(s.positives.query, s.positives.doc, strict=True)
    ]
    return said


CONFIGS = [
    {"sampler": sampler, "reference": reference, "num_negatives": 5, "relative_margin": 0.1}
    for sampler in ("top", "random", "softmax", "simans", "stratified", "diverse")
    for reference in ("mean", "each")
] + [
    {
        "sampler": "random",
        "shortfall": "backfill",
        "num_negatives": 12,
        "window": "2:12",
        "relative_margin": None,
    },
    {
        "sampler": "random",
        "shortfall": "backfill",
        "num_negatives": 9,
        "max_reuse": 2,
        "relative_margin": 0.3,
    },
    {"sampler": "top", "shortfall": "drop", "num_negatives": 8, "max_reuse": 2, "relative_margin": 0.0},
]


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
def test_cuts_and_widths_change_nothing(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    config, block = SelectConfig(**settings), whole_block()
    whole = facts(run(make_selector(config), [block]))
    monkeypatch.setattr(anchors, "ANCHORS_AT_ONCE", 7)
    cuts = [slice(0, 1), slice(1, 24), slice(24, 25), slice(25, 60)]
    blocks = [part_of(block, rows, extra) for rows, extra in zip(cuts, (0, 3, 1, 64), strict=True)]
    assert facts(run(make_selector(config), blocks)) == whole


@pytest.mark.parametrize("sampler", ["random", "softmax", "simans", "stratified"])
def test_other_queries_change_no_querys_draws(sampler: str) -> None:
    config, block = SelectConfig(sampler=sampler, shortfall="backfill", num_negatives=7), whole_block()
    everyone = run(make_selector(config), [block])[0].negatives
    rows = np.array([3, 8, 31, 59])
    few = part_of(block, rows)
    few = Block(
        np.arange(4, dtype=np.int32), few.doc, few.ranks, few.scores, few.positive, few.positive_scores,
        few.p_false_negative,
    )  # fmt: skip
    alone = run(make_selector(config, [f"q{row}" for row in rows]), [few])[0].negatives
    for number, row in enumerate(rows):
        assert alone.doc[alone.query == number].tolist() == everyone.doc[everyone.query == row].tolist()


@pytest.mark.parametrize("sampler", ["random", "softmax", "simans", "stratified"])
def test_the_seed_decides_and_nothing_else(sampler: str) -> None:
    def docs(seed: int) -> bytes:
        config = SelectConfig(sampler=sampler, seed=seed, relative_margin=None)
        return run(make_selector(config), [whole_block()])[0].negatives.doc.tobytes()

    assert docs(1) == docs(1)
    assert docs(1) != docs(2)


def test_no_draw_no_seed() -> None:
    def docs(seed: int) -> bytes:
        config = SelectConfig(sampler="top", seed=seed, max_reuse=3, shortfall="keep")
        return run(make_selector(config), [whole_block()])[0].negatives.doc.tobytes()

    assert docs(1) == docs(2)
