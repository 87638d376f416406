"""What docs/formats.md says of each format is run: file names, options, the columns in their order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import hardneg
from hardneg.cli import app
from hardneg.export.formats import OPTIONAL_PARTS, format_named
from hardneg.trainers import MODULES

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
ROW = re.compile(r"^\| `([a-z][a-z-]+)` \| (.+) \|$", re.M)
WIDTH = 2
"""Negatives a query."""


def tables() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The cells behind each format's name, of the table of rows and of that of folders."""
    rows: dict[str, list[str]] = {}
    folders: dict[str, list[str]] = {}
    for name, rest in ROW.findall(PAGE.split("## What holds for all")[0]):
        (folders if name in rows else rows)[name] = rest.split(" | ")
    return rows, folders


ROWS, FOLDERS = tables()


def file_names(name: str) -> list[str]:
    """The names that the page says a file may have, with `the same` and `any` filled in."""
    said = ROWS[name][-1]
    if said.startswith("the same"):
        said = ROWS["st-triplet"][-1].replace("`.csv`", "" if "no `.csv`" in said else "`.csv`")
    found = re.findall(r"`(\.[a-z.]+)`", said) + ([".txt"] if said.startswith("any") else [])
    return found if name not in FOLDERS else [""]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mined by words in common: every query has one positive, two negatives, a prompt and scores."""
    folder = tmp_path_factory.mktemp("run")
    rows = [
        {"query": f"{word} {number}", "prompt": "find: ", "positive": f"{word} {number} is the answer"}
        for word in ("river", "engine", "violin")
        for number in ("one", "two", "three", "four")
    ]
    hardneg.mine(
        rows,
        run_dir=folder / "run",
        retriever=["bm25"],
        num_negatives=WIDTH,
        relative_margin=None,
        guard="off",
    )
    return folder / "run"


def exported(run: Path, name: str, path: Path, *options: str) -> str:
    """Runs the command of the page; what it said where it failed, else nothing."""
    words = ["export", str(run), "--to", name, "--output", str(path), *options]
    done = CliRunner().invoke(app, words, standalone_mode=False)
    return "" if done.exception is None else str(done.exception)


def columns(path: Path) -> list[str]:
    """Of a file's first row, or the line of names above it."""
    if path.suffix == ".parquet":
        return list(pq.read_schema(path).names)
    text = path.read_text("utf-8")
    if path.suffix not in (".json", ".jsonl"):
        return text.splitlines()[0].split("," if path.suffix == ".csv" else "\t")
    if text.startswith('{"corpus"'):
        return list(json.loads(text)["data"][0])
    return list(json.loads(text)[0] if text.startswith("[") else json.loads(text.split("\n")[0]))


def said_columns(said: str) -> list[str]:
    """Those without options, as the page orders them."""
    said = said.replace("`negative_1` … `negative_K`", ", ".join(f"`negative_{n + 1}`" for n in range(WIDTH)))
    return re.findall(r"`([A-Za-z_\d-]+)`", re.split(r"[;:=(]| \[| or ", said)[0])


def test_the_page_names_every_format() -> None:
    assert sorted(ROWS) == sorted(MODULES)
    assert sorted(FOLDERS) == sorted(name for name in MODULES if format_named(name).folder)


def test_the_page_says_how_each_file_is_given_to_its_trainer() -> None:
    section = PAGE.split("## Given to the trainer")[1].split("\n## ")[0]
    names = [
        name
        for line in section.splitlines()
        for name in re.findall(r"`([a-z][a-z-]+)`", line.split(" | ")[0])
    ]
    assert sorted(names) == sorted(set(MODULES) - set(FOLDERS) - {"trec", "beir"})


@pytest.mark.parametrize("name", sorted(set(MODULES) - set(FOLDERS)))
def test_every_file_name_is_taken_and_has_the_columns(name: str, run: Path, tmp_path: Path) -> None:
    assert file_names(name)
    for suffix in file_names(name):
        path = tmp_path / f"train{suffix}"
        assert exported(run, name, path) == ""
        if suffix.endswith((".gz", ".zst")):
            assert path.stat().st_size > 0
        elif name != "trec":
            assert columns(path) == said_columns(ROWS[name][1]), suffix


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_every_folder_holds_the_files_with_the_columns(name: str, run: Path, tmp_path: Path) -> None:
    assert exported(run, name, tmp_path / "out") == ""
    said = dict(re.findall(r"`([\w/-]+\.\w+)`(?: \((.*?)\))?", FOLDERS[name][0]))
    there = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in there) == sorted(said)
    first, *others = said
    assert columns(tmp_path / "out" / first) == said_columns(ROWS[name][1])
    for other in others:
        if said[other]:
            assert columns(tmp_path / "out" / other) == re.findall(r"`(.*?)`", said[other])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_an_option_is_taken_where_the_page_has_it_and_refused_elsewhere(
    name: str, run: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"train{file_names(name)[0]}"
    said = {
        word for cell in (*ROWS[name], *FOLDERS.get(name, [])) for word in re.findall(r"`--([a-z-]+)`", cell)
    }
    takes = format_named(name).takes
    for part in OPTIONAL_PARTS:
        flag = part.replace("_", "-")
        found = exported(run, name, output, f"--{flag}")
        assert found == ("" if part in takes else f"{name} has no place for {flag}; leave --{flag} off")
        assert part in takes or flag not in said
