"""Settings beside the tensors that are there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hardneg.errors import ModelError
from hardneg.made_up_weights import refuse_more_layers


def saved(folder: Path, names: list[str], settings: dict[str, int]) -> Path:
    save_file({name: np.zeros(1, np.float32) for name in names}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


ENCODER = ["encoder.block.0.layer.0.weight", "encoder.block.1.layer.0.weight"]
DECODER = ["decoder.block.0.layer.0.weight"]


def test_an_encoder_saved_alone_may_keep_the_settings_of_a_deeper_decoder(tmp_path: Path) -> None:
    refuse_more_layers(saved(tmp_path, ENCODER, {"num_layers": 2, "num_decoder_layers": 6}))


@pytest.mark.parametrize(
    ("names", "settings", "asked"),
    [
        (ENCODER, {"num_layers": 3, "num_decoder_layers": 2}, "num_layers"),
        (ENCODER + DECODER, {"num_layers": 2, "num_decoder_layers": 6}, "num_decoder_layers"),
    ],
)
def test_layers_that_are_not_in_the_weights_are_refused(
    tmp_path: Path, names: list[str], settings: dict[str, int], asked: str
) -> None:
    with pytest.raises(ModelError, match=rf"asks for \d layers \({asked}\), the weights hold 2"):
        refuse_more_layers(saved(tmp_path, names, settings))
