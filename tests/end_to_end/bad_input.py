"""Bad input: how its files are made, the command that gets them, and what is to be said.

The cases stand in `bad_rows.py`, `bad_settings.py`, `bad_folders.py` and `bad_training.py`;
`test_bad_input.py` runs them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Fixture = Callable[[str], Any]
"""The value of a pytest fixture: "finished", a run; "tiny", a model; "tiny_cross_encoder"."""
Maker = Callable[[Path, Fixture], None]
Content = bytes | str | Sequence[Row] | Maker


@dataclass(frozen=True)
class Kept:
    """What must be there where a command goes on: the good rows, and a list of those refused.

    judgments, documents, queries  rows of the run's tables; None: not looked at
    refused                        rows of refused_rows.jsonl; `lines`: where they stood
    """

    judgments: int | None = None
    documents: int | None = None
    queries: int | None = None
    refused: int = 0
    lines: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Case:
    """A command in a folder with these files.

    says  words of the one line on standard error; where the command goes on: of what it prints
    code  what it ends with
    kept  where it goes on: what must be there

    findings  it ends with its code and what it found, printed, in the place of an error
    absent    what must not be there afterwards
    lines     file → how many lines it must have afterwards
    """

    name: str
    command: str
    says: tuple[str, ...] = ()
    files: Mapping[str, Content] = field(default_factory=dict)
    code: int = 2
    kept: Kept | None = None
    findings: bool = False
    absent: Sequence[str] = ()
    lines: Mapping[str, int] = field(default_factory=dict)


def put(folder: Path, files: Mapping[str, Content], fixture: Fixture) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path, fixture)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json_lines(*content)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))


# -- files ------------------------------------------------------------------------------------------------


def json_lines(*rows: Row) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


PAIRS = tuple({"query": f"what is thing {n}?", "positive": f"thing {n} is number {n}"} for n in range(5))
GOOD = json_lines(*PAIRS)
CORPUS = [{"_id": f"d{n}", "title": "", "text": f"document number {n}"} for n in range(6)]
QUERIES = [{"_id": f"q{n}", "text": f"which document is {n}?"} for n in range(3)]
JUDGMENTS = [f"q{n}\td{n}\t1" for n in range(3)]
HEADER = "query-id\tcorpus-id\tscore"


def pairs_with(*bad: str | bytes | Row) -> dict[str, Content]:
    """pairs.jsonl: two good rows, the bad ones from line 3 on, three good rows."""
    lines = [line.encode() for line in GOOD.splitlines()]
    lines[2:2] = [
        one
        if isinstance(one, bytes)
        else (one if isinstance(one, str) else json.dumps(one)).encode("utf-8", "surrogatepass")
        for one in bad
    ]
    return {"pairs.jsonl": b"\n".join(lines) + b"\n"}


def beir(
    *,
    corpus: Sequence[Row] = (),
    queries: Sequence[Row] = (),
    judgments: Sequence[str] = (),
    **files: Content,
) -> dict[str, Content]:
    """A BEIR folder `data`: the good rows, then these; `files` are put in their places by whole names."""
    return {
        "data/corpus.jsonl": json_lines(*CORPUS, *corpus),
        "data/queries.jsonl": json_lines(*QUERIES, *queries),
        "data/qrels/train.tsv": "\n".join([HEADER, *JUDGMENTS, *judgments]) + "\n",
        **files,
    }


def mine(source: str = "pairs.jsonl", flags: str = "") -> str:
    """`mine` with rules that leave every query its negatives."""
    retriever = "" if "--retriever" in flags else "--retriever bm25 "
    return f"mine {source} -q --run-dir run {retriever}--relative-margin none --guard off {flags}"


# -- what is no file --------------------------------------------------------------------------------------


def link_to(target: str) -> Maker:
    return lambda path, fixture: path.symlink_to(target)


def pipe(path: Path, fixture: Fixture) -> None:
    """A pipe that nobody writes to: who reads it waits for ever."""
    os.mkfifo(path)


def folder(path: Path, fixture: Fixture) -> None:
    path.mkdir()


def long_line(before: str, after: str = "\n", length: int = 100_000_000) -> Maker:
    """A line of 100 MB after these; holes in the file, for the disk's sake."""

    def make(path: Path, fixture: Fixture) -> None:
        with path.open("wb") as handle:
            handle.write(before.encode())
            handle.seek(length, os.SEEK_CUR)
            handle.write(after.encode())

    return make
