"""Several runs on one cache, some killed, beside removals: each is what it is with a cache of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

TOPICS = [
    f"{a} {b}" for a in ("river", "engine", "violin", "glacier") for b in ("song", "oil", "law", "ice", "map")
]

MINES = """
    import hashlib, sys, time
    import numpy as np
    import hardneg
    import hardneg.encode.plan as plan

    source, run, cache, start, stop = sys.argv[1:]
    plan.TEXTS_A_SHARD = 8

    class Cheap:
        name, dimension, similarity = "cheap", 16, "dot"

        def fingerprint(self, kind):
            return {"model": "cheap"}

        def prompt(self, kind):
            return ""

        def encode(self, texts, kind, prompt):
            time.sleep(0.004)
            digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
            return np.array([list(digest) for digest in digests], np.float32) / 16

    import json
    rows = [json.loads(line) for line in open(source)][int(start):int(stop)]
    print("begins", flush=True)
    mined = hardneg.mine(
        rows, model=Cheap(), run_dir=run, cache_dir=cache, depth=20, relative_margin=None, num_negatives=3,
        guard="off", shortfall="keep",
    )
    mined.to("st-labeled-list", run + ".jsonl")
"""

MEDDLES = """
    import sys, time
    from pathlib import Path
    from hardneg.encode.cache_listing import listing
    from hardneg.encode.cache_removal import prune, remove
    from hardneg.errors import InputError
    from hardneg.plan import checkup

    root = Path(sys.argv[1])
    print("begins", flush=True)
    while not (root.parent / "enough").exists():
        try:
            prune(listing(root), older_than=0, max_size=0)
            remove(listing(root).held)
            found = checkup.check_cache(root)
        except InputError:  # nobody has made it yet
            continue
        checkup.repair(found)
        assert not found.findings, found.as_dict()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "pairs.jsonl"
    rows = [
        {"query": f"what of the {a} and the {b}?", "positive": f"The {a} and the {b}: a note."}
        for a in TOPICS
        for b in TOPICS
        if a != b
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def mining(source: Path, run: Path, cache: Path, part: tuple[int, int]) -> subprocess.Popen[str]:
    return started(MINES, source, run, cache, *part)


def ended_well(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate()
    assert process.returncode == 0, said


def result(run: Path) -> tuple[bytes, ...]:
    """The training file, and the candidates with their scores."""
    import pyarrow as pa

    import hardneg

    sink = pa.BufferOutputStream()
    candidates = hardneg.open_run(run).candidates
    with pa.ipc.new_stream(sink, candidates.schema) as writer:
        writer.write_table(candidates.combine_chunks())
    return Path(f"{run}.jsonl").read_bytes(), sink.getvalue().to_pybytes()


PARTS = [(0, 160), (80, 240), (40, 200)]
"""Of the source: every two share texts."""


@pytest.fixture(scope="module")
def alone(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, ...]]:
    """What each part gives with a cache of its own."""
    folder = tmp_path_factory.mktemp("alone")
    runs = [folder / f"run{number}" for number in range(len(PARTS))]
    for process in [
        mining(source, run, Path(f"{run}-cache"), part) for run, part in zip(runs, PARTS, strict=True)
    ]:
        ended_well(process)
    found = [result(run) for run in runs]
    assert len(set(found)) == len(PARTS)
    return found


def shared(
    source: Path, folder: Path, alone: Sequence[tuple[bytes, ...]], *, killed: Sequence[int], seed: int
) -> int:
    """All parts at once on one empty cache, some killed and run again: how many came out wrong."""
    folder.mkdir()
    draw = random.Random(seed)
    meddler = started(MEDDLES, folder / "cache")
    runs = [folder / f"run{number}" for number in range(len(PARTS))]
    processes = [mining(source, run, folder / "cache", part) for run, part in zip(runs, PARTS, strict=True)]
    for number in killed:
        out = processes[number].stdout
        assert out is not None and out.readline() == "begins\n"
        time.sleep(draw.uniform(0.0, 0.6))
        os.kill(processes[number].pid, signal.SIGKILL)
        processes[number].communicate()
    for number, process in enumerate(processes):
        if number not in killed:
            ended_well(process)
    for number in killed:
        ended_well(mining(source, runs[number], folder / "cache", PARTS[number]))
    (folder / "enough").touch()
    ended_well(meddler)
    return sum(result(run) != expected for run, expected in zip(runs, alone, strict=True))


def proof(
    source: Path, folder: Path, alone: Sequence[tuple[bytes, ...]], tally: Callable[..., None], rounds: int
) -> None:
    wrong = [
        shared(source, folder / str(seed), alone, killed=[seed % len(PARTS)], seed=seed)
        for seed in range(rounds)
    ]
    tally(
        "two at once: mine on one cache beside removals, one killed; as with a cache of its own",
        tried=rounds * len(PARTS),
        failed=sum(wrong),
    )
    assert not sum(wrong), wrong


@pytest.mark.reliability
def test_runs_that_share_a_cache(
    source: Path, tmp_path: Path, alone: list[tuple[bytes, ...]], tally: Callable[..., None]
) -> None:
    proof(source, tmp_path, alone, tally, rounds=1)


@pytest.mark.slow
@pytest.mark.reliability
def test_many_runs_that_share_a_cache(
    source: Path, tmp_path: Path, alone: list[tuple[bytes, ...]], tally: Callable[..., None]
) -> None:
    proof(source, tmp_path, alone, tally, rounds=12)


# -- a cache that is not as it should be --------------------------------------------------------------------

READ_ONLY = """
import builtins, errno, io, os, sys

place = os.path.abspath(sys.argv[3])

def refusing(real, writes):
    def call(path, *rest, **named):
        if str(path).startswith(place) and writes(*rest):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, *rest, **named)
    return call

os.open = refusing(os.open, lambda flags=0, *_: flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
io.open = builtins.open = refusing(io.open, lambda mode="r", *_: set(mode) & set("wxa+"))
for name in ("mkdir", "replace", "rename", "unlink", "utime"):
    setattr(os, name, refusing(getattr(os, name), lambda *_: True))
"""


def test_a_cache_that_may_only_be_read(source: Path, tmp_path: Path, alone: list[tuple[bytes, ...]]) -> None:
    """Of another user, say: what it holds is used; of what it lacks it is said that it cannot be kept."""
    cache = tmp_path / "cache"
    ended_well(mining(source, tmp_path / "first", cache, PARTS[0]))
    before = contents(cache)
    code = READ_ONLY + textwrap.dedent(MINES)
    ended_well(started(code, source, tmp_path / "second", cache, *PARTS[0]))
    assert result(tmp_path / "second") == alone[0]
    refused = started(code, source, tmp_path / "third", cache, *PARTS[1])
    said = refused.communicate()[1]
    assert refused.returncode == 1 and str(cache) in said.splitlines()[-1], said
    assert "Read-only file system" in said.splitlines()[-1] and "--cache-dir" in said.splitlines()[-1]
    assert contents(cache) == before


NO_LOCKS = """
import errno, fcntl, os

def refused(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

fcntl.flock = refused
"""


def test_a_file_system_without_locks(source: Path, tmp_path: Path, alone: list[tuple[bytes, ...]]) -> None:
    """Some network file systems: two runs are right without, for each shard has its own name."""
    code = NO_LOCKS + textwrap.dedent(MINES)
    runs = [tmp_path / f"run{number}" for number in range(2)]
    processes = [
        started(code, source, run, tmp_path / "cache", *part) for run, part in zip(runs, PARTS, strict=False)
    ]
    for process in processes:
        ended_well(process)
    assert [result(run) for run in runs] == alone[:2]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
