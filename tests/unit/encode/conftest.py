"""Texts, and a configuration whose store is the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardneg.config import EncodeConfig

WORDS = "cell gene drug heart blood virus the of and in is not causes lowers raises query passage".split()


@pytest.fixture
def config(tmp_path: Path) -> EncodeConfig:
    return EncodeConfig(cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def texts() -> list[str]:
    """200 texts of 1 to 30 words; two of them twice."""
    import random

    draw = random.Random(0)
    made = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) + f" {i}" for i in range(198)]
    return [*made, made[3], made[50]]
