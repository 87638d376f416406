"""Who learns and who is asked, against plain loops over all pairs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.records import Bool, Float64, Int32, Pairs
from hardneg.trialing import FOLDS, Folds, Groups, folds, learned_from, of_queries, shared
from hardneg.trialing.split import ALWAYS_LEARNS

DOCUMENTS = 30


def pairs(documents: list[list[int]]) -> Pairs:
    query = np.array([row for row, some in enumerate(documents) for _ in some], np.int32)
    return Pairs.from_rows(
        query, np.array([doc for some in documents for doc in some], np.int32), len(documents)
    )


def rows(*numbers: int) -> Int32:
    return np.array(numbers, np.int32)


def listed(found: Pairs) -> list[list[int]]:
    return [found.doc[found.start[row] : found.start[row + 1]].tolist() for row in range(len(found.counts))]


def plain(queries: int, linked: list[tuple[int, int]]) -> list[int]:
    """Components by relabelling until nothing changes: each query's smallest companion."""
    label = list(range(queries))
    changed = True
    while changed:
        changed = False
        for one, other in linked:
            least = min(label[one], label[other])
            changed |= label[one] != least or label[other] != least
            label[one] = label[other] = least
    return label


def same_groups(found: Int32, label: list[int]) -> bool:
    return len(set(zip(found.tolist(), label, strict=True))) == len(set(label)) == len(set(found.tolist()))


def test_groups_hang_together_by_answers_their_texts_and_queries() -> None:
    # 0 and 1 share document 0; 1 and 2 have documents of one text; 3 is a query like 2; 4 and 5 are apart.
    positives = pairs([[0], [0, 1], [2], [3], [4], []])
    found = Groups.of(positives, rows(0, 1, 1, 2, 3), rows(2), rows(3))
    assert same_groups(found.component, [0, 0, 0, 0, 4, 5])
    assert same_groups(found.alike, [0, 1, 2, 2, 4, 5])
    assert found.component.dtype == found.alike.dtype == np.int32
    assert found.largest(np.ones(6, np.bool_)) == 4
    assert found.largest(np.array([True, False, False, True, True, True])) == 2
    assert found.largest(np.zeros(6, np.bool_)) == 0


def test_no_queries_make_no_groups() -> None:
    found = Groups.of(pairs([]), rows(), rows(), rows())
    assert len(found.component) == len(found.alike) == found.largest(np.zeros(0, np.bool_)) == 0


World = tuple[list[list[int]], Int32, list[tuple[int, int]], Bool, Float64]


def world(seed: int, queries: int, most: int, alike: int) -> World:
    """Positives, text number of each document, like queries, usable queries, a draw for each."""
    draws = np.random.default_rng(seed)
    spread = int(draws.integers(1, DOCUMENTS))
    positives = [
        sorted(set(draws.integers(0, spread, draws.integers(0, most + 1)).tolist())) for _ in range(queries)
    ]
    numbers = draws.integers(0, spread + 1, DOCUMENTS).astype(np.int32)
    linked = [(int(one), int(other)) for one, other in draws.integers(0, queries, (alike, 2))]
    usable = np.array([bool(some) for some in positives]) & (draws.random(queries) < draws.choice([0.5, 1]))
    return positives, numbers, linked, usable, draws.random(queries)


WORLDS = st.builds(world, st.integers(0, 9999), st.integers(1, 40), st.integers(1, 3), st.integers(0, 5))


def grouped(positives: list[list[int]], numbers: Int32, alike: list[tuple[int, int]]) -> Groups:
    left, right = np.array(alike, np.int32).reshape(-1, 2).T
    return Groups.of(pairs(positives), numbers, left, right)


@given(WORLDS)
@settings(max_examples=150)
def test_components_are_those_of_all_pairs_compared(world: World) -> None:
    positives, numbers, alike, *_ = world
    answers = [{int(numbers[doc]) for doc in some} for some in positives]
    linked = [
        (one, other) for one in range(len(answers)) for other in range(one) if answers[one] & answers[other]
    ]
    found = grouped(positives, numbers, alike)
    assert same_groups(found.component, plain(len(positives), linked + alike))
    assert same_groups(found.alike, plain(len(positives), alike))


@given(WORLDS, st.integers(0, 30))
@settings(max_examples=150)
def test_folds_split_no_group_and_miss_no_query(world: World, least: int) -> None:
    positives, numbers, alike, usable, draws = world
    groups = grouped(positives, numbers, alike)
    found = folds(groups, usable, draws, least)
    assert found.number.min() >= ALWAYS_LEARNS and found.number.max() < FOLDS
    assert (found.number[~usable] == ALWAYS_LEARNS).all()
    size = Counter(groups.component[usable].tolist())
    small = np.array([size[group] * FOLDS <= max(usable.sum(), FOLDS) for group in groups.component.tolist()])
    assert found.separate == ((usable & small).sum() >= max(least, 1))
    together = groups.component if found.separate else groups.alike
    asked = usable & small if found.separate else usable
    assert (found.number[asked] != ALWAYS_LEARNS).all() and (found.number[usable & ~asked] == -1).all()
    for group in set(together[asked].tolist()):
        assert len(set(found.number[asked & (together == group)].tolist())) == 1
    # As even as whole groups allow: no fold has more than another by over the largest group.
    held = np.array([found.asked(fold).sum() for fold in range(FOLDS)])
    assert held.sum() == asked.sum() and found.count == (held > 0).sum()
    assert held.max() - held.min() <= max(Counter(together[asked].tolist()).values(), default=0)


@given(WORLDS, st.integers(0, 10))
@settings(max_examples=150)
def test_what_is_asked_is_never_learned(world: World, least: int) -> None:
    positives, numbers, alike, usable, draws = world
    mine = of_queries(pairs(positives), usable)
    found = folds(grouped(positives, numbers, alike), usable, draws, least)
    for fold in range(FOLDS):
        asked, learning = found.asked(fold), usable & ~found.asked(fold)
        answers = of_queries(mine, asked)
        texts = {int(numbers[doc]) for doc in answers.doc}
        taught = learned_from(mine, numbers, learning, answers)
        assert not texts & {int(numbers[doc]) for doc in taught.doc}
        assert not shared(taught, numbers, answers).any()
        everything = learned_from(mine, numbers, learning, None)
        assert listed(everything) == [
            sorted(some) if learns else [] for some, learns in zip(positives, learning, strict=True)
        ]
        if found.separate:  # then there is nothing to leave out
            assert listed(everything) == listed(taught)
        else:
            assert listed(taught) == [
                [doc for doc in some if int(numbers[doc]) not in texts] for some in listed(everything)
            ]


@given(WORLDS, st.integers(0, 30), st.integers(0, 99))
@settings(max_examples=100)
def test_the_order_of_rows_changes_nothing(world: World, least: int, seed: int) -> None:
    positives, numbers, alike, usable, draws = world
    order = np.random.default_rng(seed).permutation(len(positives))
    back = np.argsort(order).tolist()
    one = folds(grouped(positives, numbers, alike), usable, draws, least)
    turned = [(back[left], back[right]) for left, right in reversed(alike)]
    other = folds(
        grouped([positives[row] for row in order], numbers, turned), usable[order], draws[order], least
    )
    assert other.number.tolist() == one.number[order].tolist() and other.separate == one.separate


def test_a_component_larger_than_a_fold_always_learns() -> None:
    # 20 queries, a fold is 4: five share document 0; four share document 1 and may be asked.
    positives = pairs([[0]] * 5 + [[1]] * 4 + [[row] for row in range(9, 20)])
    none = rows()
    groups = Groups.of(positives, np.arange(20, dtype=np.int32), none, none)
    usable, draws = np.ones(20, np.bool_), np.random.default_rng(0).random(20)
    found = folds(groups, usable, draws, least=15)
    assert found.separate and found.count == FOLDS
    assert (found.number == ALWAYS_LEARNS).tolist() == [True] * 5 + [False] * 15
    # The four first, then the eleven single ones: 4, 3, 3, 3, 2.
    assert sorted(Counter(found.number[5:].tolist()).values()) == [2, 3, 3, 3, 4]
    # One more must be left to ask: all of them are dealt, four a fold.
    found = folds(groups, usable, draws, least=16)
    assert not found.separate and Counter(found.number.tolist()) == dict.fromkeys(range(FOLDS), 4)


def test_another_draw_makes_other_folds() -> None:
    groups = Groups(np.arange(50, dtype=np.int32), np.arange(50, dtype=np.int32))
    usable, draws = np.ones(50, np.bool_), np.random.default_rng(1)
    found = {folds(groups, usable, draws.random(50), 1).number.tobytes() for _ in range(10)}
    assert len(found) == 10
    assert found != {folds(groups, usable, np.zeros(50), 1).number.tobytes()}


def test_few_queries_make_few_folds() -> None:
    groups = Groups(rows(0, 1, 2), rows(0, 1, 2))
    found = folds(groups, np.array([True, True, False]), np.array([0.5, 0.1, 0.0]), least=1)
    # Each of the two is more than a fifth of the two, but no part of a query can be asked.
    assert found.separate and found.count == 2
    assert found.number.tolist() == [1, 0, ALWAYS_LEARNS]
    assert Folds(rows(-1, -1), separate=True).count == 0


def test_queries_outside_are_in_no_fold_whatever_their_component() -> None:
    groups = Groups(rows(0, 1, 2, 0, 3), rows(0, 1, 2, 3, 4))
    usable = np.array([False, True, False, False, False])
    for least, number in ((0, 0), (1, 0)):
        assert folds(groups, usable, np.zeros(5), least).number.tolist() == [-1, number, -1, -1, -1]


def test_pairs_are_left_out_by_text_not_by_row() -> None:
    positives = pairs([[0, 1], [2], [3], [4]])
    document = rows(0, 1, 1, 2, 3)
    asked = pairs([[], [2], [], []])
    learning = np.array([True, False, True, False])
    assert listed(learned_from(positives, document, learning, asked)) == [[0], [], [3], []]
    assert listed(learned_from(positives, document, learning, None)) == [[0, 1], [], [3], []]
    assert shared(positives, document, pairs([[1], [2], [], [0, 1]])).tolist() == [True, True, False, True]
    assert shared(pairs([[3]]), document, pairs([[1, 2], [3, 4], []])).tolist() == [False, True, False]
    assert listed(of_queries(positives, np.array([False, True, False, True]))) == [[], [2], [], [4]]


@pytest.mark.parametrize("queries", [0, 3])
def test_without_pairs_there_is_nothing_to_learn(queries: int) -> None:
    none = pairs([[]] * queries)
    assert listed(learned_from(none, rows(0), np.ones(queries, np.bool_), none)) == [[]] * queries
    assert shared(none, rows(0), none).tolist() == [False] * queries
