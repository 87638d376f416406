"""A model on several devices: one process each, the same vectors, and an end that is told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.config import EncodeConfig
from hardneg.encode import DenseEncoder, VectorStore, encode_texts
from hardneg.encode import plan as plan_module
from hardneg.encode.backends import Choice
from hardneg.encode.processes import About, Child, Processes, devices_of
from hardneg.errors import ModelError

TWO: dict[str, str] = {"device": "cpu,cpu", "backend": "torch", "precision": "fp32"}


def on_one(two: DenseEncoder) -> DenseEncoder:
    """The same model in this process."""
    return on(Path(two.name), two._config, device="cpu")


def on(folder: Path, config: EncodeConfig, **settings: str) -> DenseEncoder:
    return DenseEncoder(str(folder), config.model_copy(update=settings))


@pytest.fixture(scope="module")
def two(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> DenseEncoder:
    """On two devices, for tests that leave its processes alive: starting them takes seconds."""
    cache = tmp_path_factory.mktemp("cache")
    return on(make_model(), EncodeConfig(cache_dir=str(cache)), **TWO)


def test_two_devices_store_what_one_stores(
    two: DenseEncoder, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "TEXTS_A_SHARD", 16)
    one = on_one(two)
    assert two.at_once == 2
    stored = [
        encode_texts(encoder, texts, "document", store=VectorStore(tmp_path / name))
        for name, encoder in (("one", one), ("two", two))
    ]
    assert stored[0].folder.name == stored[1].folder.name  # the number of devices decides no vector
    np.testing.assert_allclose(*(done.vectors.block(0, len(texts)) for done in stored), atol=1e-6)
    assert stored[0].truncated == stored[1].truncated
    assert "_runner" not in two.__dict__  # nothing was opened here


@pytest.mark.slow
def test_devices_work_at_the_same_time(
    tiny: Path, config: EncodeConfig, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one device's process is held still, the other goes on with the next shards."""
    monkeypatch.setattr(plan_module, "TEXTS_A_SHARD", 16)
    encoder = on(tiny, config, **TWO)
    assert encoder.about.choice.device == "cpu, cpu"
    processes = encoder._processes
    assert processes is not None
    held, _ = pids = [child.pid for child in processes.children]
    assert len(set(pids)) == 2
    store = VectorStore(tmp_path / "store")
    os.kill(held, signal.SIGSTOP)
    try:
        import threading

        working = threading.Thread(
            target=encode_texts, args=(encoder, texts, "document"), kwargs={"store": store}
        )
        working.start()
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "store").rglob("*.npy"))) < 12 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(list((tmp_path / "store").rglob("*.npy"))) == 12  # of 13: one is with the held process
        assert working.is_alive()
    finally:
        os.kill(held, signal.SIGCONT)
    working.join(60)
    assert encode_texts(encoder, texts, "document", store=store).encoded == 0


def test_a_process_that_is_killed_is_said_and_the_next_run_goes_on(
    tiny: Path, config: EncodeConfig, texts: list[str], tmp_path: Path
) -> None:
    encoder = on(tiny, config, **TWO)
    assert encoder.dimension == 16
    assert encoder._processes is not None
    children = list(encoder._processes.children)
    store = VectorStore(tmp_path / "store")
    for child in children:
        os.kill(child.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(encode_texts, encoder, texts, "document", store=store)
        time.sleep(0.2)
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(ModelError, match=r"the process that encodes on cpu ended \(exit code -9\)"):
            working.result()
    while not all(child.ended for child in children):  # its threads end one after the other
        time.sleep(0.01)
    assert encode_texts(encoder, texts, "document", store=store).encoded == 198


def test_any_text_reaches_a_process_as_it_is(two: DenseEncoder) -> None:
    texts = ["cell\ngene", "cell\r\n", "nul \0 gene", "\U0001f9ec gene", '"}]\\u0041', "", "\u2028"]
    calls = [(texts, "query : "), ([], ""), (tuple(texts), "nul\0\n")]
    one = on_one(two)
    found, expected = (list(encoder.encode_calls(calls, "query")) for encoder in (two, one))
    for (vectors, truncated), (own, own_truncated) in zip(found, expected, strict=True):
        np.testing.assert_allclose(vectors, own, atol=1e-6)
        np.testing.assert_array_equal(truncated, own_truncated)
    assert [vectors.shape for vectors, _ in found] == [(7, 16), (0, 16), (7, 16)]
    assert list(two.encode_calls([], "query")) == []


@pytest.mark.parametrize("printed", ["print('loaded')", "os.write(1, b'loaded')", "os.system('echo loaded')"])
def test_what_libraries_print_is_not_among_the_answers(
    printed: str,
    tiny: Path,
    config: EncodeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "sentence_transformers.py").write_text(
        f"import os, sys; {printed}; input_left = sys.stdin.read()\n"
        "raise RuntimeError(f'no such library, and nothing to read: {input_left!r}')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))  # only new processes import it: here it is already
    with pytest.raises(ModelError, match="no such library, and nothing to read: ''"):
        _ = on(tiny, config, **TWO).dimension
    told = capfd.readouterr()
    assert "loaded" in told.err
    assert "loaded" not in told.out


def test_an_answer_that_nobody_waited_for_is_nobody_elses(
    two: DenseEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Ctrl-C in a notebook reaches only this process."""
    from hardneg.encode import processes

    first, second = ["cell gene"], ["drug virus"]
    own, other = (two.encode(texts, "document", "") for texts in (first, second))
    real = processes.read_message

    def interrupted(pipe: Any) -> Any:
        monkeypatch.setattr(processes, "read_message", real)
        raise KeyboardInterrupt

    for _ in range(2):  # each of the two
        monkeypatch.setattr(processes, "read_message", interrupted)
        with pytest.raises(KeyboardInterrupt):
            two.encode(first, "document", "")
    for texts, vectors in ((second, other), (first, own)):
        np.testing.assert_allclose(two.encode(texts, "document", ""), vectors, atol=1e-6)


@pytest.mark.slow
def test_processes_that_could_not_open_the_model_are_started_anew(
    tiny: Path, config: EncodeConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    processes = Processes(str(folder), config.model_copy(update=TWO), ["cpu", "cpu"])
    with pytest.raises(ModelError, match="no such folder"):
        _ = processes.about
    shutil.copytree(tiny, folder)
    assert processes.about.dimension == 16  # and not what the second of them had still to say


def test_a_process_imports_what_this_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what came with sys.path and not with the environment, and nothing that lies in its folder."""
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.syspath_prepend(str(Path(hardneg.__file__).parent.parent))
    (tmp_path / "queue.py").write_text("raise RuntimeError('not the one that was meant')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    with pytest.raises(ModelError, match="_encoder"):  # it runs, and has no model yet
        Child("cpu").ask("encode", calls=[], kind="query", texts_a_batch=1)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match=r"ended \(exit code 1\)"):
        Child("cpu").ask("encode", calls=[], kind="query", texts_a_batch=1)


@pytest.mark.slow
def test_threads_that_ask_first_open_the_model_once(
    tiny: Path, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on resuming, where the plan is known before the model is open."""
    encoder = on(tiny, config, **TWO)
    sent: list[str] = []
    real = Child.send

    def send(self: Child, what: str, **arguments: Any) -> None:
        sent.append(what)
        time.sleep(0.05)
        real(self, what, **arguments)

    monkeypatch.setattr(Child, "send", send)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: encoder.encode([text], "document", ""), ["cell"] * 4))
    assert sent.count("open") == 2
    np.testing.assert_allclose(np.concatenate(found), np.tile(found[0], (4, 1)), atol=1e-6)


def test_errors_of_a_process_are_told_as_they_are(tmp_path: Path, config: EncodeConfig, tiny: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        _ = on(tiny, config, **{**TWO, "device": "cpu,nonsense"}).dimension
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_weights_that_changed_meanwhile_are_noticed(
    make_model: Callable[..., Path], config: EncodeConfig
) -> None:
    folder = make_model(seed=1)
    encoder = on(folder, config, **TWO)
    encoder.fingerprint("document")
    make_model(folder, seed=2)
    with pytest.raises(ModelError, match="changed while it was loaded"):
        encoder.encode(["cell"], "document", "")


def test_no_process_outlives_the_one_that_started_it(tiny: Path, config: EncodeConfig) -> None:
    """And a script needs no `__main__` guard."""
    script = (
        "import os, sys; from hardneg.encode import DenseEncoder; from hardneg.config import EncodeConfig\n"
        "config = EncodeConfig(device='cpu,cpu', backend='torch', precision='fp32', cache_dir=sys.argv[2])\n"
        "encoder = DenseEncoder(sys.argv[1], config); encoder.encode(['cell'], 'document', '')\n"
        "print(*[child.pid for child in encoder._processes.children], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny), str(config.cache_dir)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(alive, pids))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and that nobody has waited for still has a number.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_which_devices_are_named() -> None:
    assert devices_of("cuda:0, cuda:1") == ["cuda:0", "cuda:1"]
    assert devices_of("cpu") == ["cpu"]


@pytest.mark.parametrize(
    ("gpus", "expected"), [(0, [None]), (1, [None]), (3, ["cuda:0", "cuda:1", "cuda:2"])]
)
def test_all_gpus_are_taken_by_themselves(
    gpus: int, expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert devices_of(None) == expected


def test_devices_that_would_run_it_differently_are_an_error(tiny: Path, config: EncodeConfig) -> None:
    abouts = [
        About(Choice("torch", "cuda", precision), dimension=16, texts_a_batch=32, content="x")
        for precision in ("fp32", "bf16")
    ]
    processes = Processes(str(tiny), config, ["cuda:0", "cuda:1"])
    processes.__dict__["_opened"] = (None, abouts)  # as if their processes had said so
    with pytest.raises(ModelError, match=r"runs as torch on cuda in fp32 and as torch on cuda in bf16"):
        _ = processes.about
