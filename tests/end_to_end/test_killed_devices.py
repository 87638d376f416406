"""A model on two devices, a process each: whoever of the three is killed, the same command goes on."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

WORDS = "cell gene drug heart blood virus causes lowers raises".split()
TEXTS = 80
MINES = """
import sys
from hardneg.encode import plan
plan.TEXTS_A_SHARD = 4
from hardneg.__main__ import main
main()
"""
TABLES = ("negatives", "positives", "decisions", "outcomes")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(3)
    sentence = lambda: " ".join(draw.choices(WORDS, k=9))  # noqa: E731  # one line
    rows = [{"query": f"{sentence()} {n}", "positive": f"{sentence()} {n}"} for n in range(TEXTS)]
    path = tmp_path_factory.mktemp("source") / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Mining:
    """The command in a folder that holds its run and its cache."""

    def __init__(self, source: Path, model: Path, folder: Path) -> None:
        self._folder = folder
        self._call = [sys.executable, "-c", MINES, "mine", str(source), "--run-dir", str(folder / "run")]
        self._call += ["--model", str(model), "--device", "cpu,cpu", "--backend", "torch"]
        self._call += ["--precision", "fp32", "--num-negatives", "3"]

    def start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "HARDNEG_CACHE": str(self._folder / "cache"), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            self._call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    @property
    def shards(self) -> int:
        """What lies under a temporary name is no shard yet."""
        return len(list((self._folder / "cache").rglob("[!.]*.keys.parquet")))

    def tables(self) -> dict[str, bytes]:
        chosen = self._folder / "run" / "selections" / "default"
        return {name: (chosen / f"{name}.parquet").read_bytes() for name in TABLES}


@pytest.mark.slow
@pytest.mark.reliability
def test_whoever_is_killed(source: Path, tiny: Path, tmp_path: Path, tally: Callable[..., None]) -> None:
    """At one shard after another; the command itself, the first device's process, the second's, in turn."""
    undisturbed = Mining(source, tiny, tmp_path / "whole")
    process = undisturbed.start()
    assert process.communicate()[1] and process.returncode == 0
    wanted, shards = undisturbed.tables(), undisturbed.shards
    killed = Mining(source, tiny, tmp_path / "killed")
    tried, wrong = 0, []
    for victim in range(9):
        process = killed.start()
        before = killed.shards
        while killed.shards == before and process.poll() is None:
            time.sleep(0.001)
        children = psutil.Process(process.pid).children() if process.poll() is None else []
        if len(children) < 2:
            process.communicate()
            break
        tried += 1
        (psutil.Process(process.pid), *children)[victim % 3].kill()
        told = process.communicate()[1]
        _, alive = psutil.wait_procs(children, timeout=6)
        if alive:
            wrong.append(f"{victim}: {alive}")
        noticed = process.returncode == 1 and "the process that encodes on cpu ended" in told
        done = process.returncode == 0  # it had nothing more to encode
        if victim % 3 and not (noticed or done):
            wrong.append(f"{victim}: {process.returncode} {told}")
        if killed.shards < before:
            wrong.append(f"{victim}: {killed.shards} shards, {before} before")
    process = killed.start()
    told = process.communicate()[1]
    assert process.returncode == 0, told
    found = killed.tables()
    others = [name for name in TABLES if found[name] != wanted[name]]
    if others or killed.shards != shards:
        wrong.append(f"tables that are others: {others}; {killed.shards} shards in place of {shards}")
    tally("kills survived (SIGKILL, then the same command)", tried=tried, failed=len(wrong))
    assert not wrong
    assert tried >= 6
