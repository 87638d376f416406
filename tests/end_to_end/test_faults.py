"""Faults of disks and memory: damaged, gone and half-written files, no room, no permission.

Whatever is done to a file, every command either gives what it gives without the fault, to the byte, or ends
with an error of one line that names a file or folder; afterwards `doctor --repair` and the same command again
give what they give without the fault.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import hardneg
from hardneg.cli import app
from hardneg.errors import HardnegError, InputError, OutOfMemoryError, StorageError
from hardneg.files import open_mapped, read_arrays, read_parquet, write_parquet, write_sealed_json
from hardneg.plan.checkup import check_cache, check_run, repair, repair_run
from hardneg.progress import Silent
from hardneg.records import Float32
from hardneg.run_directory import RunDirectory, mark_of_parts
from hardneg.seals import read_seal

sys.path.insert(0, str(Path(__file__).parent))
from small_run import (
    FILES,
    OTHER,
    RULES,
    SOURCE,
    Letters,
    Overlap,
    export,
    mine,
    one_line_that_names_a_place,
    result,
    select,
)

Tally = Callable[..., None]


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))


class Sound:
    """A run and its cache as they are without a fault, and what comes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run = folder / "run"
        mine(run)
        self.default = result(run, "default")
        shutil.copytree(run, folder / "scratch")
        select(folder / "scratch")
        self.other = result(folder / "scratch", "other")
        self.exported = export(folder / "scratch")
        shutil.rmtree(folder / "scratch")

    def copy(self, to: Path) -> Path:
        """Copies of run and cache; the run's folder."""
        shutil.copytree(self.folder / "run", to / "run")
        shutil.copytree(self.folder / "cache", to / "cache", dirs_exist_ok=True)
        return to / "run"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sound]:
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDNEG_CACHE", str(folder / "cache"))
        yield Sound(folder)


# -- what is done to a file --------------------------------------------------------------------------------


def flip(at: float) -> Callable[[Path], None]:
    """One bit, at this share of the file."""

    def flipped(path: Path) -> None:
        held = bytearray(path.read_bytes())
        held[min(int(at * len(held)), len(held) - 1)] ^= 1 << (len(held) % 8)
        path.write_bytes(held)

    return flipped


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def zeroed(path: Path) -> None:
    """The last block was never written."""
    held = path.read_bytes()
    block = min(4096, len(held) // 2)
    path.write_bytes(held[:-block] + bytes(block))


FAULTS: dict[str, Callable[[Path], None]] = {
    "bit flipped near the start": flip(0.02),
    "bit flipped in the middle": flip(0.5),
    "bit flipped near the end": flip(0.97),
    "cut short": cut(0.6),
    "a byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": cut(0),
    "last block zero": zeroed,
    "gone": lambda path: path.unlink(),
}
QUICK = [
    (file, list(FAULTS)[number % len(FAULTS)]) for number, file in enumerate(FILES)
]  # each file once, each fault twice or more
ALL = [
    pytest.param(file, fault, marks=() if (file, fault) in QUICK else pytest.mark.slow)
    for file in FILES
    for fault in FAULTS
]


def wrong_outputs(sound: Sound, run: Path) -> int:
    """Every command on a damaged run, the first on what it finds, the others on what those before leave."""
    wrong = 0
    for command, name, expected in (
        (select, "other", sound.other),
        (mine, "default", sound.default),
        (select, "other", sound.other),
    ):
        try:
            command(run)
        except HardnegError as error:
            assert one_line_that_names_a_place(error), error
        else:
            wrong += result(run, name) != expected
    try:
        wrong += export(run) != sound.exported
    except HardnegError as error:
        assert one_line_that_names_a_place(error), error
    return wrong


def harmless(sound: Sound, run: Path, path: Path) -> bool:
    """Whether nothing that hardneg reads has changed, or what is gone is simply made when it is needed."""
    whole = sound.folder / "run" / path.relative_to(run)
    if not path.exists():
        return "guard" in path.parts or path.name in ("plan.json", "part-00000.reserve.npz")
    if path.suffix == ".json":
        try:
            return bool(json.loads(path.read_bytes()) == json.loads(whole.read_bytes()))
        except ValueError:
            return False
    if path.suffix != ".npz":
        return False
    found, expected = read_arrays(path), read_arrays(whole)  # dates in a zip file and the like
    return all(found[name].tobytes() == expected[name].tobytes() for name in expected)


def tried_on_a_run(sound: Sound, folder: Path, file: str, fault: str) -> tuple[int, int]:
    """How many outputs were looked at, and how many were wrong."""
    run = sound.copy(folder)
    (path,) = run.glob(file)
    FAULTS[fault](path)
    wrong = wrong_outputs(sound, run)
    shutil.rmtree(run)
    sound.copy(folder)
    FAULTS[fault](path)
    found = [one.where for one in check_run(run).findings]
    assert path in found or harmless(sound, run, path), (file, fault, found)
    repair_run(run)
    mine(run).select(name="other", **OTHER)
    wrong += (result(run, "default"), result(run, "other")) != (sound.default, sound.other)
    again = check_run(run).findings
    assert not again, again
    return 5, wrong


@pytest.mark.reliability
@pytest.mark.parametrize(("file", "fault"), ALL)
def test_a_damaged_file_of_a_run(sound: Sound, tmp_path: Path, tally: Tally, file: str, fault: str) -> None:
    tried, wrong = tried_on_a_run(sound, tmp_path, file, fault)
    tally("faults injected, wrong outputs", tried=tried, failed=wrong)
    assert wrong == 0


# -- the cache ---------------------------------------------------------------------------------------------

CACHED = ("*.npy", "*.keys.parquet", "fingerprint.json")
QUICK_CACHED = [
    ("*.npy", "bit flipped in the middle"),
    ("*.npy", "gone"),
    ("*.keys.parquet", "cut short"),
    ("*.keys.parquet", "bit flipped in the middle"),
    ("fingerprint.json", "bit flipped in the middle"),
]
ALL_CACHED = [
    pytest.param(file, fault, marks=() if (file, fault) in QUICK_CACHED else pytest.mark.slow)
    for file in CACHED
    for fault in FAULTS
]


@pytest.mark.reliability
@pytest.mark.parametrize(("file", "fault"), ALL_CACHED)
def test_a_damaged_file_of_the_vector_store(
    sound: Sound, tmp_path: Path, tally: Tally, file: str, fault: str
) -> None:
    """A new run encodes what is damaged anew, and comes to the same; so it does after repair."""
    wrong = 0
    for first_repaired in (False, True):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        shutil.rmtree(sound.copy(tmp_path))
        for path in (tmp_path / "cache").rglob(file):
            FAULTS[fault](path)
        if first_repaired:
            found = check_cache(tmp_path / "cache")
            assert found.findings or fault == "a byte short" or not list(path.parent.glob("*.keys.parquet"))
            repair(found)
        mine(tmp_path / "run")
        wrong += result(tmp_path / "run", "default") != sound.default
        left = check_cache(tmp_path / "cache").findings
        assert all(one.what == "orphan" for one in left), left
    tally("faults injected, wrong outputs", tried=2, failed=wrong)
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.reliability
def test_no_bit_of_a_stored_file_can_flip_unseen(sound: Sound, tmp_path: Path, tally: Tally) -> None:
    """200 bits at random of each kind of table and array: reading raises, or gives what was written."""
    draw = random.Random(3)
    tried = wrong = 0
    kinds = ("corpus.parquet", "candidates/*.parquet", "selections/default/d*.parquet", "guard/*.npz")
    files = [path for kind in (*kinds, "guard/*.npy") for path in (sound.folder / "run").glob(kind)]
    for original in files:
        held = original.read_bytes()
        path = tmp_path / original.name
        path.write_bytes(held)
        expected = read_any(path)
        for _ in range(200):
            changed = bytearray(held)
            changed[draw.randrange(len(held))] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            tried += 1
            try:
                wrong += read_any(path) != expected
            except HardnegError as error:
                assert str(path) in str(error)
    tally("bits flipped in stored files, read wrong", tried=tried, failed=wrong)
    assert wrong == 0


def read_any(path: Path) -> bytes:
    """Everything that a file holds."""
    if path.suffix == ".parquet":
        out = io.BytesIO()
        table = read_parquet(path)
        with pa.ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table)
        return out.getvalue()
    if path.suffix == ".npz":
        return b"".join(name.encode() + array.tobytes() for name, array in read_arrays(path).items())
    return open_mapped(path).tobytes()


# -- what the system refuses -------------------------------------------------------------------------------

REFUSALS = {
    errno.ENOSPC: "no space left",
    errno.EACCES: "Permission denied",
    errno.EROFS: "read-only",
    errno.EIO: "the disk reports an error",
    errno.EDQUOT: "no space left",
}


class Refusing:
    """From the n-th call on, a system call fails."""

    def __init__(self, real: Callable[..., Any], number: int, first: int) -> None:
        self.real, self.number, self.first, self.calls = real, number, first, 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls >= self.first:
            raise OSError(self.number, os.strerror(self.number))
        return self.real(*arguments, **named)


def refused_from(sound: Sound, folder: Path, call: str, number: int, first: int) -> tuple[int, int]:
    """Mine anew while a call fails from the first-th time on, then without: how often it was tried, and how
    often what came of it was wrong. (0, 0): the call is not made so often."""
    run, cache = folder / f"run-{first}-{number}-{call}", folder / f"cache-{first}-{number}-{call}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDNEG_CACHE", str(cache))
        refusing = Refusing(getattr(os, call), number, first)
        patch.setattr(os, call, refusing)
        try:
            mine(run)
        except StorageError as error:
            assert one_line_that_names_a_place(error) and str(folder) in str(error), error
            assert REFUSALS[number] in str(error), error
        else:
            return 0, 0
        patch.undo()
        patch.setenv("HARDNEG_CACHE", str(cache))
        mine(run)
    assert not list(run.rglob(".tmp-*"))
    wrong = result(run, "default") != sound.default
    shutil.rmtree(run)
    return 1, int(wrong)


@pytest.mark.reliability
@pytest.mark.parametrize(("call", "number", "first"), [
    ("fsync", errno.ENOSPC, 1), ("fsync", errno.EIO, 12), ("replace", errno.EACCES, 3),
    ("replace", errno.EROFS, 9), ("fsync", errno.EDQUOT, 20),
])  # fmt: skip
def test_a_call_that_fails(
    sound: Sound, tmp_path: Path, tally: Tally, call: str, number: int, first: int
) -> None:
    tried, wrong = refused_from(sound, tmp_path, call, number, first)
    tally("faults injected, wrong outputs", tried=tried, failed=wrong)
    assert (tried, wrong) == (1, 0)


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", REFUSALS)
def test_every_call_that_fails(sound: Sound, tmp_path: Path, tally: Tally, call: str, number: int) -> None:
    first, step = 1, 1 if number == errno.ENOSPC else 5
    tried = wrong = 0
    while True:
        one, bad = refused_from(sound, tmp_path, call, number, first)
        if not one:
            break
        tried, wrong, first = tried + one, wrong + bad, first + step
    tally("faults injected, wrong outputs", tried=tried, failed=wrong)
    assert tried > 30 // step and wrong == 0


def in_a_process(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The code with `main` of the command line at hand, and arguments for it."""
    whole = "from hardneg.cli import main\n" + textwrap.dedent(code)
    command = [sys.executable, "-c", whole, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path, tables = tmp_path / "pairs.jsonl", SOURCE
    texts = dict(zip(*(tables["corpus"][name].to_pylist() for name in ("doc_id", "text")), strict=True))
    asked = dict(zip(*(tables["queries"][name].to_pylist() for name in ("query_id", "text")), strict=True))
    rows = [
        {"query": asked[row["query_id"]], "positive": texts[row["doc_id"]]}
        for row in tables["qrels"].to_pylist()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


BM25 = ("--retriever", "bm25", "--guard", "off", "--quiet")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, leaving: int) -> None:
    """Take all of its room but some bytes."""
    path = disk / "filling"
    with path.open("wb", buffering=0) as handle:
        try:
            while handle.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
        handle.truncate(max(0, path.stat().st_size - leaving))


@pytest.mark.reliability
def test_a_full_disk_is_said_with_its_folder_and_a_remedy(
    small_disk: Path, pairs: Path, tally: Tally
) -> None:
    fill(small_disk, 8192)
    ended = in_a_process("main()", "mine", pairs, "--run-dir", small_disk / "run", *BM25)
    tally("faults injected, wrong outputs", tried=1, failed=int(ended.returncode != 1))
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert f"error: {small_disk}" in ended.stderr and "no space left" in ended.stderr
    assert "MB free); make room there, or name another folder (--run-dir" in ended.stderr


@pytest.mark.reliability
@pytest.mark.parametrize("where", ["cache", "run"])
def test_what_a_full_disk_stopped_goes_on_when_there_is_room(
    small_disk: Path, tally: Tally, sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Each time with somewhat more room, so that the disk is full at many places."""
    folders = {name: tmp_path / name for name in ("cache", "run")} | {where: small_disk / where}
    monkeypatch.setenv("HARDNEG_CACHE", str(folders["cache"]))
    stopped, leaving = 0, 0
    while True:
        fill(small_disk, leaving)
        try:
            mine(folders["run"])
            break
        except StorageError as error:
            assert str(small_disk) in str(error) and "no space left" in str(error), error
            stopped, leaving = stopped + 1, leaving + 16_384
    wrong = result(folders["run"], "default") != sound.default
    tally("faults injected, wrong outputs", tried=stopped, failed=int(wrong))
    assert not wrong and stopped > 1
    (small_disk / "filling").unlink()
    assert not check_run(folders["run"]).findings and not check_cache(folders["cache"]).findings


def test_a_full_disk_ends_an_export_without_a_file(sound: Sound, small_disk: Path) -> None:
    fill(small_disk, 0)
    for name in ("train.jsonl", "train.parquet", "train.csv", "train.jsonl.gz"):
        with pytest.raises(StorageError, match=f"{small_disk}.*no space left.*choose another file"):
            hardneg.open_run(sound.folder / "run").to("st-triplet", small_disk / name)
    assert [path.name for path in small_disk.iterdir()] == ["filling"]


REFUSED = {
    "a size limit": ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))", "ulimit -f"),
    "a file in the way": ("import pathlib, sys; pathlib.Path(sys.argv[4]).write_text('x')", "choose another"),
    "a read-only disk": (
        """
        import errno, os
        real = os.open
        def refuse(path, flags, *rest, **named):
            if flags & os.O_CREAT and "run" in str(path):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return real(path, flags, *rest, **named)
        os.open = refuse
        """,
        "Read-only file system",
    ),
}


@pytest.mark.reliability
@pytest.mark.parametrize("what", REFUSED)
def test_what_the_system_refuses_is_one_line(what: str, pairs: Path, tmp_path: Path, tally: Tally) -> None:
    code, said = REFUSED[what]
    arguments = ("mine", pairs, "--run-dir", tmp_path / "run", *BM25)
    ended = in_a_process(f"{textwrap.dedent(code)}\nmain()", *arguments)
    tally("faults injected, wrong outputs", tried=1, failed=int(ended.returncode not in (1, 2)))
    assert ended.returncode in (1, 2) and ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("error: ") and said in ended.stderr and str(tmp_path) in ended.stderr


LOST = """
    import os, sys
    from pathlib import Path
    import hardneg
    run, rules = Path(sys.argv[1]), {"retriever": "bm25", "guard": "off"}
    source = [{"query": f"word{n}", "positive": f"word{n} text{n}"} for n in range(20)]
    hardneg.mine(source, run_dir=run / "open", **rules)  # everything is loaded now
    os.chmod(run, 0o755)
    os.setuid(65534)
    try:
        hardneg.mine(source, run_dir=run / "open", seed=3, **rules)
    except hardneg.HardnegError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can drop privileges")
def test_a_permission_that_is_lost_is_said(tmp_path: Path, tally: Tally) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    ended = in_a_process(LOST, tmp_path)
    tally("faults injected, wrong outputs", tried=1, failed=int("Permission denied" not in ended.stdout))
    assert ended.stdout.startswith("StorageError") and "Permission denied" in ended.stdout, ended
    assert str(tmp_path / "open") in ended.stdout


CLOSED = """
    import os, sys
    from pathlib import Path
    import hardneg
    from hardneg.plan.checkup import check_run
    run, closed = Path(sys.argv[1]) / "run", Path(sys.argv[1]) / "run" / sys.argv[2]
    source = [{"query": f"word{n}", "positive": f"word{n} text{n}"} for n in range(20)]
    mined = hardneg.mine(source, run_dir=run, retriever="bm25", guard="off")
    mined.select(name="other", seed=3)
    check_run(run)  # everything is loaded now
    for place in (run, *run.rglob("*")):
        os.chown(place, 65534, 65534)
    os.chmod(closed, 0)
    os.setuid(65534)
    print([(one.what, str(one.where)) for one in check_run(run).findings])
    try:
        mined.select(name="other", seed=4)
        print("chosen")
    except hardneg.HardnegError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.reliability
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can drop privileges")
@pytest.mark.parametrize("closed", ["candidates", "selections", "selections/default", ".lock"])
def test_what_may_not_be_read_is_not_gone(tmp_path: Path, tally: Tally, closed: str) -> None:
    """`doctor` looks at all the rest, and nobody is told to make again what only has to be opened."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    ended = in_a_process(CLOSED, tmp_path, closed)
    found, said = ended.stdout.splitlines()
    place = tmp_path / "run" / closed
    assert found == str([] if closed == ".lock" else [("unreadable", str(place))]), ended
    refused = said.startswith(f"StorageError {place}") and "Permission denied" in said
    tally("faults injected, wrong outputs", tried=1, failed=int(not refused and said != "chosen"))
    assert refused if closed != "selections/default" else said == "chosen", said


class Hungry(Overlap):
    def score(self, pairs: list[tuple[str, str]]) -> Float32:
        raise MemoryError("Unable to allocate 9 TiB")


@pytest.mark.reliability
def test_too_little_memory_is_said(tmp_path: Path, tally: Tally, sound: Sound) -> None:
    with pytest.raises(OutOfMemoryError, match="out of memory .*9 TiB.*--batch-size"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", model=Letters(), cross_encoder=Hungry(), **RULES)
    mine(tmp_path / "run")
    wrong = result(tmp_path / "run", "default") != sound.default
    tally("faults injected, wrong outputs", tried=1, failed=int(wrong))
    assert not wrong


# -- doctor, as people call it -----------------------------------------------------------------------------


def doctor(*arguments: object) -> tuple[int, str]:
    """Exit code and output."""
    ended = CliRunner().invoke(app, ["doctor", *map(str, arguments)])
    return getattr(ended.exception, "exit_code", ended.exit_code), ended.output


def test_doctor_says_what_where_and_what_to_do(sound: Sound, tmp_path: Path) -> None:
    run = sound.copy(tmp_path)
    code, said = doctor(run)
    assert code == 0 and f"{run}: healthy (" in said
    flip(0.5)(run / "candidates" / "part-00000.parquet")
    (run / "guard" / ".tmp-00-x").write_bytes(b"half")
    ended = in_a_process("main()", "doctor", run)
    assert (ended.returncode, ended.stderr) == (1, "")
    said = ended.stdout
    assert "part-00000.parquet: does not match its checksum; remove it, then the same" in said
    assert re.search(r"damaged +candidates/part-00000.parquet +can be repaired", said)
    assert "2 faults, 0 repaired, 2 left" in said and "--repair mends 2" in said
    code, said = doctor(run, "--repair", "--json")
    found = json.loads(said)
    assert (code, found["healthy"]) == (0, True)
    assert [one["what"] for one in found["findings"]] == ["damaged", "leftover"]
    assert all(one["done"] for one in found["findings"])
    assert doctor(run)[0] == 1  # gone, until it is mined again
    with pytest.raises(HardnegError, match="part-00000.parquet: is gone; `hardneg doctor .* --repair`"):
        select(run)
    mine(run)
    assert doctor(run)[0] == 0


def test_what_a_killed_run_was_writing_is_no_part(sound: Sound, tmp_path: Path) -> None:
    """Neither for doctor nor for those that read beside it."""
    run = sound.copy(tmp_path)
    for folder in ("candidates", "positives"):
        (run / folder / ".tmp-00-part-00001.parquet").write_bytes(b"half")
    opened = hardneg.open_run(run)
    assert opened.inspect(opened.negatives["query_id"][0].as_py())["candidates"]
    assert opened.candidates.num_rows
    code, said = doctor(run, "--repair", "--json")
    assert code == 0
    assert {one["what"] for one in json.loads(said)["findings"]} == {"leftover"}
    assert not list(run.rglob(".tmp-*"))


def test_doctor_of_a_cache(sound: Sound, tmp_path: Path) -> None:
    sound.copy(tmp_path)
    (first, *_) = (tmp_path / "cache" / "vectors").rglob("*.npy")
    flip(0.9)(first)
    orphan = first.with_name("00000000000000000001-00000000.npy")
    shutil.copy(first, orphan)
    os.utime(orphan, (0, 0))
    code, said = doctor("--cache")
    assert code == 1 and "vectors do not match their checksum" in said and "has no key table" in said
    assert doctor("--cache", "--repair")[0] == 0
    assert not first.exists() and not orphan.exists()
    assert doctor("--cache", tmp_path / "cache")[0] == 0


def test_doctor_refuses_what_is_no_run(tmp_path: Path) -> None:
    for arguments in ((tmp_path,), (), ("--cache", tmp_path / "none")):
        assert doctor(*arguments)[0] == 2


def everything_in(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("arguments", [("doctor", "--cache", "--repair"), ("cache", "prune", "--cache-dir")])
def test_a_folder_that_is_no_cache_stays_as_it_is(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Its owner's JSON may have comments, and its files any name."""
    project = tmp_path / "project"
    (project / "notes").mkdir(parents=True)
    (project / "settings.json").write_text("{ // for the editor")
    (project / "notes" / ".tmp-idea").write_text("once lost, never found")
    for path in project.rglob("*"):
        os.utime(path, (0, 0))
    before = everything_in(project)
    ended = CliRunner().invoke(app, [*arguments, str(project)])
    assert isinstance(ended.exception, InputError)
    assert str(ended.exception).endswith(
        "is no cache (it holds 'notes'); give the cache's folder, or set HARDNEG_CACHE"
    )
    (project / "vectors").mkdir()  # now it may be one
    assert CliRunner().invoke(app, [*arguments, str(project)]).exit_code == 0
    assert everything_in(project) == {**before, "vectors": None}


@pytest.mark.parametrize("held", ["data", "a manifest of something else", "both"])
def test_doctor_leaves_what_is_no_run_as_it_is(tmp_path: Path, held: str) -> None:
    """Somebody's `corpus.parquet` has other columns than a run's: it is not for doctor to remove."""
    if held != "a manifest of something else":
        write_parquet(pa.table({"_id": ["a"], "text": ["b"]}), tmp_path / "corpus.parquet")
    if held != "data":
        (tmp_path / "manifest.json").write_text('["app.js", "app.css"]')
    (tmp_path / ".tmp-idea").write_text("once lost, never found")
    before = everything_in(tmp_path)
    assert doctor(tmp_path, "--repair")[0] == 2
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("manifest", ["gone", "damaged"])
def test_a_run_without_its_manifest_is_known_by_its_other_files(
    sound: Sound, tmp_path: Path, manifest: str
) -> None:
    run = sound.copy(tmp_path)
    (FAULTS["gone"] if manifest == "gone" else flip(0.5))(run / "manifest.json")
    assert doctor(run, "--repair")[0] == 0
    assert doctor(run, "--repair")[0] == 0  # what no manifest tells of goes
    mine(run)
    assert result(run, "default") == sound.default and not check_run(run).findings


def check_sum_of(path: Path) -> int:
    seal = read_seal(path)
    assert seal is not None
    return seal.crc32


def test_contradictions_between_tables_are_found(sound: Sound, tmp_path: Path) -> None:
    run = sound.copy(tmp_path)
    part, outcomes = run / "candidates" / "part-00000.parquet", run / "selections/default/outcomes.parquet"
    table = read_parquet(part)
    wrong = pa.array(np.roll(table["doc_row"].to_numpy(), 1))
    table = table.set_column(table.column_names.index("doc_row"), "doc_row", wrong)
    manifest = RunDirectory(run).manifest()
    write_parquet(table, part, mark=mark_of_parts("candidates", manifest["stages"]["search"]))
    write_parquet(read_parquet(outcomes).slice(1), outcomes)
    manifest["selections"]["default"]["checksums"]["outcomes"] = check_sum_of(outcomes)
    write_sealed_json(manifest, run / "manifest.json")
    shutil.copytree(run / "selections" / "default", run / "selections" / "unknown")
    said = {(one.what, one.where.name): one.said for one in check_run(run).findings}
    assert said["contradiction", part.name] == "doc_id and doc_row name different ones"
    assert said["contradiction", "outcomes.parquet"] == "29 rows for 30 queries"
    assert "add up to" in said["contradiction", "decisions.parquet"]
    assert ("orphan", "unknown") in said
    repair_run(run)
    mine(run)
    assert result(run, "default") == sound.default and not check_run(run).findings


CONFUSED: dict[str, Callable[[dict[str, Any]], None]] = {
    "parts without end": lambda found: found["stages"]["search"].update(parts=10**12),
    "parts in words": lambda found: found["stages"]["search"].update(parts="one"),
    "no query a part": lambda found: found["stages"]["search"].update(queries_a_part=0),
    "a fingerprint that is a list": lambda found: found["stages"]["read"].update(fingerprint=[]),
    "counts that are a number": lambda found: found["stages"]["read"].update(counts=5),
    "a selection elsewhere": lambda found: found["selections"].update({"../../other": {}}),
    "checksums that are a list": lambda found: found["selections"]["default"].update(checksums=[1]),
    "another layout's name": lambda found: found.pop("layout"),
}


@pytest.mark.parametrize("how", CONFUSED)
def test_a_manifest_that_tells_nonsense_is_found(sound: Sound, tmp_path: Path, how: str) -> None:
    """Sealed anew, as by somebody who means it: neither a traceback nor a wait."""
    run = sound.copy(tmp_path)
    manifest = RunDirectory(run).manifest()
    CONFUSED[how](manifest)
    write_sealed_json(manifest, run / "manifest.json")
    assert check_run(run).findings
    repair_run(run)
    repair_run(run)  # what no manifest tells of goes
    mine(run)
    assert result(run, "default") == sound.default and not check_run(run).findings
