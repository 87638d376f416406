"""Random documents that are never a positive, a candidate, a repeat or a twin, on corpora of any size."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hardneg.records import Block
from hardneg.select import backfill
from hardneg.select.backfill import Backfill
from hardneg.select.draws import stream_keys
from hardneg.select.duplicates import Twins


def nothing(block: Block) -> np.ndarray:
    return np.zeros(block.doc.shape, np.bool_)


def fill(
    select: SimpleNamespace, classes: np.ndarray, need: int, exclude: object = nothing, queries: int = 1
) -> np.ndarray:
    block = select.block([{"dense": {0: 0.9, 1: 0.8}}] * queries, [{2: 1.0}] * queries)
    keys = stream_keys(0, [(f"q{n}".encode(),) for n in range(queries)], "backfill")
    taken = np.zeros((queries, 1), np.int32)
    wanted = np.full(queries, need, np.int32)
    return Backfill(Twins(classes), exclude).fill(block, keys, wanted, taken)  # type: ignore[arg-type]


@pytest.mark.parametrize("small", [True, False])
def test_never_a_candidate_a_positive_or_a_repeat(
    select: SimpleNamespace, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(backfill, "SMALL_CORPUS", 0)
        monkeypatch.setattr(backfill, "_ROUNDS", (4, 12))
    found = fill(select, np.arange(30, dtype=np.int32), 10, queries=50)
    for row in found:
        assert len(set(row.tolist())) == 10
        assert set(row.tolist()) <= set(range(3, 30))
    drawn = np.bincount(found.ravel(), minlength=30)[3:]
    # 500 draws of 27 documents without replacement within a query: 18.5 each, at most sqrt(50 * 0.37 * 0.63)
    assert abs(drawn - 500 / 27).max() < 5 * np.sqrt(50 * (10 / 27) * (17 / 27))


@pytest.mark.parametrize("small", [True, False])
def test_a_small_corpus_gives_all_it_has_and_ends(
    select: SimpleNamespace, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(backfill, "SMALL_CORPUS", 0)
        monkeypatch.setattr(backfill, "_ROUNDS", (4, 12))
    found = fill(select, np.arange(5, dtype=np.int32), 10)
    assert sorted(found[0].tolist()) == [-1] * 3 + [3, 4]  # no wider than the corpus
    assert (fill(select, np.arange(3, dtype=np.int32), 4) == -1).all()


def test_twins_come_once_and_twins_of_the_chosen_never(select: SimpleNamespace) -> None:
    classes = np.arange(9, dtype=np.int32)
    classes[[3, 4, 5]] = 3
    classes[6] = classes[0]  # document 0 is taken
    found = fill(select, classes, 9, queries=20)
    for row in found:
        there = sorted(row[row >= 0].tolist())
        assert there[-2:] == [7, 8] and len(there) == 3 and there[0] in (3, 4, 5)


def test_the_guard_is_asked_of_every_one(select: SimpleNamespace) -> None:
    found = fill(select, np.arange(5000, dtype=np.int32), 3, lambda block: block.doc % 1000 != 7, queries=4)
    assert (found % 1000 == 7).all() and (
        np.sort(found, axis=1)[:, 1:] != np.sort(found, axis=1)[:, :-1]
    ).all()


def test_queries_have_draws_of_their_own_whatever_the_company(select: SimpleNamespace) -> None:
    together = fill(select, np.arange(30, dtype=np.int32), 5, queries=3)
    assert np.array_equal(together[:1], fill(select, np.arange(30, dtype=np.int32), 5, queries=1))
    assert len({tuple(row) for row in together.tolist()}) == 3
