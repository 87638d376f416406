"""Batches waste next to nothing on padding, and work that overlaps comes back in order."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from hardneg.encode import encode as encode_module
from hardneg.encode.batches import batches
from hardneg.encode.lanes import ahead, started_ahead, threads


def padding_share(lengths: np.ndarray, tokens: int) -> float:
    """Of all tokens that a model is given, those that are padding."""
    given = sum(int(lengths[places].max()) * len(places) for places in batches(lengths, tokens))
    return 1 - int(lengths.sum()) / given


@pytest.mark.parametrize(
    ("texts_a_call", "tokens", "most"), [(512, 512, 0.01), (512, 2048, 0.01), (4096, 16384, 0.02)]
)
def test_next_to_nothing_is_padding(texts_a_call: int, tokens: int, most: float) -> None:
    """Lengths as abstracts have them: log-normal, cut at 256. In the order given it would be a half."""
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(5.2, 0.6, 4096), 3, 256).astype(np.int64)
    # What a model is given at once: texts sorted by their bytes, which tell the tokens only nearly.
    in_bytes = (lengths * draw.normal(5, 0.5, len(lengths))).astype(np.int64)
    shares = [
        padding_share(lengths[call], tokens)
        for call in encode_module._calls([""] * len(lengths), in_bytes, texts_a_call)
    ]
    assert np.mean(shares) <= most


def test_every_text_is_in_one_batch_and_batches_keep_to_their_tokens() -> None:
    lengths = np.random.default_rng(1).integers(1, 300, 1000)
    cut = list(batches(lengths, 256))
    assert sorted(np.concatenate(cut).tolist()) == list(range(1000))
    for places in cut:
        assert len(places) == 1 or int(lengths[places].max()) * len(places) <= 256


def test_ahead_keeps_the_order_and_works_one_ahead() -> None:
    made: list[int] = []

    def make(item: int) -> int:
        made.append(item)
        return item * item

    found = ahead(make, range(5))
    assert next(found) == 0
    deadline = time.monotonic() + 10
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert made == [0, 1]  # the next is made while the first is in use, and no more than that
    assert list(found) == [1, 4, 9, 16]


def test_an_error_is_raised_where_the_result_is_awaited_and_stops_the_rest() -> None:
    ran: list[int] = []

    def work(item: int) -> int:
        ran.append(item)
        if item == 3:
            raise ValueError("three")
        time.sleep(0.01)
        return item

    with pytest.raises(ValueError, match="three"), threads(1) as pool:
        starting = started_ahead(lambda item: [pool.submit(work, item * 10 + n) for n in range(10)], range(9))
        for _ in starting:
            pass
    assert max(ran) < 15  # what had been set going and not begun is dropped


def test_lanes_run_side_by_side() -> None:
    together = threading.Barrier(2, timeout=30)
    with threads(2) as pool:
        assert len([future.result() for future in [pool.submit(together.wait) for _ in range(2)]]) == 2
