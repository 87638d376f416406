"""Memory that runs out costs time, not the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hardneg.config import EncodeConfig
from hardneg.encode import open_encoder
from hardneg.encode.room import Room
from hardneg.errors import ModelError

WIDTH = 10


class Device:
    """Has room for so many texts at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[int] = []

    def __call__(self, part: Any) -> list[int]:
        self.asked.append(len(part))
        if len(part) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return [int(place) for place in part]


def test_halves_until_it_fits_and_leaves_nothing_out() -> None:
    room, device = Room(), Device(room=3)
    found = room.run(device, np.arange(16), WIDTH)
    assert [place for part in found for place in part] == list(range(16))
    assert device.asked[:4] == [16, 8, 4, 2]


def test_what_did_not_fit_once_is_not_tried_with_the_next_batch() -> None:
    room, device = Room(), Device(room=8)
    room.run(device, np.arange(16), WIDTH)
    device.asked.clear()
    room.run(device, np.arange(16), WIDTH)
    assert device.asked == [8, 8]


def test_batches_grow_back_once_there_is_room_again() -> None:
    room, device = Room(), Device(room=4)
    room.run(device, np.arange(16), WIDTH)
    device.room = 16
    for _ in range(20):
        device.asked.clear()
        room.run(device, np.arange(16), WIDTH)
    assert device.asked == [16]


def test_a_device_that_stays_small_is_asked_ever_more_seldom() -> None:
    room, device = Room(), Device(room=8)
    for _ in range(2000):
        room.run(device, np.arange(16), WIDTH)
    failed = sum(asked > 8 for asked in device.asked)
    assert 2 < failed < 15  # patience doubles from 8 to 1024: 4000 parts that fit leave room for ten or so


def test_a_text_that_fits_nowhere_is_said() -> None:
    with pytest.raises(ModelError, match="a single text of 10 tokens does not fit"):
        Room().run(Device(room=0), np.arange(4), WIDTH)


def test_an_encoder_whose_memory_runs_out_gives_the_same_vectors(
    kinds: Any, config: EncodeConfig, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = kinds("bert")
    expected = model.encode_document(texts)
    real = type(model[0]).forward

    def forward(self: Any, features: Any, **rest: Any) -> Any:
        if features["input_ids"].numel() > 100:
            raise torch.OutOfMemoryError("out of memory")
        return real(self, features, **rest)

    monkeypatch.setattr(type(model[0]), "forward", forward)
    encoder = open_encoder(model, config.model_copy(update={"backend": "torch"}))
    found = encoder.encode(texts, "document", "")
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(1) / lengths).min() >= 0.99999
