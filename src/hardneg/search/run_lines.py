"""The lines of a TREC run file: `query_id Q0 doc_id rank score tag`, parted by spaces or tabs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hardneg.config import LARGEST_SCORE
from hardneg.errors import InputError
from hardneg.named_files import named_lines
from hardneg.records import Int64

_LINES_AT_ONCE = 1 << 14
_LONGEST_LINE = 1 << 16  # so many at once stay below a gigabyte
_SHOWN = 40  # letters of a value
_COLUMNS = "query_id Q0 doc_id rank score tag"


@dataclass(frozen=True)
class RunLines:
    """What the lines that are not blank say, in the file's order; `line` is their number from 1."""

    query: pa.ChunkedArray
    doc: pa.ChunkedArray
    rank: Int64
    score: NDArray[np.float64]
    line: Int64


def parse_run(path: Path) -> RunLines:
    """Raises InputError with the line for what is no run: columns, numbers, encoding; or an empty file."""
    parts = [_parse_lines(path, number, lines) for number, lines in _line_blocks(path)]
    if not any(len(part[4]) for part in parts):
        raise InputError(f"holds no line; write {_COLUMNS}", file=path)
    query, doc, rank, score, line = zip(*parts, strict=True)
    return RunLines(
        pa.chunked_array(query, pa.string()),
        pa.chunked_array(doc, pa.string()),
        np.concatenate(rank),
        np.concatenate(score),
        np.concatenate(line),
    )


def _parse_lines(
    path: Path, first: int, lines: list[bytes]
) -> tuple[pa.Array, pa.Array, Int64, NDArray[np.float64], Int64]:
    fields = [line.split() for line in lines]
    number = [first + i for i, field in enumerate(fields) if field]
    fields = [field for field in fields if field]
    for line, field in zip(number, fields, strict=True):
        if len(field) != 6:
            raise InputError(f"{len(field)} columns where a run has 6: {_COLUMNS}", file=path, line=line)
    if not fields:
        empty = pa.array([], pa.string())
        return empty, empty, np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
    query, _, doc, rank, score, _ = zip(*fields, strict=True)
    return (
        _texts(path, number, query, "query_id"),
        _texts(path, number, doc, "doc_id"),
        _ranks(path, number, rank),
        _scores(path, number, score),
        np.array(number, np.int64),
    )


def _texts(path: Path, number: list[int], values: tuple[bytes, ...], column: str) -> pa.Array:
    try:
        return pa.array(values, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        line = next(n for n, value in zip(number, values, strict=True) if not _is_utf8(value))
        raise InputError("is not UTF-8; convert the file", file=path, line=line, column=column) from None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _ranks(path: Path, number: list[int], values: tuple[bytes, ...]) -> Int64:
    try:
        return np.array(list(map(int, values)), np.int64)
    except (ValueError, OverflowError):
        at = next(i for i, value in enumerate(values) if not _is_rank(value))
        raise _wrong(path, number[at], "rank", values[at], "whole number") from None


def _is_rank(value: bytes) -> bool:
    try:
        return abs(int(value)) < 1 << 63
    except ValueError:
        return False


def _scores(path: Path, number: list[int], values: tuple[bytes, ...]) -> NDArray[np.float64]:
    try:
        scores = np.array(list(map(float, values)), np.float64)
    except ValueError:
        at = next(i for i, value in enumerate(values) if not _is_number(value))
        raise _wrong(path, number[at], "score", values[at], "number") from None
    finite = np.abs(scores) <= LARGEST_SCORE
    if not finite.all():
        at = int(np.argmin(finite))
        raise _wrong(
            path, number[at], "score", values[at], f"number between -{LARGEST_SCORE:g} and {LARGEST_SCORE:g}"
        )
    return scores


def _is_number(value: bytes) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _wrong(path: Path, line: int, column: str, value: bytes, wanted: str) -> InputError:
    text = value.decode("utf-8", "replace")
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return InputError(f"{text!r} is no {wanted}; write {_COLUMNS}", file=path, line=line, column=column)


def _line_blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """The number of the first line, from 1, and some thousands of lines."""
    first, lines = 1, list[bytes]()
    for number, line in named_lines(path, _LONGEST_LINE):
        if len(line) > _LONGEST_LINE:
            raise InputError(f"is longer than 64 KiB; write {_COLUMNS}", file=path, line=number)
        lines.append(line)
        if len(lines) == _LINES_AT_ONCE:
            yield first, lines
            first, lines = number + 1, []
    if lines:
        yield first, lines
