"""A run directory whose input, vectors or folder changed: nothing of the old is passed off as the new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.errors import InputError, UsageError
from hardneg.records import Float32

BM25: dict[str, Any] = {"retriever": "bm25", "relative_margin": None}
TOPICS = ["river", "engine", "violin", "glacier", "orchard", "harbour", "lantern", "saddle"]


def beir(folder: Path, *, mirrored: bool = False) -> Path:
    """Eight queries and sixteen documents; mirrored: the same ids with each text backwards."""
    turn = (lambda text: " ".join(text.split()[::-1])) if mirrored else (lambda text: text)
    corpus = [
        {"_id": f"{kind}{n}", "title": "", "text": turn(f"{kind} tells of the {topic} and its {n} friends")}
        for n, topic in enumerate(TOPICS)
        for kind in ("song", "letter")
    ]
    queries = [{"_id": f"q{n}", "text": f"what of the {topic} is told"} for n, topic in enumerate(TOPICS)]
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    qrels = "".join(f"q{n}\tsong{n}\t1\n" for n in range(len(TOPICS)))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return folder


def test_a_selection_of_an_older_input_is_not_exported(tmp_path: Path) -> None:
    old, new = beir(tmp_path / "old"), beir(tmp_path / "new", mirrored=True)
    mined = hardneg.mine(str(old), run_dir=tmp_path / "run", **BM25)
    mined.select(name="kept", num_negatives=2)
    hardneg.mine(str(new), run_dir=tmp_path / "run", **BM25)
    kept = hardneg.open_run(tmp_path / "run", selection="kept")
    for ask in (
        lambda: kept.to("trec", tmp_path / "x.trec"),
        lambda: kept.negatives,
        lambda: kept.inspect("q0"),
    ):
        with pytest.raises(InputError, match="'kept' was made from other input .*hardneg select"):
            ask()
    assert kept.select(name="kept", num_negatives=2).negatives.num_rows == 16


def test_not_even_where_the_new_run_failed_after_reading(tmp_path: Path) -> None:
    old, new = beir(tmp_path / "old"), beir(tmp_path / "new", mirrored=True)
    mined = hardneg.mine(str(old), run_dir=tmp_path / "run", **BM25)
    with pytest.raises(hardneg.HardnegError):
        hardneg.mine(str(new), run_dir=tmp_path / "run", same_lang=True, **BM25)
    with pytest.raises(InputError, match="other input"):
        mined.to("flagembedding", tmp_path / "x.jsonl")


def test_decisions_are_not_shown_beside_other_candidates(tmp_path: Path) -> None:
    source = beir(tmp_path / "data")
    mined = hardneg.mine(str(source), run_dir=tmp_path / "run", depth=5, **BM25)
    hardneg.mine(
        str(source), run_dir=tmp_path / "run", name="other", retriever="two=bm25", relative_margin=None
    )
    assert mined.negatives.num_rows > 0
    with pytest.raises(InputError, match="other candidates"):
        mined.inspect("q0")


@pytest.mark.parametrize("name", ["corpus.parquet", "notes.txt"])
def test_a_folder_with_files_of_the_user_is_no_run_directory(tmp_path: Path, name: str) -> None:
    source, folder = beir(tmp_path / "data"), tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text("precious")
    with pytest.raises(InputError, match=f"not empty .it holds '{name}'.; choose another --run-dir"):
        hardneg.mine(str(source), run_dir=folder, **BM25)
    assert (folder / name).read_text() == "precious"
    with pytest.raises(InputError, match="choose another"):
        hardneg.mine(str(source), run_dir=source, **BM25)


def test_a_part_that_went_missing_is_searched_again(tmp_path: Path) -> None:
    source = beir(tmp_path / "data")
    mined = hardneg.mine(str(source), run_dir=tmp_path / "run", **BM25)
    before = mined.candidates
    (tmp_path / "run" / "candidates" / "part-00000.parquet").unlink()
    assert hardneg.mine(str(source), run_dir=tmp_path / "run", **BM25).candidates.equals(before)


class Letters:
    """A scorer: how many letters the two share."""

    name = "letters"

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": "letters"}

    def score(self, pairs: list[tuple[str, str]]) -> Float32:
        return np.array([len(set(query) & set(document)) for query, document in pairs], np.float32)


def test_a_scorer_that_comes_after_deepening(tmp_path: Path) -> None:
    source = beir(tmp_path / "data")
    deep = {"shortfall": "deepen", "num_negatives": 8}
    hardneg.mine(str(source), run_dir=tmp_path / "run", depth=2, **deep, **BM25)
    mined = hardneg.mine(
        str(source), run_dir=tmp_path / "run", depth=2, num_negatives=1, cross_encoder=Letters(), **BM25
    )
    assert "letters" in mined.candidates.column_names
    # A shallower selection shows its own candidates, each with its reason, not those found for the other.
    assert all(row["reason"] for row in mined.inspect("q0")["candidates"])


def test_vectors_that_changed_are_not_used_with_the_old_candidates(tmp_path: Path) -> None:
    source, folder = beir(tmp_path / "data"), tmp_path / "vectors"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for name, ids in (
        ("queries", [f"q{n}" for n in range(8)]),
        ("documents", [f"{kind}{n}" for n in range(8) for kind in ("song", "letter")]),
    ):
        np.save(folder / f"{name}.npy", draws.normal(size=(len(ids), 4)).astype(np.float32))
        (folder / f"{name}.ids.txt").write_text("\n".join(ids) + "\n")
    mined = hardneg.mine(
        str(source), run_dir=tmp_path / "run", retriever=f"vectors:{folder}", relative_margin=None
    )
    mined.select(name="before", sampler="diverse")
    np.save(folder / "documents.npy", np.load(folder / "documents.npy")[::-1])
    with pytest.raises(UsageError, match="changed since"):
        mined.select(name="after", sampler="diverse")
    with pytest.raises(UsageError, match="changed since"):
        mined.select(name="judged", near_duplicate=0.9)


def test_a_preview_says_what_it_cannot_show(tmp_path: Path) -> None:
    said: list[str] = []

    class Said(hardneg.progress.Silent):
        def say(self, line: str) -> None:
            said.append(line)

    mined = hardneg.mine(str(beir(tmp_path / "data")), run_dir=tmp_path / "run", depth=12, **BM25)
    rules = [row["rule"] for row in hardneg.open_run(tmp_path / "run", progress=Said()).preview()]
    assert "window 10:12, random" in rules
    assert "window 30:" not in rules and any("window 30:" in line for line in said)
    with pytest.raises(UsageError, match="beyond the run's depth of 12"):
        mined.preview(window="5:20")


def test_near_duplicates_off_leaves_the_list_of_queries_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("what of the river is told?\n")
    mined = hardneg.mine(
        str(beir(tmp_path / "data")), near_duplicate=0, exclude_queries=str(tmp_path / "list.txt"), **BM25
    )
    assert mined.summary["queries"]["dropped"] == 1


def test_a_query_goes_with_its_twin_on_the_list(tmp_path: Path) -> None:
    rows = [
        {"query_id": str(n), "query": text, "positive": f"an answer of the {n}th kind"}
        for n, text in enumerate(["What is told?", "what  is told?", "who told it"])
    ]
    (tmp_path / "list.txt").write_text("0\n")
    mined = hardneg.mine(rows, exclude_queries=str(tmp_path / "list.txt"), **BM25)
    assert [row["outcome"] == "dropped" for row in mined.outcomes.to_pylist()] == [True, True, False]


def test_a_limit_keeps_the_positives_of_twin_queries(tmp_path: Path) -> None:
    rows = [
        {"query_id": "1", "query": "What is told?", "positive": "this is told"},
        {"query_id": "2", "query": "what  is told?", "positive": "that is told"},
        {"query_id": "3", "query": "who told it", "positive": "he told it, this is what"},
    ]
    mined = hardneg.mine(hardneg.load(rows, limit_queries=1), **BM25)
    reasons = {(row["query_id"], row["reason"]) for row in mined.decisions.to_pylist()}
    assert {("1", "same_query_positive"), ("2", "same_query_positive")} <= reasons
    assert "3" not in {query for query, _ in reasons}


def test_settings_that_change_nothing_are_named(tmp_path: Path) -> None:
    said: list[str] = []

    class Said(hardneg.progress.Silent):
        def say(self, line: str) -> None:
            said.append(line)

    source = str(beir(tmp_path / "data"))
    given = {"model": "other/model", "cross_encoder_output": "probability"}
    hardneg.mine(source, run_dir=tmp_path / "run", progress=Said(), **given, **BM25)
    assert "--model is not used: no retriever is dense" in said
    assert "--cross-encoder-output is not used: there is no --cross-encoder" in said
    with pytest.raises(UsageError, match="bm25 takes no prompts"):
        hardneg.mine(source, prompt="bm25:query=x", **BM25)


@pytest.mark.parametrize(
    "wrong", [{"window": (5, 2)}, {"window": (-1, 5)}, {"min_score": 1.0, "max_score": 0.0}]
)
def test_rules_that_nothing_can_meet_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"window|min_score"):
        hardneg.mine([{"query": "a", "positive": "b"}], **BM25, **wrong)
