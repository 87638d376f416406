"""The vectors of FlagEmbedding's base classes by hardneg's own encoder, worked out anew in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardneg.encode.flag_own import OwnFlagEncoder
from hardneg.encode.flag_settings import FlagSettings
from hardneg.errors import ModelError
from hardneg.records import Float32

TEXTS = ["cell gene drug", "heart", "the virus causes blood of and in is not", "query passage " * 9]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))


def expected(folder: Path, texts: list[str], pooling: str, length: int, half: bool, normal: bool) -> Float32:
    """One text at a time, so that no padding can do harm."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    dtype = torch.float16 if half else torch.float32
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=dtype)
    model = model.float().eval()
    vectors = []
    for text in texts:
        inputs = tokenizer([text], truncation=True, max_length=length, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state[0]
        vector = {"cls": states[0], "mean": states.mean(0), "last_token": states[-1]}[pooling]
        vectors.append((vector / vector.norm() if normal else vector).numpy())
    return np.stack(vectors)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("half", [True, False], ids=["half", "whole"])
@pytest.mark.parametrize("normal", [True, False], ids=["normal", "raw"])
def test_an_encoder(pooling: str, half: bool, normal: bool, tiny: Path) -> None:
    """The folder declares mean pooling and 16 tokens; what is asked for counts, not that."""
    settings = FlagSettings(
        "encoder-only-base",
        pooling=pooling,
        use_fp16=half,
        normalize=normal,
        query_max_length=8,
        passage_max_length=20,
        devices=("cpu",),
    )
    encoder = OwnFlagEncoder(str(tiny), settings)
    for kind, length in (("query", 8), ("document", 20)):
        found = encoder.encode(TEXTS, kind, "")  # type: ignore[arg-type]  # a Kind
        np.testing.assert_allclose(
            found, expected(tiny, TEXTS, pooling, length, half, normal), atol=2e-6, rtol=2e-6
        )
    assert encoder.similarity == ("cosine" if normal else "dot")


def test_a_decoder_is_pooled_by_its_last_token(tiny_decoder: Path) -> None:
    settings = FlagSettings("decoder-only-base", passage_max_length=12, devices=("cpu",))
    found = OwnFlagEncoder(str(tiny_decoder), settings).encode(TEXTS, "document", "")
    np.testing.assert_allclose(found, expected(tiny_decoder, TEXTS, "last_token", 12, True, True), atol=2e-6)


def test_an_instruction_goes_before_queries_alone(tiny: Path) -> None:
    settings = FlagSettings(
        "encoder-only-base", instruction="query", instruction_format="{} : {} .", devices=("cpu",)
    )
    encoder = OwnFlagEncoder(str(tiny), settings)
    plain = OwnFlagEncoder(str(tiny), replace(settings, instruction=None))
    np.testing.assert_array_equal(
        encoder.encode(["heart"], "query", ""), plain.encode(["query : heart ."], "query", "")
    )
    np.testing.assert_array_equal(
        encoder.encode(["heart"], "document", ""), plain.encode(["heart"], "document", "")
    )


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("query", {"pooling": "mean"}),
        ("query", {"normalize": False}),
        ("query", {"use_fp16": False}),
        ("query", {"query_max_length": 9}),
        ("document", {"passage_max_length": 9}),
        ("query", {"instruction": "other"}),
        ("query", {"instruction_format": "{} {}"}),
    ],
    ids=["pooling", "normalize", "fp16", "query-length", "passage-length", "instruction", "format"],
)
def test_whatever_changes_a_vector_changes_the_fingerprint(kind: Any, change: Any, tiny: Path) -> None:
    settings = FlagSettings("encoder-only-base", instruction="query", devices=("cpu",))
    make: Callable[[FlagSettings], Any] = lambda asked: OwnFlagEncoder(str(tiny), asked).fingerprint(kind)  # noqa: E731
    assert make(replace(settings, **change)) != make(settings)
    assert make(replace(settings, batch_size=5)) == make(settings)


def test_pickled_weights_are_not_read(tmp_path: Path, tiny: Path) -> None:
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights"):
        OwnFlagEncoder(str(folder), FlagSettings("encoder-only-base"))
