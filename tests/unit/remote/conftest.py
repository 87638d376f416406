"""A small collection on this disk, and under an address."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_collection import BEIR


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """The same on this disk."""
    for name, content in BEIR.items():
        path = tmp_path / "beir" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "beir"


@pytest.fixture
def memory() -> Iterator[Callable[[Mapping[str, bytes]], str]]:
    """memory({name: content}) → an address under which they lie; nothing of another test is there."""
    import fsspec

    system, root = fsspec.filesystem("memory"), f"memory://{uuid4().hex}"

    def put(files: Mapping[str, bytes]) -> str:
        for name, content in files.items():
            system.pipe_file(f"{root}/{name}", content)
        return root

    yield put
    if system.exists(root):
        system.rm(root, recursive=True)
