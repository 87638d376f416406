"""Several processes on one vector store: every text has its own vector, whoever encoded it, whoever died."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hardneg.encode import Space, StoredVectors, VectorStore, text_hashes
from hardneg.encode.in_use import appending, use_path, using
from hardneg.locks import HeldError, Lock

TEXTS = 240
DIMENSION = 6

ENCODES = """
    import random, sys, time
    import numpy as np
    import hardneg.encode.plan as plan
    from hardneg.encode import StoredVectors, VectorStore, encode_texts, text_hashes

    root, seed, behind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    plan.TEXTS_A_SHARD = 8
    real = time.time_ns
    time.time_ns = lambda: real() - behind * 10**9

    class Cheap:
        name, dimension, similarity = "cheap", 6, "dot"

        def fingerprint(self, kind):
            return {"model": "cheap"}

        def prompt(self, kind):
            return ""

        def encode(self, texts, kind, prompt):
            time.sleep(0.003)
            out = np.full((len(texts), 6), seed, np.float32)  # whose it is; the rest is the text's own
            for row, text in enumerate(texts):
                number = int(text.split()[1])
                out[row, :5] = [number, number * 7 % 11, number * 3 % 13, number % 5, number % 2]
            return out

    draw = random.Random(seed)
    for turn in range(4):
        texts = [f"text {number}" for number in draw.sample(range(240), 120)]
        done = encode_texts(Cheap(), texts, "document", store=VectorStore(root))
        found = done.vectors.block(0, len(texts))
        expected = Cheap().encode(texts, "document", "")
        assert (found[:, :5] == expected[:, :5]).all(), "a vector of another text"
        time.sleep(draw.random() * 0.02)
        again = StoredVectors.open(done.folder, text_hashes(texts, "")).block(0, len(texts))
        assert (again == found).all(), "which vector is a text's has changed"
        print(turn, flush=True)
"""


def run_at_once(root: Path, seed: int, processes: int, killed: int) -> list[str]:
    """Start them all, kill some at random moments; what the others printed that was wrong."""
    command = [sys.executable, "-c", textwrap.dedent(ENCODES), str(root)]
    draw = random.Random(seed)
    started = [
        # Every other one's clock is an hour behind, as another machine's may be.
        subprocess.Popen(
            [*command, str(seed * 100 + number), str(3600 * (number % 2))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in started[:killed]:
        assert process.stdout is not None
        for _ in range(draw.randint(0, 2)):
            process.stdout.readline()
        time.sleep(draw.random() * 0.1)
        os.kill(process.pid, signal.SIGKILL)
    ended = [(process.communicate()[1], process.returncode) for process in started]
    return [error for error, code in ended[killed:] if code]


def wrong_vectors(space: Space) -> int:
    """Of all shards, row by row: those that are not of the text that their key names."""
    texts = [f"text {number}" for number in range(TEXTS)]
    number_of = {bytes(hashed): number for number, hashed in enumerate(text_hashes(texts, ""))}
    wrong = 0
    space.lookup(text_hashes(texts, ""))
    for stem, keys in space._keys.items():
        vectors = space.shard(stem)  # compares the checksum
        found = [number_of[bytes(hashed)] for hashed in keys.hashes]
        wrong += int((vectors[keys.row][:, 0] != found).sum())
    return wrong


def proof(root: Path, tally: Callable[..., None], *, rounds: int, processes: int, killed: int) -> None:
    bad: list[str] = []
    for seed in range(1, rounds + 1):
        bad += run_at_once(root, seed, processes, killed)
        space = VectorStore(root).space({"model": "cheap"})
        assert not space.lost
        bad += [f"{count} wrong vectors"] if (count := wrong_vectors(space)) else []
    tally(
        "two at once: processes on one vector store, some killed; the others' vectors right",
        tried=rounds * (processes - killed),
        failed=len(bad),
    )
    assert not bad, bad[0]
    # What was killed is encoded by the next: nothing is lost, and nothing half written is taken for whole.
    assert run_at_once(root, 99, 1, 0) == []
    stems = sorted(path.name for path in space.folder.glob("*.keys.parquet"))
    assert len(stems) == len({stem[:20] for stem in stems})  # one after the other, whatever the clocks say


@pytest.mark.reliability
def test_processes_that_share_texts(tmp_path: Path, tally: Callable[..., None]) -> None:
    proof(tmp_path, tally, rounds=1, processes=4, killed=1)


@pytest.mark.slow
@pytest.mark.reliability
def test_many_processes_that_share_texts(tmp_path: Path, tally: Callable[..., None]) -> None:
    for number in range(3):  # a fresh store each: most is encoded at the beginning
        proof(tmp_path / str(number), tally, rounds=4, processes=6, killed=3)


def test_a_shard_that_another_process_wrote_meanwhile_is_not_encoded_again(tmp_path: Path) -> None:
    space, other = (VectorStore(tmp_path).space({"model": "m"}) for _ in range(2))
    assert not space.others_appended()
    put(space, "a", 1)
    assert not space.others_appended()
    put(other, "b", 2)
    assert space.others_appended()
    assert not space.lookup(text_hashes(["a", "b"], "")).missing.any()
    assert not space.others_appended()


def test_the_vector_that_was_published_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the clock of the machine that comes second."""
    space = VectorStore(tmp_path).space({"model": "m"})
    put(space, "a", 1)
    monkeypatch.setattr("hardneg.encode.store.time.time_ns", lambda: 1)
    put(VectorStore(tmp_path).space({"model": "m"}), "a", 2)
    found = StoredVectors.open(space.folder, text_hashes(["a"], ""))
    assert found.block(0, 1)[0, 0] == 1


def test_a_shard_that_goes_while_the_keys_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = VectorStore(tmp_path).space({"model": "m"})
    stems = [put(space, "a", 1), put(space, "b", 2)]
    fresh = Space(space.folder)
    listed = fresh._stems()
    (space.folder / f"{stems[0]}.keys.parquet").unlink()
    monkeypatch.setattr(fresh, "_stems", lambda: listed)
    assert fresh.lookup(text_hashes(["a", "b"], "")).missing.tolist() == [True, False]


def test_a_process_stopped_in_the_middle_of_an_append_blocks_nobody_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardneg.encode.in_use._APPENDING_S", 0.05)
    space = VectorStore(tmp_path).space({"model": "m"})
    with appending(space.folder):
        put(space, "a", 1)
    assert not space.lookup(text_hashes(["a"], "")).missing.any()


def test_a_folder_in_use_cannot_be_held_alone(tmp_path: Path) -> None:
    space = VectorStore(tmp_path).space({"model": "m"})
    second = using(space.folder)
    with pytest.raises(HeldError):
        Lock(use_path(space.folder))
    del space
    with pytest.raises(HeldError):
        Lock(use_path(second_folder := VectorStore(tmp_path).space({"model": "m"}).folder))
    assert second is not None
    second.release()
    Lock(use_path(second_folder)).release()


def put(space: Space, text: str, value: float) -> str:
    return space.append(text_hashes([text], ""), np.full((1, 2), value, np.float32), np.zeros(1, np.int8))
