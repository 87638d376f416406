"""A training file is read back before it takes its name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hardneg.errors import DamagedError
from hardneg.export.read_back import Passed, check_lines

LINES = [b'{"a": 1, "b": "x"}\n', b'{"a": 2, "b": "y"}\n']


def written(pieces: list[bytes]) -> Passed:
    passed = Passed()
    assert list(passed.counted(iter(pieces))) == pieces
    return passed


@pytest.mark.parametrize("packed", [False, True])
def test_what_was_written_passes(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(b"".join(LINES)) if packed else b"".join(LINES))
    check_lines(path, path, written(LINES), ["a", "b"])


@pytest.mark.parametrize(
    ("held", "keys", "said"),
    [
        (b"".join(LINES)[:-1], ["a", "b"], "not what was written"),
        (LINES[0], ["a", "b"], "not what was written"),
        (b"".join(LINES).replace(b"y", b"z"), ["a", "b"], "not what was written"),
        (b"".join(LINES), ["a", "c"], "has the keys a, b, not a, c"),
        (b'{"a": NaN, "b": 1}\n' + LINES[1], ["a", "b"], "NaN is no JSON"),
        (b"{{}\n" + LINES[1], ["a", "b"], "is damaged"),
        (gzip.compress(b"".join(LINES), mtime=0)[:-9], ["a", "b"], "is damaged"),
    ],
)
def test_what_was_not_is_an_error(tmp_path: Path, held: bytes, keys: list[str], said: str) -> None:
    path = tmp_path / ".tmp-a.jsonl"
    path.write_bytes(held)
    with pytest.raises(DamagedError, match=f"out.jsonl: read back, .*{said}"):
        check_lines(path, tmp_path / "out.jsonl", written(LINES), keys)
