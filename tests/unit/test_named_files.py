"""What users name: nothing but files is opened, in bounded memory."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from hardneg.errors import InputError, UsageError
from hardneg.named_files import kind_of_path, named_lines, named_text, refuse_inputs


def test_lines_are_numbered_and_the_mark_before_the_first_is_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\nb")
    assert list(named_lines(path)) == [(1, b"a\r\n"), (2, b"\n"), (3, b"b")]


def test_of_a_line_that_is_too_long_comes_one_byte_too_many_and_then_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"abcd\n" + b"x" * 3_000_000 + b"\nabc\nabcde")
    assert list(named_lines(path, longest=4)) == [(1, b"abcd\n"), (2, b"xxxxx"), (3, b"abc\n"), (4, b"abcde")]


def test_a_bomb_of_one_line_takes_no_more_memory_than_a_line_may(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", 1) as handle:
        for _ in range(64):
            handle.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        ((number, line),) = named_lines(path, longest=1 << 16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (number, len(line)) == (1, (1 << 16) + 1)
    assert peak < 8 << 20


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [(pipe, "is a pipe"), (loop, "links to itself"), (device, "is a device"), (folder, "is a folder")],
    ids=["pipe", "loop", "device", "folder"],
)
def test_what_is_no_file_is_not_opened(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "it"
    make(path)
    for read in (lambda: list(named_lines(path)), lambda: named_text(path, 10)):
        with pytest.raises(InputError, match=f"it: .*{said}"):
            read()


def test_names_that_no_file_can_have() -> None:
    with pytest.raises(InputError, match="too long"):
        kind_of_path(Path("x" * 300))
    with pytest.raises(InputError, match="NUL"):
        kind_of_path(Path("a\0b"))
    assert kind_of_path(Path(__file__) / "below a file") == "nothing"


def test_a_text_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbf" + b"x" * (1 << 20))
    assert named_text(path, (1 << 20) + 3) == "x" * (1 << 20)
    with pytest.raises(InputError, match="is longer than 1 MiB"):
        named_text(path, 1 << 20)


def test_a_file_that_goes_or_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"line\n" * 1_000_000)
    lines = named_lines(path)
    assert next(lines) == (1, b"line\n")
    os.truncate(path, 5)
    assert 0 < len(list(lines)) < 1_000_000
    lines = named_lines(path)
    path.unlink()
    with pytest.raises(InputError, match="lines: is no file"):
        next(lines)


def test_what_was_read_is_not_written_over(tmp_path: Path) -> None:
    source = tmp_path / "data"
    (source / "qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "qrels/train.tsv", "earlier.jsonl"):
        (source / name).write_text("x")
    for name in ("corpus.jsonl", "qrels/train.tsv"):
        with pytest.raises(UsageError, match="input was read from it"):
            refuse_inputs(source / name, [str(source)])
    with pytest.raises(UsageError, match="input was read from it"):
        refuse_inputs(source / "corpus.jsonl", ["hf:gone", str(source / "qrels" / ".." / "corpus.jsonl")])
    refuse_inputs(source / "earlier.jsonl", [str(source)])
    refuse_inputs(source / "new.jsonl", [str(source)])
