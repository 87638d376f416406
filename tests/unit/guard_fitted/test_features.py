"""Features: the same whatever stands beside them, and by hand; a held-out positive is like any candidate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardneg.guard.fitted.episodes import episodes, known_places, training_rows
from hardneg.guard.fitted.features import COLUMNS, FIRST, LIKELY, NEIGHBOURS, Sight, features, only
from hardneg.guard.fitted.grid import Space
from hardneg.guard.fitted.others import Company, Others
from hardneg.guard.fitted.regression import Weights
from hardneg.records import NO_DOC, Block, Pairs

DOCUMENTS, QUERIES, WIDTH = 60, 12, 25


def weights() -> Weights:
    count = len(FIRST)
    return Weights(tuple(FIRST), np.zeros(count), np.ones(count), np.linspace(-1, 1, count), 0.1)


def a_run(seed: int = 0, scorers: tuple[str, ...] = ()) -> tuple[Block, Sight]:
    draws = np.random.default_rng(seed)
    vectors = {
        kind: draws.normal(size=(rows, 16)).astype(np.float32)
        for kind, rows in (("q", QUERIES), ("d", DOCUMENTS))
    }
    words = {
        kind: draws.normal(size=(rows, 32)).astype(np.float32)
        for kind, rows in (("q", QUERIES), ("d", DOCUMENTS))
    }
    space = lambda held, name: Space(name, lambda rows: held["q"][rows], lambda rows: held["d"][rows])  # noqa: E731
    doc = np.stack([draws.permutation(DOCUMENTS)[:WIDTH] for _ in range(QUERIES)]).astype(np.int32)
    count = draws.integers(1, 5, QUERIES)
    query = np.repeat(np.arange(QUERIES, dtype=np.int32), count)
    positives = Pairs.from_rows(
        query, np.concatenate([row[:n] for row, n in zip(doc, count, strict=True)]), QUERIES
    )
    score = -np.sort(-draws.normal(size=doc.shape), axis=1).astype(np.float32)
    order = np.argsort(draws.random(doc.shape), axis=1)
    doc = np.take_along_axis(doc, order, axis=1)
    rows = np.arange(QUERIES, dtype=np.int32)
    known = positives.padded(rows)
    rank = np.tile(np.arange(1, WIDTH + 1, dtype=np.int32), (QUERIES, 1))
    of = {}
    for name in ("dense", *scorers):
        of[name] = score if name == "dense" else draws.normal(size=doc.shape).astype(np.float32)
    here = {
        name: np.array(
            [
                [held[q][doc[q] == d][0] if d != NO_DOC else np.nan for d in row]
                for q, row in enumerate(known)
            ],
            np.float32,
        )
        for name, held in of.items()
    }
    block = Block(rows, doc, {"dense": rank}, of, known, here, np.full(doc.shape, np.nan, np.float32))
    near = np.stack([[n for n in range(QUERIES) if n != q][:5] for q in range(QUERIES)]).astype(np.int32)
    weight = np.tile(np.array([1.0, 0.75, 0.5, 0.25, 0.0], np.float32), (QUERIES, 1))
    company = Company(Others(positives, near, weight, DOCUMENTS))
    return block, Sight((space(vectors, "dense"),), space(words, "words"), company, weights())


def asked(block: Block) -> Block:
    return only(block, ~known_places(block))


@pytest.mark.parametrize("scorers", [(), ("judge",)])
def test_neither_batch_nor_padding_changes_a_bit(scorers: tuple[str, ...]) -> None:
    block, sight = a_run(scorers=scorers)
    whole = features(asked(block), sight)
    assert np.isfinite(whole).all() and whole.shape == (QUERIES, WIDTH, len(COLUMNS))
    for q in range(QUERIES):
        assert (features(asked(block.rows(slice(q, q + 1))), sight)[0] == whole[q]).all()
    wide = replace(
        block,
        doc=np.pad(block.doc, ((0, 0), (3, 4)), constant_values=NO_DOC),
        ranks={name: np.pad(rank, ((0, 0), (3, 4))) for name, rank in block.ranks.items()},
        scores={
            name: np.pad(s, ((0, 0), (3, 4)), constant_values=np.nan) for name, s in block.scores.items()
        },
        positive=np.pad(block.positive, ((0, 0), (0, 3)), constant_values=NO_DOC),
        positive_scores={
            name: np.pad(s, ((0, 0), (0, 3)), constant_values=np.nan)
            for name, s in block.positive_scores.items()
        },
        p_false_negative=np.full((QUERIES, WIDTH + 7), np.nan, np.float32),
    )
    assert (features(asked(wide), sight)[:, 3:-4] == whole).all()


def test_columns_in_another_order_give_the_same_in_that_order() -> None:
    block, sight = a_run()
    turned = np.random.default_rng(3).permutation(WIDTH)
    other = replace(
        block,
        doc=block.doc[:, turned],
        ranks={name: rank[:, turned] for name, rank in block.ranks.items()},
        scores={name: score[:, turned] for name, score in block.scores.items()},
    )
    assert (features(asked(other), sight) == features(asked(block), sight)[:, turned]).all()


def test_some_by_hand() -> None:
    block, sight = a_run()
    found = features(asked(block), sight)
    column = {name: number for number, name in enumerate(COLUMNS)}
    for q in range(QUERIES):
        there = ~known_places(block)[q]
        score = block.scores["dense"][q][there].astype(np.float64)
        standard = (score - score.mean()) / score.std()
        assert found[q, there, column["score"]] == pytest.approx(standard, abs=1e-3)
        positives = block.positive_scores["dense"][q]
        below = (score - np.nanmean(positives)) / score.std()
        assert found[q, there, column["below positives"]] == pytest.approx(below, abs=2e-3)
        rank = (score[None, :] > score[:, None]).sum(axis=1) + 1
        assert found[q, there, column["log rank"]] == pytest.approx(np.log(rank), abs=1e-6)
        known = (block.positive[q] != NO_DOC).sum()
        assert found[q, there, column["known"]] == pytest.approx(np.log(known))
        assert (found[q, ~there] == 0).all()


def test_a_held_out_positive_is_looked_at_like_any_candidate() -> None:
    block, sight = a_run()
    part, held, share = episodes(block, ~known_places(block), 6)
    several = (block.positive != NO_DOC).sum(axis=1) >= 2
    counts = (block.positive != NO_DOC).sum(axis=1)
    assert len(part.query) == counts[several].sum() and (share == 1).all()
    for number, q in enumerate(part.query):
        out = part.doc[number, held[number]]
        assert len(out) == 1 and out[0] in block.positive[q] and out[0] not in part.positive[number]
        assert (part.positive[number] != NO_DOC).sum() == counts[q] - 1
        others = set(block.positive[q]) - {NO_DOC, out[0]}
        assert not others & set(part.doc[number].tolist())
    rows = training_rows(block, ~known_places(block), 6, lambda one: features(one, sight))
    assert rows.label.sum() == counts[several].sum()
    unlabelled = (~known_places(block))[several].sum()
    assert (rows.label == 0).sum() == ((~known_places(block)).sum(axis=1) * counts)[several].sum()
    assert rows.share[rows.label == 0].sum() == pytest.approx(unlabelled)
    assert set(rows.query.tolist()) == set(np.flatnonzero(several).tolist())


def test_fewer_episodes_stand_for_all() -> None:
    block, _ = a_run()
    _, held, share = episodes(block, ~known_places(block), 1)
    counts = (block.positive != NO_DOC).sum(axis=1)
    assert share.tolist() == counts[counts >= 2].tolist() and held.sum() == (counts >= 2).sum()


def test_a_query_whose_positives_were_not_found_is_looked_at_too() -> None:
    block, sight = a_run()
    several = np.flatnonzero((block.positive != NO_DOC).sum(axis=1) >= 2)
    missed = several[0]
    found = ~known_places(block)[missed]
    doc = block.doc.copy()
    doc[missed] = np.where(found, doc[missed], np.int32(NO_DOC))
    block = replace(block, doc=doc)
    part, held, _ = episodes(block, block.doc != NO_DOC, 6)
    assert (part.query == missed).sum() == 1 and not held[part.query == missed].any()
    counts = (block.positive != NO_DOC).sum(axis=1)
    assert (part.positive[part.query == missed] != NO_DOC).sum() == counts[missed] - 1
    rows = training_rows(block, ~known_places(block), 6, lambda one: features(one, sight))
    of_missed = rows.query == missed
    assert rows.label[of_missed].sum() == 0 and rows.share[of_missed].sum() == pytest.approx(found.sum())


def test_neighbours_are_the_nearest_candidates_and_how_likely_they_look() -> None:
    block, sight = a_run()
    one = asked(block)
    found = features(one, sight)
    first = sight.first.log_odds(found[..., : len(FIRST)])
    for q in range(QUERIES):
        place = np.flatnonzero(one.doc[q] != NO_DOC)
        grid = sight.spaces[0].documents(one.doc[q, place]).astype(np.float64)
        bar = np.sort(first[q, place])[::-1][min(LIKELY, len(place)) - 1]
        chance = np.rint(1024 / (1 + np.exp(-(first[q, place] - bar))))
        mean = []
        for at in range(len(place)):
            cosine = grid @ grid[at]
            others = np.delete(np.arange(len(place)), at)
            nearest = others[cosine[others] >= np.sort(cosine[others])[::-1][NEIGHBOURS - 1]]
            mean.append(np.rint(chance[nearest].mean()))
        wanted = (mean - np.mean(mean)) / (np.std(mean) or 1.0)
        assert found[q, place, COLUMNS.index("neighbours")] == pytest.approx(wanted, abs=1e-5)


def test_scorers_stand_for_themselves_too() -> None:
    block, sight = a_run(scorers=("judge",))
    one = asked(block)
    found = features(one, sight)
    for q in range(QUERIES):
        there = (one.doc[q] != NO_DOC) & np.isfinite(one.scores["judge"][q])
        score = one.scores["judge"][q, there].astype(np.float64)
        wanted = (score - score.mean()) / score.std()
        assert found[q, there, COLUMNS.index("scorers")] == pytest.approx(wanted, abs=1e-3)
    alone = features(asked(a_run()[0]), sight)
    assert (alone[..., COLUMNS.index("scorers")] == 0).all()
    assert (alone[..., COLUMNS.index("scorers, below positives")] == 0).all()


@pytest.mark.parametrize("per_query", [1, 6])
def test_rows_that_are_kept_stand_for_all(per_query: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardneg.guard.fitted.episodes.UNLABELLED", 5)
    block, sight = a_run()
    counts = (block.positive != NO_DOC).sum(axis=1)
    several, candidate = counts >= 2, ~known_places(block)
    rows = training_rows(block, candidate, per_query, lambda one: features(one, sight))
    unlabelled = rows.label == 0
    for q in np.flatnonzero(several).tolist():
        episode = min(per_query, counts[q])
        assert (unlabelled & (rows.query == q)).sum() == 5 * episode
        # However few are kept: all candidates without a label, and all known positives.
        assert rows.share[unlabelled & (rows.query == q)].sum() == pytest.approx(candidate[q].sum())
        assert rows.share[~unlabelled & (rows.query == q)].sum() == pytest.approx(counts[q])


def random_block(queries: int) -> Block:
    """Of twelve candidates of each query the first four are its positives."""
    draws = np.random.default_rng(6)
    doc = np.stack([np.sort(draws.permutation(1000)[:12]) for _ in range(queries)]).astype(np.int32)
    nothing = np.full(doc.shape, np.nan, np.float32)
    return Block(np.arange(queries, dtype=np.int32), doc, {}, {}, doc[:, :4], {}, nothing)


def test_any_row_may_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardneg.guard.fitted.episodes.UNLABELLED", 4)
    block, queries = random_block(400), 400
    place = np.arange(12, dtype=np.float32)[None, :, None]
    rows = training_rows(
        block, ~known_places(block), 1, lambda one: np.broadcast_to(place, (len(one.query), 12, 1))
    )
    kept = rows.values[rows.label == 0, 0].astype(np.int64)
    often = np.bincount(kept, minlength=12) / queries
    assert (often[:4] == 0).all() and np.abs(often[4:] - 4 / 8).max() < 4 * np.sqrt(1 / 2 / 2 / queries)


def test_any_positive_may_be_the_one_that_is_held_out() -> None:
    block, queries = random_block(400), 400
    _, held, _ = episodes(block, block.doc != NO_DOC, 1)
    often = held.sum(axis=0) / queries
    assert (often[4:] == 0).all() and np.abs(often[:4] - 1 / 4).max() < 4 * np.sqrt(1 / 4 * 3 / 4 / queries)


def test_no_document_is_no_known_positive() -> None:
    doc = np.array([[4, NO_DOC, 7], [7, 4, NO_DOC]], np.int32)
    positive = np.array([[7, NO_DOC], [4, 7]], np.int32)
    rows, nothing = np.arange(2, dtype=np.int32), np.full(doc.shape, np.nan, np.float32)
    found = known_places(Block(rows, doc, {}, {}, positive, {}, nothing))
    assert found.tolist() == [[False, False, True], [True, True, False]]
