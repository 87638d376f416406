"""Batches waste next to nothing on padding, and work that overlaps comes back in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hardneg.config import EncodeConfig
from hardneg.encode import encode as encode_module
from hardneg.encode import open_encoder
from hardneg.encode.batches import Tokens, batches, runs
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


def test_runs_keep_the_order_and_their_tokens() -> None:
    lengths = np.random.default_rng(1).integers(1, 300, 1000)
    cut = list(runs(lengths, 256))
    assert np.concatenate(cut).tolist() == list(range(1000))
    for places, following in pairwise(cut):
        assert len(places) == 1 or int(lengths[places].sum()) <= 256
        assert int(lengths[places].sum()) + int(lengths[following[0]]) > 256  # none is cut short for nothing


@pytest.mark.parametrize("kind", ["bert", "decoder"])
def test_a_model_that_takes_texts_without_padding_is_given_them_so(
    kinds: Callable[[str], Any],
    config: EncodeConfig,
    texts: list[str],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with FlashAttention, which needs a GPU: here something slow stands for it."""
    model = kinds(kind)
    expected = model.encode_document(texts)
    without_padding(model, monkeypatch)
    seen: list[tuple[int, ...]] = []
    real = type(model[0]).forward

    def forward(self: Any, features: Any, **rest: Any) -> Any:
        seen.append(tuple(features["input_ids"].shape))
        return real(self, features, **rest)

    monkeypatch.setattr(type(model[0]), "forward", forward)
    settings = {"backend": "torch", "batch_size": 1}
    found = open_encoder(model, config.model_copy(update=settings)).encode(texts, "document", "")
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(1) / lengths).min() >= 0.99999
    tokens = Tokens.of(model.preprocess(texts, task="document"), texts, "").lengths
    assert tokens is not None
    assert sum(width for _, width in seen) == int(tokens.sum())  # no token is padding
    assert {rows for rows, _ in seen} == {1}
    assert len(seen) > 10
    assert max(width for _, width in seen) <= 64


def without_padding(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import modeling_flash_attention_utils
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def each_text_alone(
        module: Any,
        query: Any,
        key: Any,
        value: Any,
        mask: Any,
        *,
        cu_seq_lens_q: Any,
        scaling: Any,
        **rest: Any,
    ) -> Any:
        parts = [
            torch.nn.functional.scaled_dot_product_attention(
                *(tensor[:, :, first:last] for tensor in (query, key, value)),
                is_causal=module.is_causal,
                scale=scaling,
                enable_gqa=True,
            )
            for first, last in pairwise(cu_seq_lens_q.tolist())
        ]
        return torch.cat(parts, dim=2).transpose(1, 2), None

    there = (None, object(), None, None, None), (None, None)
    monkeypatch.setattr(modeling_flash_attention_utils, "lazy_import_flash_attention", lambda *_: there)
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "flash_attention_2", each_text_alone)
    model[0].model.config._attn_implementation = "flash_attention_2"
    model[0].unpad_inputs = None  # looks again whether it can
    assert model[0].can_flatten_inputs


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
