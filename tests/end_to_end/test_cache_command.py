"""`hardneg cache`: what is kept is listed, and goes when asked; never what a process is using."""

from __future__ import annotations

import calendar
import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardneg.encode import Space, StoredVectors, VectorStore, text_hashes
from hardneg.encode.cache_listing import listing
from hardneg.encode.cache_removal import prune, remove
from hardneg.encode.in_use import use_path
from hardneg.locks import HeldError, Lock
from hardneg.plan.checkup import check_cache

DAY = 86_400.0


def put(
    root: Path, model: str, texts: int = 3, *, days: float = 0.0, dtype: str = "float32", **mark: Any
) -> Path:
    """Vectors of four numbers; used last so many days ago."""
    about = {"model": model, "backend": "torch", "precision": "float32", **mark}
    space = VectorStore(root, dtype).space(about, model)
    names = [f"text {number}" for number in range(texts)]
    space.append(text_hashes(names, ""), np.ones((texts, 4), np.float32), np.zeros(texts, np.int8))
    then = time.time() - days * DAY
    os.utime(use_path(space.folder), (then, then))
    return space.folder


def command(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-m", "hardneg", "cache", *map(str, arguments), "--cache-dir", str(root)]
    return subprocess.run(asked, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def as_json(root: Path, *arguments: object) -> Any:
    ended = command(root, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three encoders: used now, ten and forty days ago."""
    root = tmp_path / "cache"
    put(root, "models/new", 5)
    put(root, "org/older", 4, days=10)
    put(root, "models/oldest", 3, days=40, dtype="float16")
    (root / "backends").mkdir()
    (root / "backends" / "note.json").write_text("{}")
    return root


# -- ls ----------------------------------------------------------------------------------------------------


def test_what_is_listed(root: Path) -> None:
    found = as_json(root, "ls")
    rows = [(one["model"], one["texts"], one["dimension"], one["store_dtype"]) for one in found["encoders"]]
    assert rows == [
        ("models/new", 5, 4, "float32"),
        ("org/older", 4, 4, "float32"),
        ("models/oldest", 3, 4, "float16"),
    ]
    for one in found["encoders"]:
        assert one["bytes"] == bytes_of(root / "vectors" / one["id"])
        assert one["precision"] == "float32" and one["leftovers"] == 0
    assert found["other"] == [{"name": "backends", "bytes": 2}]
    assert found["bytes"] == bytes_of(root)
    used = time.strptime(found["encoders"][2]["used"], "%Y-%m-%dT%H:%M:%SZ")
    assert abs(time.time() - 40 * DAY - calendar.timegm(used)) < 600
    shown = command(root, "ls").stdout
    assert re.search(r"models/new +torch float32 +float32 +4 +5 +\S+ KB", shown)
    assert f"{root}: 3 encoders, " in shown


def test_looking_is_no_use(root: Path) -> None:
    before = as_json(root, "ls")
    check_cache(root)
    assert as_json(root, "ls") == before


def test_no_cache_and_an_empty_one(tmp_path: Path) -> None:
    ended = command(tmp_path / "none", "ls")
    assert ended.returncode == 2 and "is no folder; give the cache's by --cache-dir" in ended.stderr
    assert as_json(tmp_path, "ls") == {"path": str(tmp_path), "bytes": 0, "encoders": [], "other": []}
    # Nobody named it: it is not there because nothing was kept yet.
    asked = [sys.executable, "-m", "hardneg", "cache", "ls"]
    unnamed = os.environ | {"HARDNEG_CACHE": str(tmp_path / "none")}
    shown = subprocess.run(asked, env=unnamed, capture_output=True, text=True, check=True).stdout
    assert shown == f"{tmp_path / 'none'}: 0 encoders, 0 B\n"


def test_what_is_damaged_is_listed_too(root: Path) -> None:
    folder = next(one.folder for one in listing(root).held if one.model == "org/older")
    (folder / "fingerprint.json").write_text("{")
    (folder / "model.json").write_text("[]")
    next(folder.glob("*.keys.parquet")).write_bytes(b"cut short")
    one = next(one for one in as_json(root, "ls")["encoders"] if one["id"] == folder.name)
    assert (one["model"], one["texts"], one["dimension"], one["leftovers"]) == ("", 0, None, 2)


# -- rm ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["id", "beginning of the id", "name", "last part of the name"])
def test_what_is_named_goes_and_the_rest_stays(root: Path, by: str) -> None:
    one = next(one for one in listing(root).held if one.model == "org/older")
    names = {"id": one.id, "beginning of the id": one.id[:10], "name": one.model}
    ended = command(root, "rm", names.get(by, "older"), "--yes")
    assert ended.returncode == 0 and "1 encoder and 0 leftovers removed" in ended.stdout
    assert [held.model for held in listing(root).held] == ["models/new", "models/oldest"]
    assert not one.folder.exists() and not list(root.rglob(".tmp-*"))


def test_a_name_that_may_be_several_is_no_name(root: Path) -> None:
    put(root, "models/new", precision="bfloat16")
    ended = command(root, "rm", "new", "--yes")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert ended.stderr.count("models/new") == 2 and "write more of an id" in ended.stderr
    for word in ("absent", ""):
        assert "see `hardneg cache ls`" in command(root, "rm", word, "--yes").stderr
    # Nothing goes where one of several words is wrong.
    assert command(root, "rm", "oldest", "absent", "--yes").returncode == 2
    assert len(listing(root).held) == 4


def test_nobody_is_asked_who_is_not_there(root: Path) -> None:
    ended = command(root, "rm", "oldest")
    assert ended.returncode == 2 and "add --yes" in ended.stderr
    assert len(listing(root).held) == 3


@pytest.mark.parametrize(("answer", "left"), [("y", 2), ("n", 3), ("", 3)])
def test_on_a_terminal_it_asks(root: Path, answer: str, left: int) -> None:
    ours, theirs = pty.openpty()
    asked = [sys.executable, "-m", "hardneg", "cache", "rm", "oldest", "--cache-dir", str(root)]
    process = subprocess.Popen(asked, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    shown = read_until(ours, "[y/N]")
    assert "models/oldest" in shown and "3 texts" in shown
    os.write(ours, f"{answer}\n".encode())
    read_until(ours, None)
    assert (process.wait(60) == 0) == (answer == "y")
    os.close(ours)
    assert len(listing(root).held) == left


def read_until(terminal: int, word: str | None) -> str:
    found = ""
    while word is None or word not in found:
        if not select.select([terminal], [], [], 60)[0]:
            break
        try:
            found += os.read(terminal, 1024).decode()
        except OSError as error:  # Linux: who wrote has ended
            assert error.errno == errno.EIO
            break
    return found


# -- prune -------------------------------------------------------------------------------------------------


def test_what_was_not_used_for_long_goes(root: Path) -> None:
    would = as_json(root, "prune", "--older-than", "2w", "--dry-run")
    assert [one["model"] for one in would["removed"]] == ["models/oldest"]
    assert len(listing(root).held) == 3
    done = as_json(root, "prune", "--older-than", "2w")
    assert done == would | {"dry_run": False}
    assert done["removed"][0]["why"] == "last used 40 days ago"
    assert [held.model for held in listing(root).held] == ["models/new", "org/older"]


@pytest.mark.parametrize(("over", "left"), [(0, 3), (1, 2), (700, 2), (10**9, 0)])
def test_until_it_fits_what_was_used_longest_ago_goes(root: Path, over: int, left: int) -> None:
    before = bytes_of(root)
    sizes = [bytes_of(held.folder) for held in listing(root).held]
    assert min(sizes) > 700
    done = as_json(root, "prune", "--max-size", f"{max(0, before - over)}B")
    assert [held.model for held in listing(root).held] == ["models/new", "org/older", "models/oldest"][:left]
    assert done["bytes"] == before - bytes_of(root)


def test_without_a_rule_only_leftovers_go(root: Path) -> None:
    first, second, _ = listing(root).held
    old = time.time() - 3 * DAY
    stem = next(second.folder.glob("*.npy")).stem
    (second.folder / f"{stem}.npy").write_bytes(b"cut short")
    left = [
        first.folder / ".tmp-1234-x.npy",
        first.folder / "00000000000000000001-abcd.npy",
        first.folder / "abc.plan.parquet",
        root / "vectors" / f".tmp-1234-{first.id}" / "x.npy",
        root / "backends" / ".tmp-1234-x.json",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
        os.utime(path, (old, old))
    os.utime(left[3].parent, (old, old))
    young = first.folder / ".tmp-5678-x.npy"
    young.write_bytes(b"being written")
    before = bytes_of(root)
    would = as_json(root, "prune", "--dry-run")
    assert bytes_of(root) == before
    done = as_json(root, "prune")
    assert would["leftovers"] == done["leftovers"] and len(done["leftovers"]) == len(left) + 2
    assert done["bytes"] == before - bytes_of(root)
    assert not any(path.exists() for path in left) and young.exists()
    assert [held.texts for held in listing(root).held] == [5, 0, 3]
    assert not check_cache(root).findings


@pytest.mark.parametrize("wrong", ["30", "30 days", "d", "-3d", "1e3d", "30m", ""])
def test_a_time_that_is_none(root: Path, wrong: str) -> None:
    ended = command(root, "prune", f"--older-than={wrong}")
    assert ended.returncode == 2 and ended.stderr.startswith(f"error: --older-than {wrong!r}: write a number")
    assert len(listing(root).held) == 3


# -- what a process is using -------------------------------------------------------------------------------

USES = """
    import sys, time
    from hardneg.encode import Space
    space = Space(sys.argv[1])
    print("uses", flush=True)
    time.sleep(600)
"""


def test_what_a_process_is_using_stays_and_is_said(root: Path, tally: Callable[..., None]) -> None:
    oldest = listing(root).held[-1]
    code = [sys.executable, "-c", textwrap.dedent(USES), str(oldest.folder)]
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "uses\n"
        asked = command(root, "rm", "oldest", "--yes")
        pruned = command(root, "prune", "--max-size", "0B")
        os.kill(process.pid, signal.SIGKILL)
    assert asked.returncode == 1 and "asked for; but a process is using it" in asked.stdout
    assert pruned.returncode == 0 and "the cache is too large; but a process is using it" in pruned.stdout
    assert [held.id for held in listing(root).held] == [oldest.id]
    assert not check_cache(root).findings
    # The one that was killed holds nothing any more.
    assert command(root, "rm", "oldest", "--yes").returncode == 0
    assert listing(root).held == ()


def test_what_is_used_between_the_listing_and_the_removal_stays(root: Path) -> None:
    found = listing(root)
    oldest = found.held[-1]
    StoredVectors.open(oldest.folder, text_hashes(["text 0"], ""))
    assert [gone.held.id for gone in remove([oldest]).kept] == [oldest.id]
    assert [gone.held.id for gone in prune(found, older_than=0).kept] == [oldest.id]


def test_where_there_are_no_locks_nothing_is_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("hardneg.locks.fcntl.flock", refused)
    done = prune(listing(root), older_than=0, max_size=0)
    assert not done.removed and len(done.kept) == 3
    assert all("has no locks (No locks available)" in gone.why for gone in done.kept)


def test_who_may_only_read_holds_it_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def read_only(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, flags, *rest)

    folder = listing(root).held[0].folder
    with monkeypatch.context() as patch:
        patch.setattr("hardneg.locks.os.open", read_only)
        space = Space(folder)
    with pytest.raises(HeldError):
        Lock(use_path(folder))
    del space
    Lock(use_path(folder)).release()


def test_a_removal_that_was_killed_leaves_a_leftover(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    oldest = listing(root).held[-1]
    with monkeypatch.context() as patch:
        patch.setattr("hardneg.encode.cache_removal.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove([oldest])
    assert not oldest.folder.exists()
    (left,) = (root / "vectors").glob(".tmp-*")
    os.utime(left, (1, 1))
    assert prune(listing(root)).leftovers[0][0] == left and not left.exists()
