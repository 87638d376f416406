"""What rows of the trainers' files are read as: by hand, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hardneg.config import TrainingFileOptions
from hardneg.errors import InputError, UsageError
from hardneg.read.bad_rows import BadRows
from hardneg.read.training import ReadOptions, find_reader, recognised


def written(folder: Path, *rows: Any, name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in rows), "utf-8")
    return path


def read(path: Path, name: str, **file: Any) -> list[dict[str, Any]]:
    """The groups without what is null."""
    tables = find_reader(name).groups(path, ReadOptions(file=TrainingFileOptions(**file)))
    rows = pa.concat_tables(tables).to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def triplet(*texts: str, **more: Any) -> dict[str, Any]:
    return dict(zip(("anchor", "positive", "negative"), texts, strict=True)) | more


def test_triplets_of_one_query_and_positive_that_follow_each_other_are_one_group(tmp_path: Path) -> None:
    rows = [("q", "a", "x"), ("q", "a", "y"), ("q", "b", "x"), ("r", "a", "x"), ("q", "a", "z")]
    assert read(written(tmp_path, *(triplet(*row) for row in rows)), "st-triplet") == [
        {"query": "q", "pos": ["a"], "neg": ["x", "y"], "line": 1},
        {"query": "q", "pos": ["b"], "neg": ["x"], "line": 3},
        {"query": "r", "pos": ["a"], "neg": ["x"], "line": 4},
        {"query": "q", "pos": ["a"], "neg": ["z"], "line": 5},
    ]


def test_positives_with_the_same_negatives_are_one_group(tmp_path: Path) -> None:
    rows = [("q", "a", "x"), ("q", "a", "y"), ("q", "b", "x"), ("q", "b", "y")]
    assert read(written(tmp_path, *(triplet(*row) for row in rows)), "st-triplet") == [
        {"query": "q", "pos": ["a", "b"], "neg": ["x", "y"], "line": 1}
    ]
    scored = [triplet("q", "a", "x", scores=[0.5, 0.25]), triplet("q", "b", "x", scores=[0.75, 0.125])]
    assert [row["pos"] for row in read(written(tmp_path, *scored), "st-triplet")] == [["a"], ["b"]]


def test_columns_of_text_go_by_their_order_whatever_they_are_called(tmp_path: Path) -> None:
    path = written(tmp_path, {"x": "q", "label": None, "y": "a", "z": "n"})
    assert read(path, "st-triplet") == [{"query": "q", "pos": ["a"], "neg": ["n"], "line": 1}]
    with pytest.raises(InputError, match="'x', 'label', 'y', 'z'"):
        recognised(path)


def test_a_fourth_column_of_text_is_no_triplet(tmp_path: Path) -> None:
    path = written(tmp_path, triplet("q", "a", "x", id="1"))
    with pytest.raises(InputError, match=r"line 1: three columns of text are expected.*'id'"):
        read(path, "st-triplet")


def test_a_margin_is_no_list_of_scores(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"column 'score': must be a list: the score of the positive, then"):
        read(written(tmp_path, triplet("q", "a", "x", score=0.5)), "st-triplet")


def test_misaligned_scores_stay_for_the_checks(tmp_path: Path) -> None:
    rows = [triplet("q", "a", "x", scores=[0.5, 0.25, 0.125]), triplet("q", "a", "y", scores=[0.5, 0.25])]
    found = read(written(tmp_path, *rows), "st-triplet")
    assert [(row["neg"], row["neg_score"]) for row in found] == [(["x"], [0.25, 0.125]), (["y"], [0.25])]


def pair(query: str, document: str, label: float) -> dict[str, Any]:
    return {"query": query, "document": document, "label": label}


def test_pairs_of_one_query_are_a_group_until_a_positive_follows_a_negative(tmp_path: Path) -> None:
    rows = [pair("q", "a", 1), pair("q", "b", 1.0), pair("q", "x", 0), pair("q", "c", 1), pair("q", "y", 0)]
    assert read(written(tmp_path, *rows), "st-labeled-pair") == [
        {"query": "q", "pos": ["a", "b"], "neg": ["x"], "line": 1},
        {"query": "q", "pos": ["c"], "neg": ["y"], "line": 4},
    ]


def test_pairs_that_begin_with_a_negative_are_one_group_a_query(tmp_path: Path) -> None:
    rows = [pair("q", "x", 0), pair("q", "a", 1), pair("q", "y", -1), pair("q", "b", 1), pair("r", "c", 1)]
    assert read(written(tmp_path, *rows), "st-labeled-pair") == [
        {"query": "q", "pos": ["a", "b"], "neg": ["x", "y"], "neg_label": [None, -1.0], "line": 1},
        {"query": "r", "pos": ["c"], "neg": [], "line": 5},
    ]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("label", "the label 0.75 is neither 0 nor 1"),
        ("score", "scores, which do not say what is a positive"),
    ],
)
def test_numbers_that_do_not_say_what_is_a_positive_need_a_threshold(
    column: str, said: str, tmp_path: Path
) -> None:
    rows = [{"query": "q", "document": doc, column: by} for doc, by in (("a", 0.75), ("x", 0.5))]
    path = written(tmp_path, *rows)
    with pytest.raises(InputError, match=f"{said}.*--min-relevance"):
        read(path, "st-labeled-pair")
    (group,) = read(path, "st-labeled-pair", min_relevance=0.75)
    assert (group["pos"], group["neg"], group[f"pos_{column}"], group[f"neg_{column}"]) == (
        ["a"], ["x"], [0.75], [0.5],
    )  # fmt: skip


def test_a_list_with_labels_for_other_documents_cannot_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, {"query": "q", "documents": ["a", "b"], "labels": [1]})
    with pytest.raises(InputError, match="column 'labels': holds 1 values for 2 texts"):
        read(path, "st-labeled-list")


def test_marks_of_a_csv_are_taken_off_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "anchor,positive,negative\n", "\"'=q\",\"''=a\",'x\n", name="train.csv")
    options = ReadOptions()
    (table,) = find_reader("st-triplet").groups(path, options)
    assert [table[name].to_pylist()[0] for name in ("query", "pos", "neg")] == ["=q", ["'=a"], ["'x"]]
    assert sum(options.noted.values()) == 2


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, str]:
    docs = [{"_id": f"d{i}", "title": "T" * (i == 1), "text": f"text {i}"} for i in range(1, 5)]
    queries = [{"_id": "q1", "text": "one"}, {"_id": "q2", "text": "two"}]
    return {
        "corpus": str(written(tmp_path, *docs, name="corpus.jsonl")),
        "queries": str(written(tmp_path, *queries, name="queries.jsonl")),
    }


QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td3\t2\nq2\td4\t-1\n"


def test_judgments_are_groups_with_the_texts_of_corpus_and_queries(
    tmp_path: Path, texts: dict[str, str]
) -> None:
    path = written(tmp_path, QRELS, name="qrels.tsv")
    assert recognised(path) == "beir"
    assert read(path, "beir", **texts) == [
        {
            "query_id": "q1", "query": "one", "line": 2,
            "pos": ["T text 1"], "pos_id": ["d1"], "pos_title": ["T"], "neg": ["text 2"], "neg_id": ["d2"],
        },
        {
            "query_id": "q2", "query": "two", "line": 4,
            "pos": ["text 3"], "pos_id": ["d3"], "pos_label": [2.0],
            "neg": ["text 4"], "neg_id": ["d4"], "neg_label": [-1.0],
        },
    ]  # fmt: skip
    assert [row["pos_id"] for row in read(path, "beir", min_relevance=2, **texts)] == [[], ["d3"]]


def test_a_run_gets_its_positives_from_judgments(tmp_path: Path, texts: dict[str, str]) -> None:
    path = written(tmp_path, "q1 Q0 d2 1 0.5 tag\nq1 Q0 d4 2 0.25 tag\n", name="x.run")
    assert recognised(path) == "trec"
    (bare,) = read(path, "trec", **texts)
    assert (bare["pos"], bare["neg"], bare["neg_score"]) == ([], ["text 2", "text 4"], [0.5, 0.25])
    qrels = str(written(tmp_path, QRELS, name="qrels.tsv"))
    (group,) = read(path, "trec", qrels=qrels, **texts)
    assert (group["pos"], group["pos_id"]) == (["T text 1"], ["d1"])


def test_ids_without_texts_are_refused(tmp_path: Path, texts: dict[str, str]) -> None:
    path = written(tmp_path, QRELS.replace("d4", "d9"), name="qrels.tsv")
    with pytest.raises(UsageError, match="holds ids alone; name the texts with --corpus and --queries"):
        read(path, "beir", corpus=texts["corpus"])
    with pytest.raises(InputError, match="line 5, id 'd9': there is no text of this id in .*corpus.jsonl"):
        read(path, "beir", **texts)
    bad = BadRows("skip")
    options = ReadOptions(bad, TrainingFileOptions(**texts))
    assert sum(map(len, find_reader("beir").groups(path, options))) == 2
    assert [row["line"] for row in bad.refused] == [5]


def test_a_line_that_is_no_run_is_refused(tmp_path: Path, texts: dict[str, str]) -> None:
    path = written(tmp_path, "q1 Q0 d2 1 0.5\n", name="x.run")
    with pytest.raises(InputError, match="line 1: 5 columns where a run has 6"):
        read(path, "trec", **texts)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"_id": "q1", "text": 5}, "line 1, column 'text': the query must be text, not the number 5"),
        ({"_id": ["q1"], "text": "one"}, "line 1, column '_id': the id must be text"),
        ("\n", "holds no row"),
    ],
)
def test_texts_that_cannot_be_used_are_told_with_their_place(
    texts: dict[str, str], tmp_path: Path, row: Any, message: str
) -> None:
    written(tmp_path, row, name="queries.jsonl")
    path = written(tmp_path, "q1 Q0 d1 1 0.5 x\n", name="run.trec")
    with pytest.raises(InputError, match=re.escape(message)):
        read(path, "trec", **texts)
