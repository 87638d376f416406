"""Tokens made without the model's own detour are those that it makes, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hardneg.encode.batches import Tokens
from hardneg.encode.fast_tokens import FEW_TEXTS, FastTokens
from hardneg.protocols import Kind


def by_the_model(model: Any, texts: Sequence[str], kind: Kind, prompt: str) -> Tokens:
    return Tokens.of(model.preprocess(list(texts), prompt=prompt, task=kind), texts, prompt)


def assert_same(found: Tokens | None, expected: Tokens) -> None:
    import torch

    assert found is not None
    assert set(found.features) == set(expected.features)
    for name, value in expected.features.items():
        if torch.is_tensor(value):
            assert torch.equal(found.features[name], value), name
        else:
            assert found.features[name] == value
    np.testing.assert_array_equal(found.lengths, expected.lengths)
    np.testing.assert_array_equal(found.truncated, expected.truncated)
    assert (found.prompt, found.padded) == (expected.prompt, expected.padded)


@pytest.mark.parametrize("kind_of_model", ["bert", "modernbert", "decoder"])
@pytest.mark.parametrize("prompt", ["", "query : "])
def test_as_the_model_tokenises(
    kinds: Callable[[str], Any], texts: list[str], kind_of_model: str, prompt: str
) -> None:
    model = kinds(kind_of_model)
    model.max_seq_length = 12  # many of the texts are longer, some are exactly so long
    tokens = FastTokens(model)
    for kind in ("query", "document"):
        assert_same(tokens(texts, kind, prompt), by_the_model(model, texts, kind, prompt))
    assert_same(tokens(texts[::-1], "query", prompt), by_the_model(model, texts[::-1], "query", prompt))


def test_a_limit_that_differs_by_kind(build: Callable[..., Any], texts: list[str]) -> None:
    model = build()
    model[0].query_length = 7
    tokens = FastTokens(model)
    for kind in ("query", "document", "query"):
        assert_same(tokens(texts, kind, ""), by_the_model(model, texts, kind, ""))


def test_few_texts_and_what_comes_out_otherwise_are_left_to_the_model(
    build: Callable[..., Any], texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    assert FastTokens(model)(texts[: FEW_TEXTS - 1], "document", "") is None
    own = model.preprocess

    def lowered(inputs: list[str], **settings: Any) -> Any:
        return own([text.replace("a b", "b a") for text in inputs], **settings)

    monkeypatch.setattr(model, "preprocess", lowered)
    assert FastTokens(model)(texts, "document", "") is None


def test_the_model_serves_others_as_before(build: Callable[..., Any], texts: list[str]) -> None:
    model = build()
    before = by_the_model(model, texts, "document", "")
    FastTokens(model)(texts, "document", "")
    assert_same(by_the_model(model, texts, "document", ""), before)
