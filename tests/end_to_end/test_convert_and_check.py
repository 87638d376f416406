"""`hardneg convert`, `hardneg check`, and mining from a trainer's file, as a user types them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hardneg
from hardneg.errors import InputError, UsageError

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


GOOD = {
    "query": "one",
    "pos": ["a", "b"],
    "neg": ["x", "y"],
    "pos_scores": [1.0, 0.5],
    "neg_scores": [0.25, 0.0],
}
BAD = {"query": "two", "pos": ["a"], "neg": ["A ", "z"]}


def test_there_and_back_gives_the_same_file(hardneg_command: Command, tmp_path: Path) -> None:
    path = written(tmp_path / "train.jsonl", GOOD)
    there = hardneg_command("convert", path, "--to", "st-triplet", "--output", tmp_path / "triplets.parquet")
    assert (there.returncode, there.stderr) == (0, "")
    assert "st-triplet: 4 rows from 1 group, 2 positives, 2 negatives" in there.stdout
    back = hardneg_command(
        "convert", tmp_path / "triplets.parquet", "--from", "st-triplet", "--to", "flagembedding",
        "-o", tmp_path / "back.jsonl", "--json",
    )  # fmt: skip
    counts = json.loads(back.stdout)
    assert (counts["format"], counts["groups"], counts["negatives"]) == ("st-triplet", 1, 2)
    assert (tmp_path / "back.jsonl").read_bytes() == path.read_bytes()


def test_a_fault_ends_a_conversion_unless_it_is_dropped(hardneg_command: Command, tmp_path: Path) -> None:
    path, output = written(tmp_path / "train.jsonl", GOOD, BAD), tmp_path / "out.jsonl"
    refused = hardneg_command("convert", path, "--to", "st-n-tuple", "-o", output)
    assert refused.returncode == 2 and not output.exists()
    assert refused.stderr == (
        f"error: {path}, line 2: a negative is a positive of the same row: 'A '; mend it, or leave out what "
        "is faulty with --on-fault drop\n"
    )
    dropped = hardneg_command(
        "convert", path, "--to", "st-n-tuple", "-o", output, "--on-fault", "drop", "--num-negatives", 1,
        "--list", tmp_path / "dropped.jsonl",
    )  # fmt: skip
    assert dropped.returncode == 0, dropped.stderr
    assert (
        "1 positive_among_negatives dropped" in dropped.stdout
        and "1 negative is past --num-negatives and was cut" in dropped.stdout
    )
    assert json.loads((tmp_path / "dropped.jsonl").read_text())["line"] == 2
    assert [json.loads(line)["negative_1"] for line in output.read_text().splitlines()] == ["x", "x", "z"]


@pytest.mark.parametrize("faulty", ["corpus", "queries"])
def test_texts_that_cannot_be_read_are_not_left_out_by_a_flag_that_is_not_there(
    hardneg_command: Command, tmp_path: Path, faulty: str
) -> None:
    """`convert` has no --on-bad-row, and a text that others name by its id must be there."""
    (tmp_path / "lines.trec").write_text("q1 Q0 d1 1 2.5 run\n")
    named = {"corpus": {"_id": "d1", "text": "a"}, "queries": {"_id": "q1", "text": "b"}}
    for name, row in named.items():
        written(tmp_path / f"{name}.jsonl", {**row, "text": 7} if name == faulty else row)
    ended = hardneg_command(
        "convert", tmp_path / "lines.trec", "--from", "trec", "--to", "st-triplet",
        "-o", tmp_path / "out.jsonl",
        "--corpus", tmp_path / "corpus.jsonl", "--queries", tmp_path / "queries.jsonl", "--on-fault", "drop",
    )  # fmt: skip
    assert ended.returncode == 2 and "--on-bad-row" not in ended.stderr
    assert f"{faulty}.jsonl, line 1" in ended.stderr and ended.stderr.endswith("; mend the row\n")


def test_check_says_what_is_wrong_and_ends_with_1(hardneg_command: Command, tmp_path: Path) -> None:
    clean = hardneg_command("check", written(tmp_path / "good.jsonl", GOOD))
    assert (clean.returncode, clean.stderr) == (0, "") and "nothing is wrong" in clean.stdout
    path = written(tmp_path / "bad.jsonl", GOOD, BAD)
    wrong = hardneg_command("check", path)
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "1 positive_among_negatives: a negative is a positive of the same row" in wrong.stdout
    assert "line 2, number 1: 'A '" in wrong.stdout
    assert f"{path} (flagembedding): 2 rows, 3 positives, 4 negatives; 1 fault\n" in wrong.stdout
    told = hardneg_command("check", path, "--format", "flagembedding", "--json")
    assert told.returncode == 1 and json.loads(told.stdout)["faults"] == {"positive_among_negatives": 1}
    assert hardneg_command("check", tmp_path / "none.jsonl").returncode == 2


def test_a_trainers_file_is_mined_from(hardneg_command: Command, tmp_path: Path) -> None:
    """Of a format whose columns say nothing by their names, recognised or named."""
    rows = [
        {"query": f"about {word}", "pos": [f"{word} one"], "neg": [f"{word} two"]} for word in ("elm", "oak")
    ]
    path = written(tmp_path / "train.jsonl", *rows)
    assert hardneg_command("convert", path, "--to", "dpr", "-o", tmp_path / "dpr.json").returncode == 0
    mined = hardneg_command(
        "mine", tmp_path / "dpr.json", "--run-dir", tmp_path / "run", "--retriever", "bm25",
        "--relative-margin", "none", "--to", "flagembedding", "-o", tmp_path / "out.jsonl",
    )  # fmt: skip
    assert mined.returncode == 0, mined.stderr
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {row["query"]: row["neg"][0] for row in found} == {"about elm": "elm two", "about oak": "oak two"}


def test_load_reads_the_format_that_is_named(tmp_path: Path) -> None:
    rows = [{"x": "q", "y": "a", "z": "n"}, {"x": "q", "y": "a", "z": "m"}]
    path = written(tmp_path / "train.jsonl", *rows)
    with pytest.raises(InputError, match="no column holds the query"):
        hardneg.load(path)
    collection = hardneg.load(path, format="st-triplet")
    assert sorted(collection.corpus["text"].to_pylist()) == ["a", "m", "n"]
    assert (len(collection.queries), len(collection.qrels), len(collection.given)) == (1, 1, 2)
    assert "read as st-triplet" in collection.report.notes
    with pytest.raises(UsageError, match="trec holds ids alone; give a file of queries, with --qrels"):
        hardneg.load(path, format="trec")
