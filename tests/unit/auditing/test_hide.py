"""Which positives are hidden, and what is left of a block without them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hardneg.auditing import held, hide, looked_at, pair_keys, with_known
from hardneg.records import NO_DOC, Block, Pairs


def pairs(*of_query: list[int]) -> Pairs:
    query = np.repeat(np.arange(len(of_query), dtype=np.int32), [len(docs) for docs in of_query])
    return Pairs.from_rows(
        query, np.array([doc for docs in of_query for doc in docs], np.int32), len(of_query)
    )


def test_of_ten_positives_three_with_the_lowest_draws_go() -> None:
    draw = np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5, 0.95])
    hidden = hide(pairs(list(range(10))), draw, np.array([0.5]), 0.3)
    assert np.flatnonzero(hidden).tolist() == [1, 3, 5]


def test_what_the_share_leaves_over_is_drawn() -> None:
    two = pairs([4, 5], [6, 7])  # 0.3 of two is 0.6: one goes where the draw is above 0.4
    hidden = hide(two, np.array([0.2, 0.1, 0.1, 0.2]), np.array([0.39, 0.41]), 0.3)
    assert hidden.tolist() == [False, False, True, False]


def test_one_positive_stays() -> None:
    hidden = hide(pairs([1], [2, 3, 4], []), np.array([0.1, 0.3, 0.2, 0.1]), np.full(3, 0.99), 0.95)
    assert hidden.tolist() == [False, False, True, True]


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=20), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1)
)
def test_as_many_as_the_share_and_never_all(counts: list[int], share: float, seed: int) -> None:
    draws = np.random.default_rng(seed)
    of = pairs(*(list(range(count)) for count in counts))
    hidden = hide(of, draws.random(sum(counts)), draws.random(len(counts)), share)
    for count, part in zip(counts, np.split(hidden, of.start[1:-1]), strict=True):
        assert part.sum() <= max(count - 1, 0)
        assert part.sum() in (
            int(np.floor(count * share)),
            int(np.floor(count * share)) + 1,
            max(count - 1, 0),
        )


def test_repeats_look_at_other_queries_until_all_have_been_looked_at() -> None:
    draw, rows = np.array([0.5, 0.1, 0.4, 0.2, 0.3]), np.array([10, 11, 12, 13, 14], np.int32)
    shown = [looked_at(draw, rows, 2, repeat).tolist() for repeat in range(3)]
    assert shown == [[11, 13], [12, 14], [10, 11]]
    assert looked_at(draw, rows, 9, 3).tolist() == [10, 11, 12, 13, 14]


def test_a_hidden_positive_is_known_again_by_its_text() -> None:
    class_of = np.array([0, 1, 2, 1], np.int32)  # documents 1 and 3 have one text
    keys = pair_keys(pairs([1], [2]), class_of)
    doc = np.array([[0, 1, 3, NO_DOC], [1, 2, 3, 0]], np.int32)
    found = held(np.array([[0], [1]], np.int32), doc, keys, class_of)
    assert found.tolist() == [[False, True, True, False], [False, True, False, False]]


def test_a_block_knows_only_what_is_known() -> None:
    positive = np.array([[3, 5, 8], [5, NO_DOC, NO_DOC]], np.int32)
    block = Block(
        query=np.array([0, 2], np.int32),
        doc=np.array([[3, 5], [5, 8]], np.int32),
        ranks={"r": np.array([[1, 2], [1, 2]], np.int32)},
        scores={"r": np.ones((2, 2), np.float32)},
        positive=positive,
        positive_scores={"r": positive.astype(np.float32)},
        p_false_negative=np.full((2, 2), np.nan, np.float32),
    )
    left = with_known(block, pairs([5, 8], [3], [5]))
    assert left.positive.tolist() == [[5, 8], [5, NO_DOC]]
    np.testing.assert_array_equal(left.positive_scores["r"], np.array([[5, 8], [5, np.nan]], np.float32))
    assert left.doc.tolist() == [[3, 5], [5, 8]]


def test_a_text_that_is_hidden_is_found_by_whichever_document_has_it() -> None:
    class_of = np.array([0, 1, 2, 1], np.int32)
    keys = pair_keys(pairs([3], [2]), class_of)
    found = held(np.array([[0], [1]], np.int32), np.array([[0, 1, 3]] * 2, np.int32), keys, class_of)
    assert found.tolist() == [[False, True, True], [False, False, False]]
