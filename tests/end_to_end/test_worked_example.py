"""The worked example: one query, a ranking of fifteen, "top-k shifted by 5", nine negatives in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hardneg
from hardneg.cli import app

RANKING = (
    "4346436 17388232 14103509 37437064 29638116 25435456 32532238 31715818 "
    "23763738 7583104 21456232 2121272 35621259 58050905 196664003"
).split()
POSITIVE = "31715818"
NEGATIVES = "25435456 32532238 23763738 7583104 21456232 2121272 35621259 58050905 196664003".split()


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """The documents by their ids, with texts of our own, in BEIR layout, beside the ranking as a TREC run."""
    folder = tmp_path / "collection"
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as corpus:
        for number, doc_id in enumerate(RANKING):
            text = f"Document number {number} speaks of material {chr(97 + number) * 9}."
            corpus.write(json.dumps({"_id": doc_id, "title": "", "text": text}) + "\n")
    (folder / "queries.jsonl").write_text(
        json.dumps({"_id": "0", "text": "0-dimensional biomaterials lack inductive properties."}) + "\n"
    )
    (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n0\t{POSITIVE}\t1\n")
    lines = [f"0 Q0 {d} {rank} {1 - rank / 100:.4f} bge" for rank, d in enumerate(RANKING, start=1)]
    (folder / "bge.trec").write_text("\n".join(lines) + "\n")
    return folder


def test_the_run_file_gives_the_nine_ids_in_order(beir: Path, tmp_path: Path) -> None:
    run_dir, output = tmp_path / "run", tmp_path / "train.jsonl"
    arguments = ["mine", str(beir), "--run-dir", str(run_dir), "--retriever", f"run:{beir / 'bge.trec'}"]
    arguments += [
        "--recipe",
        "shifted",
        "--num-negatives",
        "all",
        "--to",
        "flagembedding",
        "--output",
        str(output),
    ]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    negatives = hardneg.open_run(run_dir).negatives
    assert negatives["doc_id"].to_pylist() == NEGATIVES
    assert negatives["rank"].to_pylist() == [6, 7, 9, 10, 11, 12, 13, 14, 15]
    row = json.loads(output.read_text())
    assert len(row["neg"]) == 9
    assert row["neg"][0] == "Document number 5 speaks of material fffffffff."


def test_the_window_counts_the_positive_and_never_takes_it(beir: Path, tmp_path: Path) -> None:
    mined = hardneg.mine(
        str(beir), run_dir=tmp_path / "run", retriever=f"run:{beir / 'bge.trec'}", recipe="shifted"
    )
    reasons = dict(
        zip(mined.decisions["doc_id"].to_pylist(), mined.decisions["reason"].to_pylist(), strict=True)
    )
    assert {reasons[doc] for doc in RANKING[:5]} == {"window"}
    assert reasons[POSITIVE] == "positive"
    assert POSITIVE not in mined.negatives["doc_id"].to_pylist()


def test_raw_ranks_10_to_210_then_fifteen_at_random(beir: Path, tmp_path: Path) -> None:
    """The other rule named: with a ranking of fifteen only ranks 11 to 15 are left to draw from."""
    mined = hardneg.mine(
        str(beir), run_dir=tmp_path / "run", retriever=f"run:{beir / 'bge.trec'}", recipe="bge"
    )
    assert sorted(mined.negatives["doc_id"].to_pylist()) == sorted(RANKING[10:])
    assert mined.outcomes["outcome"].to_pylist() == ["short"]
