"""Texts, ids, names and columns full of escapes, markup and formulas: shown, kept and exported harmlessly.

What is printed holds none of it raw, on a terminal and through a pipe; JSON and files give every character
back where their format can.
"""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg
from hardneg.at_work import HOLDER
from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.export.row_file import write_rows
from hardneg.read.bad_rows import BadRows
from hardneg.read.row_files import file_rows
from hardneg.spreadsheet import FORMULA, unmarked_cell

Tally = Callable[..., None]

HOSTILE = {
    "colour": "\x1b[31;7mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x07here\x1b]8;;\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "c1": "\x9b31m\x9d52;c;ZQ==\x9c",
    "erase": "safe\x08\x08\x08\x08evil\x7f",
    "return": "good\revil",
    "newline": "one\nerror: two\ttab",
    "bidi": "\u202egnp.exe\u202c\u2066x\u2069\u200e\u200f\u061c",
    "unseen": "a\u200bb\u200dc\ufeffd\u00ade\u2060f\u3164g",
    "tags": "x" + "".join(chr(0xE0000 + ord(letter)) for letter in "evil"),
    "lines": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg",
    "marks": "Z" + "\u0301\u0334" * 40,
    "markup": "[red]no[/red] [link=http://evil.example]x[/link] [bold",
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "formula": "=cmd|' /C calc'!A0",
    "wide formula": "\u3000\uff1dSUM(1)",
    "quotes": "\"a\",'b',\\c",
}
"""No line or file that is shown may hold these as they are; each is an id, a text and part of a name."""
NAME = "n\x1b[31;7m\u202e[red]\nx"
"""Of folders, files and columns; a retriever is called after its file."""
COMMAND = [sys.executable, "-c", "from hardneg.cli import main; main()"]


def bad_characters(text: str) -> list[str]:
    """What may not reach a terminal, line ends apart."""
    categories = ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
    return sorted({c for c in text if c != "\n" and unicodedata.category(c) in categories} | floods(text))


def floods(text: str) -> set[str]:
    marked = "".join("m" if unicodedata.category(c) in ("Mn", "Me") else "." for c in text)
    return {"a flood of marks"} if "m" * 12 in marked else set()


def tables() -> dict[str, list[dict[str, Any]]]:
    """A document for each hostile text, and some plain ones, all of common words; two positives a query."""
    texts = [*HOSTILE.values(), *(f"plain {n}" for n in range(12))]
    corpus = [
        {"_id": f"{text}", "title": f"t{text}", "text": f"river engine {text} word{n % 5}", NAME: f"v{text}"}
        for n, text in enumerate(texts)
    ]
    queries = [{"_id": text, "text": f"river {text} word{n % 5}"} for n, text in enumerate(HOSTILE.values())]
    ids = [row["_id"] for row in corpus]
    qrels = [
        {"query-id": row["_id"], "corpus-id": ids[(n + step) % len(ids)], "score": 1}
        for n, row in enumerate(queries)
        for step in (0, 1)
    ]
    return {"corpus": corpus, "queries": queries, "qrels": qrels}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, a run file, vectors, a run, all under hostile names."""
    folder = tmp_path_factory.mktemp("hostile") / NAME
    folder.mkdir()
    found = tables()
    for name, rows in found.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, "utf-8")
    vectors = folder / f"vectors {NAME}"
    vectors.mkdir()
    draws = np.random.default_rng(0)
    for name, key in (("queries", "queries"), ("documents", "corpus")):
        rows = found[key]
        np.save(vectors / f"{name}.npy", draws.standard_normal((len(rows), 8)).astype(np.float32))
        (vectors / f"{name}.ids.json").write_text(json.dumps([row["_id"] for row in rows]))
    return folder


def arguments(folder: Path) -> list[str]:
    return [
        "mine", str(folder), "--run-dir", str(folder / "run"), "--retriever", "bm25",
        "--retriever", f"vectors:{folder / f'vectors {NAME}'}", "--relative-margin", "none", "--depth", "20",
    ]  # fmt: skip


def run_piped(*given: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [*COMMAND, *given],
        capture_output=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})},
        check=False,
    )
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode("utf-8"), ended.stderr.decode("utf-8")
    )


def run_on_terminal(*given: str) -> tuple[int, str]:
    """Exit code and all that a terminal would get."""
    parent, child = pty.openpty()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TERM": "xterm-256color", "COLUMNS": "200"}
    process = subprocess.Popen([*COMMAND, *given], stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    seen = b""
    while process.poll() is None or select.select([parent], [], [], 0)[0]:
        if select.select([parent], [], [], 0.1)[0]:
            try:
                seen += os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
    os.close(parent)
    return process.wait(), seen.decode("utf-8").replace("\r\n", "\n")


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """The run of it, mined on a terminal, and what that showed."""
    code, seen = run_on_terminal(*arguments(folder))
    (folder / "seen.txt").write_text(seen, "utf-8")
    assert code == 0, seen
    return folder / "run"


def assert_fit(seen: str) -> None:
    """For a terminal. A bar that is drawn may move the cursor; no text may."""
    found = bad_characters(seen.replace("\x1b[", "").replace("\r", ""))
    assert not found and "\x1b[31;7m" not in seen, (found, seen)


def test_mining_on_a_terminal(run: Path) -> None:
    seen = (run.parent / "seen.txt").read_text("utf-8")
    assert_fit(seen)
    assert "\\u001b[31;7m\\u202e[red]\\u000ax" in seen  # the run's folder, its markup as it is
    assert "negatives a query" in seen


SHOWN: dict[str, list[str]] = {
    "select": ["select", "{run}", "--name", "again", "--score-by", "bm25"],
    "preview": ["select", "{run}", "--preview", "--score-by", "bm25"],
    "inspect": ["inspect", "{run}", "--query", HOSTILE["colour"]],
    "suspects": ["suspects", "{run}", "-n", "9", "-o", "{run}/../{name}.csv"],
    "audit": ["audit", "{run}", "--repeats", "1", "--score-by", "bm25"],
    "trial": ["trial", "{run}", "--steps", "5"],
    "doctor": ["doctor", "{run}"],
    "export": ["export", "{run}", "--to", "flagembedding", "-o", "{run}/../{name}.jsonl"],
    "dry run": ["mine", "{run}/..", "--dry-run", "--retriever", "bm25"],
}
FAILING: dict[str, list[str]] = {
    "no such query": ["inspect", "{run}", "--query", HOSTILE["clipboard"] + "?"],
    "no such selection": ["inspect", "{run}", "--query", "x", "--selection", HOSTILE["bidi"]],
    "no such file": ["mine", "{run}/" + HOSTILE["title"].replace("/", "")],
    "no such option": ["select", "{run}", "--" + HOSTILE["colour"]],
    "no such format": ["export", "{run}", "--to", HOSTILE["colour"], "-o", "x"],
    "no such column": ["mine", "{run}/../corpus.jsonl", "--query-column", HOSTILE["lines"]],
    "no such retriever": ["mine", "{run}/..", "--retriever", HOSTILE["c1"]],
    "no such score": ["select", "{run}", "--score-by", HOSTILE["return"]],
    "a traceback": ["inspect", "{run}", "--query", HOSTILE["clipboard"], "--selection", "x", "--debug"],
}


def filled_in(words: list[str], run: Path) -> list[str]:
    return [word.replace("{run}", str(run)).replace("{name}", NAME) for word in words]


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("command", [*SHOWN, *FAILING])
def test_every_command_on_a_terminal(run: Path, tally: Tally, command: str) -> None:
    code, seen = run_on_terminal(*filled_in({**SHOWN, **FAILING}[command], run))
    tally("commands shown hostile text, raw output", tried=1, failed=0)
    assert code == 0 if command in SHOWN else code in (1, 2), seen
    assert_fit(seen)


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("command", [*SHOWN, *FAILING])
def test_every_command_through_a_pipe(run: Path, tally: Tally, command: str) -> None:
    """As text, then as JSON."""
    words = filled_in({**SHOWN, **FAILING}[command], run)
    for asked in (words, [*words, "--json"]):
        ended = run_piped(*asked)
        found = bad_characters(ended.stdout + ended.stderr)
        tally("commands shown hostile text, raw output", tried=1, failed=int(bool(found)))
        assert not found, (ended.stdout, ended.stderr)
        assert ended.returncode == 0 if command in SHOWN else ended.returncode in (1, 2), ended.stderr
        if ended.returncode == 0 and "--json" in asked:
            json.loads(ended.stdout)


def test_a_query_is_shown_harmlessly_and_its_json_is_true(run: Path) -> None:
    text = HOSTILE["colour"]
    shown = run_piped("inspect", str(run), "--query", text)
    assert not bad_characters(shown.stdout + shown.stderr)
    assert "query \\u001b[31;7mred\\u001b[0m" in shown.stdout
    assert "[red]no[/red] [link=http://evil.example]x[/link]" in shown.stdout
    found = json.loads(run_piped("inspect", str(run), "--query", text, "--json").stdout)
    assert found["query_id"] == text
    ids = {row["_id"] for row in tables()["corpus"]}
    assert {row["doc_id"] for row in found["candidates"]} <= ids
    assert found["candidates"][0]["ranks"].keys() <= {"bm25", f"vectors:vectors {NAME}"}


def test_output_that_is_not_utf_8_gets_escapes(run: Path) -> None:
    given = ["inspect", str(run), "--query", HOSTILE["wide formula"]]
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = run_piped(*given, environment=ascii_only)
    assert shown.returncode == 0, shown.stderr
    assert "query \\u3000\\uff1dSUM(1)" in shown.stdout
    found = json.loads(run_piped(*given, "--json", environment=ascii_only).stdout)
    assert found["query_id"] == HOSTILE["wide formula"]


def test_names_that_are_no_text_are_kept_and_shown(tmp_path: Path) -> None:
    """Linux takes any bytes as a file's name."""
    name = os.fsdecode(b"\xff\x1b.jsonl")
    rows = [{"query": f"river {n}", "positive": f"river engine {n}"} for n in range(9)]
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    strange = tmp_path / os.fsdecode(b"\xfd.trec")
    strange.write_text("q Q0 d 1 1.0 x\n")
    ended = run_piped("mine", str(tmp_path / name), "--run-dir", str(run), "--retriever", "bm25")
    assert ended.returncode == 0, ended.stderr
    assert not bad_characters(ended.stdout + ended.stderr)
    assert json.loads((run / "manifest.json").read_text("utf-8"))["source"] == str(tmp_path / name)
    assert run_piped("doctor", str(run), "--json").returncode == 0
    failed = run_piped(
        "mine", str(tmp_path / name), "--run-dir", str(tmp_path / "other"), "--retriever", f"run:{strange}"
    )
    assert failed.returncode == 2
    assert "retriever: is not UTF-8" in failed.stderr and not bad_characters(failed.stderr)
    refused = run_piped("mine", str(tmp_path / name), "--run-dir", str(tmp_path / os.fsdecode(b"run\xfe")))
    assert (refused.returncode, "run\\udcfe: its name" in refused.stderr) == (2, True), refused.stderr
    assert not bad_characters(failed.stderr + refused.stderr)


# -- exported -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> hardneg.Mined:
    """In this process, ids without line ends: TREC and qrels refuse those."""
    source = {name: pa.Table.from_pylist(rows) for name, rows in tables().items()}
    folder = tmp_path_factory.mktemp("exported")
    return hardneg.mine(
        source, run_dir=folder / "run", retriever="bm25", relative_margin=None, guard="off", depth=20
    )


TEXTS = {f"t{row} river engine {row} word{n % 5}" for n, row in enumerate([*HOSTILE.values()])}


def test_json_lines_give_every_text_back_from_any_splitter(mined: hardneg.Mined, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    mined.to("flagembedding", path)
    data = path.read_text("utf-8")
    rows = [json.loads(line) for line in data.splitlines()]
    assert len(rows) == data.count("\n") == len(HOSTILE)
    assert {row["query"] for row in rows} == {row["text"] for row in tables()["queries"]}
    assert {text for row in rows for text in row["pos"]} >= TEXTS
    assert "\x1b" not in data and "\u2028" not in data


def test_parquet_gives_every_text_back(mined: hardneg.Mined, tmp_path: Path) -> None:
    mined.to("st-triplet", tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert {*table["positive"].to_pylist()} >= TEXTS


def test_csv_runs_nothing_in_a_spreadsheet(mined: hardneg.Mined, tmp_path: Path) -> None:
    mined.to("st-triplet", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    assert {len(row) for row in rows} == {3}
    assert not [cell for row in rows for cell in row if re.match(FORMULA, cell)]


@pytest.mark.parametrize("to", ["trec", "beir"])
def test_ids_that_would_break_a_line_are_refused(mined: hardneg.Mined, tmp_path: Path, to: str) -> None:
    with pytest.raises(InputError, match="cannot stand in"):
        mined.to(to, tmp_path / f"out.{to}")
    assert not list(tmp_path.iterdir())


ANY_ID = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
RISKY = st.sampled_from(
    ["=", "+", "-", "@", "'", "\t", " ", "\u3000", "\uff1d", "a", "\u2028", "\x0b", "\r", "\n", '"', ","]
)
IDS = st.one_of(ANY_ID, st.lists(RISKY, min_size=1, max_size=6).map("".join))


@settings(max_examples=150)
@given(ids=st.lists(IDS, min_size=1, max_size=8, unique=True))
def test_ids_come_back_from_every_file_that_people_fill_in(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    table = pa.table({"doc_id": ids, "text": ids})
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = folder / f"rows{suffix}"
        write_rows(table, path)
        rows = [row for _, row in file_rows(path).read(BadRows())]
        back = [unmarked_cell(row["doc_id"]) if suffix == ".csv" else row["doc_id"] for row in rows]
        assert back == ids, suffix
        if suffix == ".csv":
            assert not [cell for row in rows for cell in row.values() if re.match(FORMULA, cell)]


@settings(max_examples=40)
@given(ids=st.lists(IDS, min_size=8, max_size=8, unique=True))
def test_a_line_based_file_gives_ids_back_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    source = {
        "corpus": pa.table({"_id": ids, "text": [f"river {n}" for n in range(8)]}),
        "queries": pa.table({"_id": ids[:2], "text": ["river x", "river y"]}),
        "qrels": pa.table({"query-id": ids[:2], "corpus-id": ids[2:4]}),
    }
    mined = hardneg.mine(source, run_dir=folder / "run", retriever="bm25", relative_margin=None, guard="off")
    pairs = sorted(zip(*mined.negatives.select(["query_id", "doc_id"]).to_pydict().values(), strict=True))
    for to, cut in (("trec", lambda line: line.split()), ("beir", lambda line: line.split("\t"))):
        path = folder / f"out.{to}"
        try:
            mined.to(to, path)
        except InputError:
            assert not path.exists()
            continue
        rows = [cut(line) for line in path.read_text("utf-8").splitlines()[to == "beir" :]]
        assert sorted((row[0], row[2 if to == "trec" else 1]) for row in rows) == pairs


def test_judged_pairs_of_hostile_ids_are_read_again(mined: hardneg.Mined, tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = tmp_path / f"suspects{suffix}"
        drawn = mined_with_guard(mined).suspects(30, output=path)
        rows = [{**row, "relevant": "false"} for _, row in file_rows(path).read(BadRows())]
        if suffix == ".csv":
            with path.open("w", newline="", encoding="utf-8") as lines:
                writer = csv.DictWriter(lines, rows[0])
                writer.writeheader()
                writer.writerows(rows)
        else:
            path = tmp_path / "judged.jsonl"
            path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
        chosen = mined.select(name="judged", guard="prior", labels=str(path))
        labels = chosen.summary["labels"]
        assert (labels["judged"], labels["not_used"]["unknown"]) == (drawn.num_rows, 0)


def mined_with_guard(mined: hardneg.Mined) -> hardneg.Mined:
    return mined.select(name="guarded", guard="prior")


# -- drawn --------------------------------------------------------------------------------------------------


def test_a_chart_runs_no_script(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    from hardneg.auditing import draw
    from hardneg.auditing.points import OWN, RULES

    def point(rule: str) -> dict[str, Any]:
        share = {"share": 0.2, "low": 0.1, "high": 0.3}
        return {"rule": rule, "hardness": {"mean_score": 0.5}, "contamination": share, "yield": 1.0}

    name = '<script>alert(1)</script>" onload="alert(1) ]]> &lt; \x1b[31m {a:1}'
    numbers = {
        "selection": name,
        "hardness_by": name,
        "queries": {"measured": 1, "total": 1},
        "hidden": {"share": 0.3, "repeats": 1},
        "points": [point(rule) for rule in (*RULES, OWN)],
    }
    draw(numbers, tmp_path)
    picture = (tmp_path / "audit.svg").read_text("utf-8")
    assert "\x1b" not in picture
    for element in ElementTree.fromstring(picture).iter():  # noqa: S314 - our own file
        assert element.tag.rpartition("}")[2] not in ("script", "foreignObject", "iframe", "image", "a")
        assert not [key for key in element.attrib if key.lower().startswith("on")]


# -- paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [".", "selections", "candidates", "guard/deeper"])
def test_nothing_is_written_through_a_link_out_of_a_run(tmp_path: Path, inside: str) -> None:
    """To a folder, and to a file: that of who is at work is written in place."""
    rows = [{"query": f"river {n}", "positive": f"river engine {n}"} for n in range(9)]
    settings: dict[str, Any] = {"retriever": "bm25", "relative_margin": None}
    run, outside = tmp_path / "run", tmp_path / "outside"
    hardneg.mine(rows, run_dir=run, **settings)
    outside.mkdir()
    (outside / "file").write_text("mine")
    place = run / inside
    if inside == ".":
        (run / HOLDER).symlink_to(outside / "file")
    else:
        place.parent.mkdir(exist_ok=True)
        if place.exists():
            place.rename(run / "earlier-place")
        place.symlink_to(outside)
    with pytest.raises(InputError, match="is a link that leads out of the run"):
        hardneg.mine(rows, run_dir=run, **settings, sampler="random")
    with pytest.raises(InputError, match="is a link that leads out of the run"):
        hardneg.open_run(run).select(name="other")
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["CON", "nul.txt", "com1", "x" * 101, "ends.", "..", "a/b", "", "\n", "-x"])
def test_a_selection_s_name_is_one_that_every_system_takes(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="selection name"):
        hardneg.mine([{"query": "a", "positive": "b"}], run_dir=tmp_path / "run", name=name)
    assert not (tmp_path / "run").exists()


WORDS = ["..", ".", "/", "a", "CON", "~", "\\", "\0", "x" * 300, " ", "-", "\n", "%2e%2e", "C:"]
NAMES = st.one_of(st.text(max_size=12), st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("".join))


@settings(max_examples=60)
@given(name=NAMES)
def test_no_name_leaves_the_run(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Of selections, documents and queries: files appear in the run's folder alone, or nowhere."""
    folder = tmp_path_factory.mktemp("names")
    ids = [f"{name}{n}" for n in range(6)]
    around = folder / "around"
    (around / "run").mkdir(parents=True)
    before = sorted(path for path in folder.rglob("*"))
    rows = [{"_id": one, "text": f"river {n}"} for n, one in enumerate(ids)]
    queries = [{"_id": one, "text": "river"} for one in ids[:2]]
    qrels = [{"query-id": one, "corpus-id": other} for one, other in zip(ids, ids[2:4], strict=False)]
    try:
        mined = hardneg.mine(
            {"corpus": rows, "queries": queries, "qrels": qrels},
            run_dir=around / "run", retriever="bm25", relative_margin=None, guard="off",
        )  # fmt: skip
        mined.select(name=name)
        mined.suspects(1)
    except HardnegError:
        pass
    outside = [path for path in folder.rglob("*") if around / "run" not in path.parents]
    assert sorted(outside) == before
