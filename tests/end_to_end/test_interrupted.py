"""SIGINT and SIGTERM: a command ends at once, whatever it is doing, and says how to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

LIMIT_S, SLACK_S = 2.0, 4.0
"""What is promised, and what a machine that does other things too may add."""
GOES_ON = "the same command again goes on from what is stored"
BEGINS_AGAIN = "nothing was left half done; the same command can be run again"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    topics = ["river", "engine", "violin", "glacier", "orchard", "harbour", "lantern", "saddle"]
    rows = [
        {"query": f"what of the {a} and the {b}?", "positive": f"The {a} and the {b}: a note on the {a}."}
        for a in topics
        for b in topics
        if a != b
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(prelude: str, *arguments: object) -> list[str]:
    """The command line, after something that says `held` where it is to be interrupted."""
    code = textwrap.dedent(prelude) + "\nfrom hardneg.cli import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


@contextmanager
def running(call: list[str], **more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **more}
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send it; what the process says on standard error. It has to end in time, with its code."""
    began = time.monotonic()
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    took = time.monotonic() - began
    assert process.returncode == 128 + number, told
    assert took < LIMIT_S + SLACK_S, took
    assert "Traceback" not in told
    return told


def held(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while (line := process.stdout.readline()) != "held\n":
        assert line, process.communicate()


BUSY = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10 ** 9)"
"""Minutes in one call of a library, in which Python runs no handler of a signal."""
HELD = {
    "in a library": f"print('held', flush=True); {BUSY}",
    "while threads are at work": f"""
        with ThreadPoolExecutor(2) as pool:
            pool.submit(lambda: {BUSY})
            print('held', flush=True)""",
    "waiting for a lock": """
        lock = Lock(Path('held.lock'))
        print('held', flush=True)
        Lock(Path('held.lock'), wait_s=600)""",
    "where every exception is swallowed": """
        print('held', flush=True)
        while True:
            try: time.sleep(600)
            except BaseException: pass""",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("where", HELD)
def test_it_ends_wherever_it_is(where: str, number: signal.Signals, source: Path, tmp_path: Path) -> None:
    prelude = (
        "import hashlib, os, time\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "from pathlib import Path\nfrom hardneg.locks import Lock\nimport hardneg.plan.mine as mine\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "def search(*arguments):\n" + textwrap.indent(textwrap.dedent(HELD[where]), "    ") + "\n"
        "mine.search = search"
    )
    run = tmp_path / "run"
    call = command(prelude, "mine", source, "--run-dir", run, "--retriever", "bm25")
    with running(call) as process:
        held(process)
        assert json.loads((run / ".holder").read_text())["pid"] == process.pid
        told = interrupt(process, number)
    assert told.splitlines()[-1] == f"interrupted ({number.name}); {GOES_ON}"
    assert told.count("interrupted") == 1
    assert not (run / ".holder").exists()
    mined = subprocess.run(
        [sys.executable, "-m", "hardneg", *call[3:]], capture_output=True, text=True, check=False
    )
    assert mined.returncode == 0, mined.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_it_was_started_to_ignore_stays_ignored(name: str, source: Path, tmp_path: Path) -> None:
    """As a script's background jobs ignore Ctrl-C, and what nohup starts the end of the terminal."""
    prelude = """
        import hardneg.plan.mine as mine
        real = mine.search
        def search(*arguments):
            print('held', flush=True)
            input()
            real(*arguments)
        mine.search = search
    """
    call = command(prelude, "mine", source, "--run-dir", tmp_path / "run", "--retriever", "bm25")
    ignoring = f"import os, signal, sys; signal.signal(signal.{name}, signal.SIG_IGN); "
    ignoring += "os.execv(sys.executable, sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", ignoring, *call],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        held(process)
        process.send_signal(signal.Signals[name])
        time.sleep(0.3)
        _, told = process.communicate("\n", timeout=120)
        assert process.returncode == 0 and "interrupted" not in told, told
    finally:
        process.kill()


def test_what_was_being_written_is_removed(source: Path, tmp_path: Path) -> None:
    """Also beside a training file, where no later command would look for it."""
    run, out = tmp_path / "run", tmp_path / "out"
    mined = [sys.executable, "-m", "hardneg", "mine", str(source), "--run-dir", str(run)]
    subprocess.run([*mined, "--retriever", "bm25"], capture_output=True, check=True)
    prelude = f"""
        import hashlib, os
        def fsync(handle):
            print('held', flush=True)
            {BUSY}
        os.fsync = fsync
    """
    call = command(prelude, "export", run, "--to", "st-triplet", "--output", out / "train.jsonl")
    with running(call) as process:
        held(process)
        assert [path.name[:5] for path in out.iterdir()] == [".tmp-"]
        told = interrupt(process, signal.SIGTERM)
    assert told == f"interrupted (SIGTERM); {BEGINS_AGAIN}\n"
    assert list(out.iterdir()) == []


def test_threads_that_write_leave_nothing(tmp_path: Path) -> None:
    """They go on until the process has ended: nothing they begin meanwhile may be left."""
    prelude = f"""
        import threading
        from pathlib import Path
        from hardneg.files import replacing
        from hardneg.interruption import end_on_signals
        end_on_signals()
        def write(number):
            while True:
                with replacing(Path({str(tmp_path)!r}) / str(number)) as temporary:
                    temporary.write_bytes(b"x" * 10_000)
        for number in range(6):
            threading.Thread(target=write, args=(number,)).start()
        print("held", flush=True)
        threading.Event().wait()
    """
    for _ in range(5):
        with running(command(prelude)) as process:
            held(process)
            time.sleep(0.05)
            interrupt(process, signal.SIGTERM)
        assert not list(tmp_path.glob(".tmp-*"))


LOADS_FOR_EVER = f"import hashlib, os\nprint('loading', file=open(os.environ['LOADING'], 'a'))\n{BUSY}\n"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["SIGINT", "SIGTERM", "SIGKILL"]
)
def test_no_process_of_it_survives(number: signal.Signals, source: Path, tmp_path: Path) -> None:
    """Those of several devices, busy in one call of a library when it comes; SIGKILL among them."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(LOADS_FOR_EVER)
    loading = tmp_path / "loading"
    call = command("", "mine", source, "--run-dir", tmp_path / "run", "--device", "cpu,cpu")
    places = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    with running(call, PYTHONPATH=places, LOADING=str(loading)) as process:
        until = time.monotonic() + 60
        while not loading.exists() or len(loading.read_text().splitlines()) < 2:
            assert process.poll() is None and time.monotonic() < until, process.communicate()
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 2
        if number == signal.SIGKILL:
            process.kill()
        else:
            told = interrupt(process, number)
            assert told.splitlines()[-1] == f"interrupted ({number.name}); {GOES_ON}"
        _, alive = psutil.wait_procs(children, timeout=LIMIT_S + SLACK_S)
        for child in alive:
            child.kill()
        assert not alive


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["audit", "RUN"], GOES_ON),
        (["select", "RUN", "--preview"], BEGINS_AGAIN),
        (["inspect", "RUN", "--query", "1"], BEGINS_AGAIN),
        (["doctor", "RUN"], BEGINS_AGAIN),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_says_whether_it_goes_on(arguments: list[str], line: str) -> None:
    from hardneg.interruption import how_to_go_on

    assert how_to_go_on(arguments) == line


def test_the_terminal_is_left_as_it_was(tmp_path: Path) -> None:
    """A bar hides the cursor; who ends the bar shows it again, and the line stands for itself."""
    import pty

    prelude = r"""
        import os, time
        from hardneg import progress
        from hardneg.interruption import end_on_signals
        end_on_signals()
        progress._LateBar.DELAY_S = 0.0
        with progress.Terminal().track("encode", 100, "texts") as advance:
            advance(1)
            os.write(1, b"held\n")  # not through sys.stdout, which the bar has taken over
            time.sleep(600)
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(prelude),
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    )
    try:
        held(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert shown.endswith(f"\r\x1b[2K\x1b[?25hinterrupted (SIGINT); {BEGINS_AGAIN}\r\n")


def test_the_library_leaves_signals_alone(source: Path, tmp_path: Path) -> None:
    code = (
        "import signal, sys, threading, hardneg\n"
        "hardneg.mine(sys.argv[1], run_dir=sys.argv[2], retriever='bm25')\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert signal.set_wakeup_fd(-1) == -1\n"
    )
    subprocess.run([sys.executable, "-c", code, str(source), str(tmp_path / "run")], check=True)
