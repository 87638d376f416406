"""Blocks put together and cut down."""

from __future__ import annotations

import numpy as np

from hardneg.records import NO_DOC, Block


def block(query: list[int], doc: list[list[int]], positive: list[list[int]]) -> Block:
    docs, own = np.array(doc, np.int32), np.array(positive, np.int32)
    return Block(
        query=np.array(query, np.int32),
        doc=docs,
        ranks={"r": np.where(docs == NO_DOC, 0, np.arange(1, docs.shape[1] + 1)).astype(np.int32)},
        scores={"r": np.where(docs == NO_DOC, np.nan, docs / 10).astype(np.float32)},
        positive=own,
        positive_scores={"r": np.where(own == NO_DOC, np.nan, own / 10).astype(np.float32)},
        p_false_negative=np.full(docs.shape, np.nan, np.float32),
    )


def test_joined_blocks_are_as_wide_as_the_widest() -> None:
    one = Block.joined([block([0], [[4, 5]], [[7, 8, 9]]), block([3, 6], [[1, 2, 3], [4, 5, 6]], [[1], [2]])])
    assert one.query.tolist() == [0, 3, 6]
    assert one.doc.tolist() == [[4, 5, NO_DOC], [1, 2, 3], [4, 5, 6]]
    assert one.ranks["r"].tolist() == [[1, 2, 0], [1, 2, 3], [1, 2, 3]]
    assert one.positive.tolist() == [[7, 8, 9], [1, NO_DOC, NO_DOC], [2, NO_DOC, NO_DOC]]
    assert np.isnan(one.scores["r"][0, 2]) and np.isnan(one.positive_scores["r"][1:, 1:]).all()
    assert one.doc.dtype == np.int32 and one.scores["r"].dtype == np.float32


def test_trimmed_positives_stand_side_by_side_with_their_scores() -> None:
    one = block([0, 1], [[1], [2]], [[NO_DOC, 5, NO_DOC, 6], [7, NO_DOC, NO_DOC, NO_DOC]]).trimmed()
    assert one.positive.tolist() == [[5, 6], [7, NO_DOC]]
    np.testing.assert_allclose(one.positive_scores["r"], np.array([[0.5, 0.6], [0.7, np.nan]]), rtol=1e-6)
