"""Long work stays calm: mining, choosing and exporting again and again holds no more than at first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Held = dict[str, float]
SOAK = Path(__file__).with_name("soak.py")
"""In a process of its own: what other tests have left behind in this one is no part of it."""


def soak(folder: Path, model: Path, rounds: int) -> tuple[Held, Held]:
    """What is held after the warm-up, and after all rounds."""
    command = [sys.executable, str(SOAK), str(folder), str(model), str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    warm, now = json.loads(done.stdout.splitlines()[-1])
    return warm, now


def grown(warm: Held, now: Held, megabytes: float) -> list[str]:
    """What is more than it may be. Threads of pools come and go; a handle that is left is a fault."""
    bounds = {"handles": 0, "threads": 2, "children": 0, "megabytes": megabytes}
    return [
        f"{name}: {warm[name]:,.0f}, then {now[name]:,.0f}"
        for name, bound in bounds.items()
        if now[name] > warm[name] + bound
    ]


def test_ten_rounds_hold_no_more_than_three(tiny: Path, tmp_path: Path) -> None:
    warm, now = soak(tmp_path, tiny, 10)
    assert not grown(warm, now, megabytes=30)


@pytest.mark.slow
@pytest.mark.reliability
def test_hundreds_of_rounds_hold_no_more_than_three(
    tiny: Path, tmp_path: Path, tally: Callable[..., None]
) -> None:
    rounds = 300
    warm, now = soak(tmp_path, tiny, rounds)
    found = grown(warm, now, megabytes=60)
    tally("rounds of mine, select and export in one process", tried=rounds, failed=rounds if found else 0)
    print(warm, now)
    assert not found
