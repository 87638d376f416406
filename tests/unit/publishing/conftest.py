"""A mined run, and a Hub on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hardneg

sys.path.insert(0, str(Path(__file__).parent))
from hub_server import Hub

TOKEN = "hf_canary1234567890abcdefghij"  # noqa: S105  # nobody's


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import json

    path = tmp_path_factory.mktemp("a-secret-folder") / "pairs.jsonl"
    rows = [{"query": f"river {n}", "positive": f"river engine {n}"} for n in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "run"
    hardneg.mine(
        source,
        run_dir=folder,
        retriever="bm25",
        relative_margin=None,
        guard="off",
        near_duplicate=0,
        depth=5,
        window="1:",
        num_negatives=2,
        seed=7,
    )
    return folder


@pytest.fixture
def mined(run: Path) -> hardneg.Mined:
    return hardneg.open_run(run)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The libraries read these constants when they are first imported."""
    import datasets
    import huggingface_hub.constants as constants

    hub = Hub(TOKEN)
    server = hub.start()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    yield hub
    server.shutdown()
    server.server_close()
