"""Further trainers' files, read as groups: known answers, what real files have otherwise, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg.config import TrainingFileOptions
from hardneg.errors import InputError, UsageError
from hardneg.read.training import ReadOptions, find_reader, recognised


def groups(path: Path, name: str) -> list[dict[str, Any]]:
    """What is not null of each group, but for the line."""
    tables = find_reader(name).groups(path, ReadOptions())
    rows = pa.concat_tables(tables).to_pylist()
    return [{key: value for key, value in row.items() if value is not None and key != "line"} for row in rows]


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def array(path: Path, *rows: dict[str, Any], indent: int | None = None) -> Path:
    path.write_text(json.dumps(rows, indent=indent), "utf-8")
    return path


# -- Tevatron ------------------------------------------------------------------------------------------

TEVATRON = {
    "query_id": 7,
    "query": "one",
    "positive_passages": [{"docid": "a", "title": "Title", "text": "body"}],
    "negative_passages": [{"docid": "b", "title": "", "text": "bad"}, {"docid": "c", "text": "worse"}],
}


def test_tevatron_joins_titles_and_remembers_them(tmp_path: Path) -> None:
    path = lines(tmp_path / "train.jsonl", TEVATRON)
    assert recognised(path) == "tevatron"
    assert groups(path, "tevatron") == [
        {
            "query_id": "7",
            "query": "one",
            "pos": ["Title body"],
            "pos_id": ["a"],
            "pos_title": ["Title"],
            "neg": ["bad", "worse"],
            "neg_id": ["b", "c"],
        }
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"negative_passages": ["text"]},
            "column 'negative_passages': must hold objects, not the text 'text'",
        ),
        ({"positive_passages": [{"docid": "a"}]}, "column 'positive_passages': must be text, not null"),
        ({"query": None}, "column 'query': must be text, not null"),
    ],
)
def test_what_no_passage_is_refused(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "train.jsonl", TEVATRON, {**TEVATRON, **change})
    with pytest.raises(InputError) as caught:
        groups(path, "tevatron")
    assert caught.value.line == 2
    assert reason in str(caught.value)


# -- DPR -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 4])
def test_dpr_reads_both_kinds_of_negatives(indent: int | None, tmp_path: Path) -> None:
    row = {
        "dataset": "nq",
        "question": "who?",
        "answers": ["me"],
        "positive_ctxs": [{"title": "T", "text": "yes", "score": 1000, "title_score": 1, "passage_id": "1"}],
        "negative_ctxs": [{"title": "", "text": "far", "score": 0.5, "psg_id": "2"}],
        "hard_negative_ctxs": [{"title": "H", "text": "near", "score": "21.5", "psg_id": "3"}],
    }
    path = array(tmp_path / "train.json", row, indent=indent)
    assert recognised(path) == "dpr"
    assert groups(path, "dpr") == [
        {
            "query": "who?",
            "pos": ["T yes"],
            "pos_id": ["1"],
            "pos_score": [1000.0],
            "pos_title": ["T"],
            "neg": ["H near", "far"],
            "neg_id": ["3", "2"],
            "neg_score": [21.5, 0.5],
            "neg_title": ["H", ""],
        }
    ]


# -- ms-swift ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "role"), [("ms-swift-embedding", "user"), ("ms-swift-reranker", "assistant")])
def test_ms_swift_reads_the_system_as_the_prompt(to: str, role: str, tmp_path: Path) -> None:
    path = lines(
        tmp_path / "train.jsonl",
        {
            "messages": [{"role": "system", "content": "Find"}, {"role": "user", "content": "one"}],
            "positive_messages": [[{"role": role, "content": "good"}]],
            "negative_messages": [[{"role": role, "content": "bad"}], [{"role": role, "content": "worse"}]],
        },
    )
    assert recognised(path) == to
    assert groups(path, to) == [{"query": "one", "prompt": "Find", "pos": ["good"], "neg": ["bad", "worse"]}]


def test_a_conversation_of_several_turns_is_no_text(tmp_path: Path) -> None:
    turn = {"role": "user", "content": "one"}
    path = lines(tmp_path / "train.jsonl", {"messages": [turn], "positive_messages": [[turn, turn]]})
    with pytest.raises(InputError, match="'positive_messages': has 2 messages where one text"):
        groups(path, "ms-swift-embedding")


# -- NeMo AutoModel ------------------------------------------------------------------------------------


def test_nemo_inline_takes_texts_and_objects(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "train.jsonl",
        {"query": "one", "pos_doc": "good", "neg_doc": ["bad", "worse"]},
        {
            "question_id": "q",
            "question": "two",
            "pos_doc": [{"id": "a", "text": "good", "score": 2}],
            "neg_doc": [{"id": "", "text": "bad"}],
        },
    )
    assert recognised(path) == "nemo-inline"
    assert groups(path, "nemo-inline") == [
        {"query": "one", "pos": ["good"], "neg": ["bad", "worse"]},
        {
            "query_id": "q",
            "query": "two",
            "pos": ["good"],
            "pos_id": ["a"],
            "pos_score": [2.0],
            "neg": ["bad"],
        },
    ]


# -- PyLate --------------------------------------------------------------------------------------------


def test_pylate_takes_columns_in_order(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "train.jsonl",
        {
            "query": "one",
            "positive": "good",
            "negative_1": "bad",
            "negative_2": "worse",
            "negative_1_id": "b",
        },
    )
    assert recognised(path) == "pylate-n-tuple"
    assert groups(path, "pylate-n-tuple") == [
        {"query": "one", "pos": ["good"], "neg": ["bad", "worse"], "neg_id": ["b", None]}
    ]


# -- RankLLM -------------------------------------------------------------------------------------------


def conversation(ranking: str, **beside: Any) -> dict[str, Any]:
    asked = (
        "I will provide you with 3 passages, each indicated by a alphabetical identifier []. Rank the "
        "passages based on their relevance to the search query: one.\n[A] bad\n[B] good\n[C] worse\n"
        "Search Query: one.\nRank the 3 passages above."
    )
    turns = [("system", "You are RankLLM"), ("human", asked), ("gpt", ranking)]
    return {**beside, "conversations": [{"from": who, "value": said} for who, said in turns]}


def test_rankllm_takes_the_first_of_the_ranking_for_the_positive(tmp_path: Path) -> None:
    path = array(tmp_path / "train.json", conversation("[B] > [A] > [C]"))
    assert recognised(path) == "rankllm"
    assert groups(path, "rankllm") == [{"query": "one", "pos": ["good"], "neg": ["bad", "worse"]}]


def test_rankllm_says_how_many_positives_there_are(tmp_path: Path) -> None:
    row = conversation("[B] > [C] > [A]", id="q", docids=["a", "b", "c"], scores=[1, 3, 2], positives=2)
    assert groups(array(tmp_path / "train.json", row), "rankllm") == [
        {
            "query_id": "q",
            "query": "one",
            "pos": ["good", "worse"],
            "pos_id": ["b", "c"],
            "pos_score": [3.0, 2.0],
            "neg": ["bad"],
            "neg_id": ["a"],
            "neg_score": [1.0],
        }
    ]


@pytest.mark.parametrize("ranking", ["[B] > [A]", "[B] > [A] > [A]", "[B] > [A] > [D]"])
def test_a_ranking_that_is_none_is_refused(ranking: str, tmp_path: Path) -> None:
    path = array(tmp_path / "train.json", conversation(ranking))
    with pytest.raises(InputError, match="must rank each of its passages once"):
        groups(path, "rankllm")


# -- folders -------------------------------------------------------------------------------------------


def table(path: Path, **columns: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def distillation(path: Path, **changes: Any) -> Path:
    row = {"query_id": [1], "document_ids": [["a", "b"]], "scores": [[2.0, 1.0]], **changes}
    table(path / "train.parquet", **row)
    table(path / "queries.parquet", query_id=[1], text=["one"])
    table(path / "documents.parquet", document_id=["a", "b"], text=["good", "bad"])
    return path


@pytest.mark.parametrize("changes", [{}, {"document_ids": ["['a', 'b']"], "scores": ["[2.0, 1.0]"]}])
def test_pylate_distillation_joins_its_tables(changes: dict[str, Any], tmp_path: Path) -> None:
    path = distillation(tmp_path / "kd", **changes)
    assert recognised(path) == "pylate-distillation"
    assert groups(path, "pylate-distillation") == [
        {
            "query_id": "1",
            "query": "one",
            "pos": ["good"],
            "pos_id": ["a"],
            "pos_score": [2.0],
            "neg": ["bad"],
            "neg_id": ["b"],
            "neg_score": [1.0],
        }
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"document_ids": [["a", "c"]]}, "id 'c': there is no text of this id in documents.parquet"),
        ({"query_id": [2]}, "id '2': there is no text of this id in queries.parquet"),
        ({"scores": [[2.0]]}, "has 1 scores for 2 documents"),
        ({"document_ids": [[]], "scores": [[]]}, "names no document"),
        ({"scores": ["2.0, ["]}, "must be a list"),
    ],
)
def test_what_does_not_join_is_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        groups(distillation(tmp_path / "kd", **changes), "pylate-distillation")
    assert reason in str(caught.value)
    assert caught.value.line == 1


def test_an_id_with_two_texts_is_refused_and_one_that_repeats_its_text_is_read(tmp_path: Path) -> None:
    """As in a corpus that is mined from."""
    path = distillation(tmp_path / "kd")
    table(path / "documents.parquet", document_id=["a", "b", "a"], text=["good", "bad", "other"])
    with pytest.raises(InputError, match=r"documents\.parquet, line 3, id 'a': this id stands there with an"):
        groups(path, "pylate-distillation")
    table(path / "documents.parquet", document_id=["a", "b", "a"], text=["good", "bad", "good"])
    (group,) = groups(path, "pylate-distillation")
    assert (group["pos"], group["neg"]) == (["good"], ["bad"])


def test_a_column_of_texts_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = distillation(tmp_path / "kd")
    table(path / "documents.parquet", docid=["a", "b"], text=["good", "bad"])
    with pytest.raises(InputError, match=r"documents\.parquet: there is no column 'document_id'; did you"):
        groups(path, "pylate-distillation")


def test_texts_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = distillation(tmp_path / "kd")
    (path / "documents.parquet").unlink()
    with pytest.raises(InputError, match=r"documents\.parquet"):
        groups(path, "pylate-distillation")


def test_gpl_joins_what_several_systems_found(tmp_path: Path) -> None:
    path = tmp_path / "gpl"
    path.mkdir()
    lines(path / "hard-negatives.jsonl", {"qid": 1, "pos": [2], "neg": {"bm25": [3, 4], "dense": [4, 5]}})
    lines(path / "corpus.jsonl", *({"_id": str(i), "title": "", "text": f"t{i}"} for i in range(2, 6)))
    lines(path / "qgen-queries.jsonl", {"_id": "1", "text": "one"})
    expected = [
        {
            "query_id": "1",
            "query": "one",
            "pos": ["t2"],
            "pos_id": ["2"],
            "neg": ["t3", "t4", "t5"],
            "neg_id": ["3", "4", "5"],
        }
    ]
    assert recognised(path) == "gpl"
    assert groups(path, "gpl") == expected
    alone = (path / "hard-negatives.jsonl").rename(tmp_path / "msmarco-hard-negatives.jsonl")
    with pytest.raises(UsageError, match="name the texts with --corpus and --queries"):
        groups(alone, "gpl")
    named = TrainingFileOptions(corpus=str(path / "corpus.jsonl"), queries=str(path / "qgen-queries.jsonl"))
    options = ReadOptions(file=named)
    assert [table["neg"].to_pylist() for table in find_reader("gpl").groups(alone, options)] == [
        [expected[0]["neg"]]
    ]


def test_arctic_takes_pairs_above_0_for_positives(tmp_path: Path) -> None:
    path = tmp_path / "arctic"
    table(path / "queries.parquet", QUERY_ID=[1, 2], QUERY_TEXT=["one", "two"])
    table(path / "documents.parquet", DOCUMENT_ID=[7, 8, 9], DOCUMENT_TEXT=["a", "b", "c"])
    table(
        path / "labels.parquet",
        QUERY_ID=[2, 2, 2, 1, 1],
        DOCUMENT_ID=[7, 8, 9, 9, 7],
        RELEVANCE=[-1, 1, -1, 2, 0],
    )
    assert recognised(path) == "arctic"
    assert groups(path, "arctic") == [
        {
            "query_id": "2",
            "query": "two",
            "pos": ["b"],
            "pos_id": ["8"],
            "neg": ["a", "c"],
            "neg_id": ["7", "9"],
        },
        {"query_id": "1", "query": "one", "pos": ["c"], "pos_id": ["9"], "neg": ["a"], "neg_id": ["7"]},
    ]


def test_nemo_reads_the_corpora_that_the_file_names(tmp_path: Path) -> None:
    for name, text in (("x", "good"), ("y", "other")):
        table(tmp_path / name / "part-0.parquet", id=["a"], text=[text])
        table(tmp_path / name / "part-1.parquet", id=["b"], text=["bad"])
        metadata = {"class": "TextQADataset", "corpus_id": f"corpus {name}"}
        (tmp_path / name / "merlin_metadata.json").write_text(json.dumps(metadata))
    row = {
        "question_id": "q",
        "question": "one",
        "corpus_id": "corpus x",
        "pos_doc": [{"id": "a"}],
        "neg_doc": ["b"],
    }
    whole = {"corpus": [{"path": "x"}, {"path": str(tmp_path / "y")}], "data": [row]}
    path = tmp_path / "my.json"
    path.write_text(json.dumps(whole, indent=2))
    assert recognised(path) == "nemo"
    assert groups(path, "nemo") == [
        {"query_id": "q", "query": "one", "pos": ["good"], "pos_id": ["a"], "neg": ["bad"], "neg_id": ["b"]}
    ]
    path.write_text(json.dumps({**whole, "data": [{**row, "corpus_id": "z"}]}))
    with pytest.raises(InputError, match="'z' is none of the corpora \\(corpus x, corpus y\\)"):
        groups(path, "nemo")


def test_rows_of_a_positive_each_are_one_group_again(tmp_path: Path) -> None:
    def row(query: str, positive: str, *negatives: str) -> dict[str, Any]:
        turns = {text: [{"role": "user", "content": text}] for text in (query, positive, *negatives)}
        return {
            "messages": turns[query],
            "positive_messages": [turns[positive]],
            "negative_messages": [turns[one] for one in negatives],
        }

    path = lines(
        tmp_path / "a.jsonl", row("q", "a", "x"), row("q", "b", "x"), row("q", "c", "y"), row("r", "d", "y")
    )
    assert groups(path, "ms-swift-embedding") == [
        {"query": "q", "pos": ["a", "b"], "neg": ["x"]},
        {"query": "q", "pos": ["c"], "neg": ["y"]},
        {"query": "r", "pos": ["d"], "neg": ["y"]},
    ]


def test_a_query_of_another_id_is_another_group(tmp_path: Path) -> None:
    row = {
        "query": "q",
        "positive": "a",
        "negative": "x",
        "query_id": "1",
        "positive_id": "a",
        "negative_id": "x",
    }
    path = lines(tmp_path / "a.jsonl", row, {**row, "query_id": "2", "positive": "b", "positive_id": "b"})
    assert [group["query_id"] for group in groups(path, "pylate-triplet")] == ["1", "2"]
