"""What each further trainer's file holds, from one small selection whose rows can be written down by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg.errors import InputError, UsageError
from hardneg.export import ExportOptions, SelectedTables, export, to_dataset
from hardneg.records import CORPUS, NEGATIVES, QUERIES, SELECTED_POSITIVES

TITLES = {"d1": "Title"}


def table(rows: list[tuple[str, str, float | None]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{"query_id": q, "doc_id": d, "score": s} for q, d, s in rows], schema)


@pytest.fixture
def selection() -> SelectedTables:
    """q1: positives d2 and d1 (which has a title), negatives d3, d5. q2: positive d2, negative d1."""
    ids = [f"d{i}" for i in range(1, 6)]
    return SelectedTables(
        pa.table(
            {"doc_id": ids, "title": [TITLES.get(i) for i in ids], "text": [f"text {i}" for i in ids]}, CORPUS
        ),
        pa.table({"query_id": ["q1", "q2"], "text": ["one", "two"]}, QUERIES),
        table([("q1", "d2", 0.9), ("q1", "d1", 0.95), ("q2", "d2", 0.7)], SELECTED_POSITIVES),
        table([("q1", "d3", 0.25), ("q1", "d5", 0.5), ("q2", "d1", 0.125)], NEGATIVES),
    )


@pytest.fixture
def even(selection: SelectedTables) -> SelectedTables:
    """With one negative a query."""
    return replace(selection, negatives=selection.negatives.take([0, 2]))


def written(selection: SelectedTables, to: str, path: Path, **options: Any) -> list[Any]:
    export(selection, to, path, options=ExportOptions(**options))
    text = path.read_text("utf-8")
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.split("\n")[:-1]]


# -- Tevatron ------------------------------------------------------------------------------------------


def test_tevatron_keeps_titles_apart(selection: SelectedTables, tmp_path: Path) -> None:
    assert written(selection, "tevatron", tmp_path / "train.jsonl", scores=True) == [
        {
            "query_id": "q1",
            "query": "one",
            "positive_passages": [
                {"docid": "d2", "title": "", "text": "text d2", "score": 0.9},
                {"docid": "d1", "title": "Title", "text": "text d1", "score": 0.95},
            ],
            "negative_passages": [
                {"docid": "d3", "title": "", "text": "text d3", "score": 0.25},
                {"docid": "d5", "title": "", "text": "text d5", "score": 0.5},
            ],
        },
        {
            "query_id": "q2",
            "query": "two",
            "positive_passages": [{"docid": "d2", "title": "", "text": "text d2", "score": 0.7}],
            "negative_passages": [{"docid": "d1", "title": "Title", "text": "text d1", "score": 0.125}],
        },
    ]


def test_tevatron_has_no_score_unless_asked(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "tevatron", tmp_path / "train.jsonl")
    assert list(rows[0]["positive_passages"][0]) == ["docid", "title", "text"]


@pytest.mark.parametrize("options", [{"text": "body"}, {"join_title": False}])
def test_titles_that_were_not_encoded_or_not_wanted_are_empty(
    options: dict[str, Any], selection: SelectedTables, tmp_path: Path
) -> None:
    rows = written(selection, "tevatron", tmp_path / "train.jsonl", **options)
    assert rows[1]["negative_passages"] == [{"docid": "d1", "title": "", "text": "text d1"}]


def test_objects_in_lists_are_the_same_in_parquet_and_in_a_dataset(
    selection: SelectedTables, tmp_path: Path
) -> None:
    rows = written(selection, "tevatron", tmp_path / "train.jsonl")
    export(selection, "tevatron", tmp_path / "train.parquet")
    assert pq.read_table(tmp_path / "train.parquet").to_pylist() == rows
    assert to_dataset(selection, "tevatron").to_list() == rows


# -- DPR -----------------------------------------------------------------------------------------------


def test_dpr_is_one_array_of_questions(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "dpr", tmp_path / "train.json")
    assert rows == [
        {
            "question": "one",
            "answers": [],
            "positive_ctxs": [{"title": "", "text": "text d2"}, {"title": "Title", "text": "text d1"}],
            "negative_ctxs": [],
            "hard_negative_ctxs": [{"title": "", "text": "text d3"}, {"title": "", "text": "text d5"}],
        },
        {
            "question": "two",
            "answers": [],
            "positive_ctxs": [{"title": "", "text": "text d2"}],
            "negative_ctxs": [],
            "hard_negative_ctxs": [{"title": "Title", "text": "text d1"}],
        },
    ]
    assert len((tmp_path / "train.json").read_text().splitlines()) == 2 + len(rows)  # an object a line


def test_dpr_with_ids_and_scores(selection: SelectedTables, tmp_path: Path) -> None:
    row = written(selection, "dpr", tmp_path / "train.json", ids=True, scores=True)[1]
    assert row["query_id"] == "q2"
    assert row["positive_ctxs"] == [{"title": "", "text": "text d2", "score": 0.7, "passage_id": "d2"}]


def test_dpr_is_not_written_to_lines(selection: SelectedTables, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ending in \.json"):
        export(selection, "dpr", tmp_path / "train.jsonl")


# -- ms-swift ------------------------------------------------------------------------------------------


def said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def test_ms_swift_embedding_has_a_row_a_positive(selection: SelectedTables, tmp_path: Path) -> None:
    negatives = [said("user", "text d3"), said("user", "text d5")]
    assert written(selection, "ms-swift-embedding", tmp_path / "train.jsonl") == [
        {
            "messages": said("user", query),
            "positive_messages": [said("user", positive)],
            "negative_messages": against,
        }
        for query, positive, against in (
            ("one", "text d2", negatives),
            ("one", "Title text d1", negatives),
            ("two", "text d2", [said("user", "Title text d1")]),
        )
    ]


def test_ms_swift_reranker_has_a_row_a_query(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "ms-swift-reranker", tmp_path / "train.jsonl")
    assert rows[0] == {
        "messages": said("user", "one"),
        "positive_messages": [said("assistant", "text d2"), said("assistant", "Title text d1")],
        "negative_messages": [said("assistant", "text d3"), said("assistant", "text d5")],
    }
    assert len(rows) == 2


@pytest.mark.parametrize("to", ["ms-swift-embedding", "ms-swift-reranker"])
def test_ms_swift_says_a_prompt_as_the_system(to: str, selection: SelectedTables, tmp_path: Path) -> None:
    prompted = replace(selection, queries=selection.queries.append_column("prompt", pa.array([None, "Find"])))
    rows = written(prompted, to, tmp_path / "train.jsonl", prompts=True)
    assert rows[0]["messages"] == said("user", "one")
    assert rows[-1]["messages"] == said("system", "Find") + said("user", "two")


def test_ms_swift_has_no_place_for_ids_and_scores(selection: SelectedTables, tmp_path: Path) -> None:
    for part in ("ids", "scores"):
        with pytest.raises(UsageError, match=f"no place for {part}"):
            written(selection, "ms-swift-reranker", tmp_path / "train.jsonl", **{part: True})


# -- NeMo AutoModel ------------------------------------------------------------------------------------


def test_nemo_inline(selection: SelectedTables, tmp_path: Path) -> None:
    assert written(selection, "nemo-inline", tmp_path / "a.jsonl")[1] == {
        "question": "two",
        "pos_doc": [{"text": "text d2"}],
        "neg_doc": [{"text": "Title text d1"}],
    }
    assert written(selection, "nemo-inline", tmp_path / "b.jsonl", ids=True, scores=True)[1] == {
        "question_id": "q2",
        "question": "two",
        "pos_doc": [{"id": "d2", "text": "text d2", "score": 0.7}],
        "neg_doc": [{"id": "d1", "text": "Title text d1", "score": 0.125}],
    }


# -- PyLate --------------------------------------------------------------------------------------------


def test_pylate_triplets(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "pylate-triplet", tmp_path / "train.jsonl")
    assert list(rows[0]) == ["query", "positive", "negative"]
    assert len(rows) == 2 * 2 + 1
    with_ids = written(selection, "pylate-triplet", tmp_path / "train.jsonl", ids=True)
    assert with_ids[-1] == {
        "query": "two",
        "positive": "text d2",
        "negative": "Title text d1",
        "query_id": "q2",
        "positive_id": "d2",
        "negative_id": "d1",
    }


def test_pylate_n_tuples(even: SelectedTables, tmp_path: Path) -> None:
    rows = written(even, "pylate-n-tuple", tmp_path / "train.jsonl", ids=True)
    assert list(rows[0]) == ["query", "positive", "negative_1", "query_id", "positive_id", "negative_1_id"]
    assert [(row["positive_id"], row["negative_1"]) for row in rows] == [
        ("d2", "text d3"),
        ("d1", "text d3"),
        ("d2", "Title text d1"),
    ]


def test_pylate_n_tuples_refuse_ragged_rows(selection: SelectedTables, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs 2 negatives in every row.*'q2' has 1"):
        written(selection, "pylate-n-tuple", tmp_path / "train.jsonl")
    assert not list(tmp_path.iterdir())


# -- RankLLM -------------------------------------------------------------------------------------------


def ranked(row: dict[str, Any]) -> list[str]:
    """The ids in the order of the ranking."""
    letters = row["conversations"][2]["value"].replace("[", "").replace("]", "").split(" > ")
    return [row["docids"]["ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(letter)] for letter in letters]


def test_rankllm_ranks_positives_first(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "rankllm", tmp_path / "train.json", ids=True)
    assert [(row["id"], ranked(row), row["positives"]) for row in rows] == [
        ("q1", ["d2", "d1", "d3", "d5"], 2),
        ("q2", ["d2", "d1"], 1),
    ]


def test_rankllm_with_scores_ranks_each_side_by_them(selection: SelectedTables, tmp_path: Path) -> None:
    row = written(selection, "rankllm", tmp_path / "train.json", ids=True, scores=True)[0]
    assert ranked(row) == ["d1", "d2", "d5", "d3"]
    assert dict(zip(row["docids"], row["scores"], strict=True)) == {
        "d1": 0.95,
        "d2": 0.9,
        "d5": 0.5,
        "d3": 0.25,
    }


def test_rankllm_asks_as_its_rerankers_do(selection: SelectedTables, tmp_path: Path) -> None:
    row = written(selection, "rankllm", tmp_path / "train.json", ids=True)[1]
    turns = row["conversations"]
    assert [turn["from"] for turn in turns] == ["system", "human", "gpt"]
    texts = {"d1": "Title text d1", "d2": "text d2"}
    assert turns[1]["value"].split("\n")[:4] == [
        "I will provide you with 2 passages, each indicated by an alphabetical identifier []. Rank the "
        "passages based on their relevance to the search query: two.",
        f"[A] {texts[row['docids'][0]]}",
        f"[B] {texts[row['docids'][1]]}",
        "Search Query: two.",
    ]


def test_rankllm_does_not_show_positives_first(tmp_path: Path) -> None:
    """40 queries with one positive among eight passages: it is first in some prompts, not in most."""
    queries = [f"q{i:02}" for i in range(40)]
    docs = [f"d{i}" for i in range(8)]
    selection = SelectedTables(
        pa.table({"doc_id": docs, "title": pa.nulls(8), "text": docs}, CORPUS),
        pa.table({"query_id": queries, "text": queries}, QUERIES),
        table([(q, "d0", 1.0) for q in queries], SELECTED_POSITIVES),
        table([(q, d, 0.5) for q in queries for d in docs[1:]], NEGATIVES),
    )
    rows = written(selection, "rankllm", tmp_path / "train.json", ids=True)
    places = [row["docids"].index("d0") for row in rows]
    assert 0 < places.count(0) < 15 and len(set(places)) > 4


def test_rankllm_says_how_many_texts_lose_their_white_space(tmp_path: Path) -> None:
    texts = ["a\nline", "two  spaces", "plain text"]
    selection = SelectedTables(
        pa.table({"doc_id": ["d1", "d2", "d3"], "title": pa.nulls(3), "text": texts}, CORPUS),
        pa.table({"query_id": ["q", "r"], "text": ["one query", "a\ttab"]}, QUERIES),
        table([("q", "d1", 1.0), ("r", "d1", 1.0)], SELECTED_POSITIVES),
        table([("q", "d2", 0.5), ("r", "d3", 0.5)], NEGATIVES),
    )
    report = export(selection, "rankllm", tmp_path / "train.json")
    assert report.respaced == 1 + 3  # the query of r; d1 twice, d2
    assert "\n  4 texts had line ends, tabs or further spaces, which are single spaces in it" in str(report)
    assert export(selection, "st-triplet", tmp_path / "out.jsonl").respaced == 0


def test_rankllm_refuses_more_passages_than_letters(tmp_path: Path) -> None:
    docs = [f"d{i:02}" for i in range(27)]
    selection = SelectedTables(
        pa.table({"doc_id": docs, "title": pa.nulls(27), "text": docs}, CORPUS),
        pa.table({"query_id": ["q"], "text": ["q"]}, QUERIES),
        table([("q", "d00", 1.0)], SELECTED_POSITIVES),
        table([("q", d, 0.5) for d in docs[1:]], NEGATIVES),
    )
    with pytest.raises(InputError, match="27 passages, and RankLLM has 26 letters") as caught:
        written(selection, "rankllm", tmp_path / "train.json")
    assert caught.value.row_id == "q"
    assert len(written(selection, "rankllm", tmp_path / "train.json", num_negatives=25)) == 1


# -- folders -------------------------------------------------------------------------------------------

TEXTS = {"d1": "Title text d1", **{f"d{i}": f"text d{i}" for i in (2, 3, 5)}}


def folder(selection: SelectedTables, to: str, path: Path, **options: Any) -> dict[str, Any]:
    """The files by their names: rows of tables and lines, the value of JSON, else the text."""
    export(selection, to, path, options=ExportOptions(**options))
    files = sorted(one for one in path.rglob("*") if one.is_file())
    return {one.relative_to(path).as_posix(): content(one) for one in files}


def content(path: Path) -> Any:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = path.read_text("utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    return json.loads(text) if path.suffix == ".json" else text


def by_id(rows: list[dict[str, Any]], key: str, *values: str) -> dict[Any, Any]:
    """Every id once."""
    found = {row[key]: row[values[0]] if len(values) == 1 else tuple(row[v] for v in values) for row in rows}
    assert len(found) == len(rows)
    return found


def test_tevatron_ids_has_the_whole_text_in_its_corpus(selection: SelectedTables, tmp_path: Path) -> None:
    files = folder(selection, "tevatron-ids", tmp_path / "out")
    assert files.keys() == {"train.jsonl", "corpus.jsonl"}
    assert files["train.jsonl"] == [
        {
            "query_id": "q1",
            "query_text": "one",
            "positive_document_ids": ["d2", "d1"],
            "negative_document_ids": ["d3", "d5"],
        },
        {
            "query_id": "q2",
            "query_text": "two",
            "positive_document_ids": ["d2"],
            "negative_document_ids": ["d1"],
        },
    ]
    assert all(row.keys() == {"docid", "text"} for row in files["corpus.jsonl"])
    assert by_id(files["corpus.jsonl"], "docid", "text") == TEXTS


def test_nemo_names_its_corpus(selection: SelectedTables, tmp_path: Path) -> None:
    files = folder(selection, "nemo", tmp_path / "out", scores=True)
    assert files["corpus/merlin_metadata.json"] == {"class": "TextQADataset", "corpus_id": "corpus"}
    assert by_id(files["corpus/train.parquet"], "id", "text") == TEXTS
    assert files["train.json"]["corpus"] == [{"path": "corpus"}]
    assert files["train.json"]["data"][1] == {
        "question_id": "q2",
        "question": "two",
        "corpus_id": "corpus",
        "pos_doc": [{"id": "d2", "score": 0.7}],
        "neg_doc": [{"id": "d1", "score": 0.125}],
    }


def test_gpl_finds_nothing_left_to_generate_or_mine(selection: SelectedTables, tmp_path: Path) -> None:
    assert folder(selection, "gpl", tmp_path / "out") == {
        "hard-negatives.jsonl": [
            {"qid": "q1", "pos": ["d2", "d1"], "neg": {"hardneg": ["d3", "d5"]}},
            {"qid": "q2", "pos": ["d2"], "neg": {"hardneg": ["d1"]}},
        ],
        "qgen-queries.jsonl": [{"_id": "q1", "text": "one"}, {"_id": "q2", "text": "two"}],
        "corpus.jsonl": [
            {"_id": i, "title": TITLES.get(i, ""), "text": f"text {i}"} for i in ("d2", "d1", "d3", "d5")
        ],
        "qgen-qrels/train.tsv": "query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td1\t1\nq2\td2\t1\n",
    }


def test_arctic_has_pairs_of_numbers(selection: SelectedTables, tmp_path: Path) -> None:
    files = folder(selection, "arctic", tmp_path / "out", ids=True)
    queries = by_id(files["queries.parquet"], "query_id", "QUERY_ID", "QUERY_TEXT")
    documents = by_id(files["documents.parquet"], "document_id", "DOCUMENT_ID", "DOCUMENT_TEXT")
    assert {i: text for i, (_, text) in queries.items()} == {"q1": "one", "q2": "two"}
    assert {i: text for i, (_, text) in documents.items()} == TEXTS
    pairs = [(row["QUERY_ID"], row["DOCUMENT_ID"], row["RELEVANCE"]) for row in files["labels.parquet"]]
    assert pairs == [
        (queries[q][0], documents[d][0], relevance)
        for q, d, relevance in (
            ("q1", "d2", 1),
            ("q1", "d1", 1),
            ("q1", "d3", -1),
            ("q1", "d5", -1),
            ("q2", "d2", 1),
            ("q2", "d1", -1),
        )
    ]
    types = pq.read_schema(tmp_path / "out" / "labels.parquet").types
    assert types == [pa.uint64(), pa.uint64(), pa.int8()]


def test_arctic_keeps_numbers_as_they_are(tmp_path: Path) -> None:
    """18446744073709551616 is one more than uint64 holds, 007 is not how 7 is written."""
    docs = ["0", "007", "18446744073709551615", "18446744073709551616", "7"]
    selection = SelectedTables(
        pa.table({"doc_id": docs, "title": pa.nulls(5), "text": docs}, CORPUS),
        pa.table({"query_id": ["3"], "text": ["q"]}, QUERIES),
        table([("3", "7", 1.0)], SELECTED_POSITIVES),
        table([("3", d, 0.5) for d in docs[:4]], NEGATIVES),
    )
    files = folder(selection, "arctic", tmp_path / "out")
    numbers = by_id(files["documents.parquet"], "DOCUMENT_TEXT", "DOCUMENT_ID")
    assert (numbers["7"], numbers["0"], numbers["18446744073709551615"]) == (7, 0, 2**64 - 1)
    assert len(set(numbers.values())) == 5
    assert files["queries.parquet"] == [{"QUERY_ID": 3, "QUERY_TEXT": "q"}]


def test_pylate_distillation_is_three_tables(even: SelectedTables, tmp_path: Path) -> None:
    files = folder(even, "pylate-distillation", tmp_path / "out")
    assert by_id(files["queries.parquet"], "query_id", "text") == {"q1": "one", "q2": "two"}
    assert by_id(files["documents.parquet"], "document_id", "text") == {
        i: TEXTS[i] for i in ("d1", "d2", "d3")
    }
    assert [(row["query_id"], row["document_ids"]) for row in files["train.parquet"]] == [
        ("q1", ["d2", "d3"]),
        ("q1", ["d1", "d3"]),
        ("q2", ["d2", "d1"]),
    ]
    assert files["train.parquet"][2]["scores"] == pytest.approx([0.7, 0.125])


def test_pylate_distillation_needs_every_score(even: SelectedTables, tmp_path: Path) -> None:
    unscored = replace(even, positives=table([("q1", "d2", 0.9), ("q2", "d2", None)], SELECTED_POSITIVES))
    with pytest.raises(InputError, match="needs a score for each document, 1 have none") as caught:
        folder(unscored, "pylate-distillation", tmp_path / "out")
    assert caught.value.row_id == "q2"
    assert not list(tmp_path.iterdir())


def test_pylate_distillation_refuses_ragged_rows(selection: SelectedTables, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs 2 negatives in every row.*'q2' has 1"):
        folder(selection, "pylate-distillation", tmp_path / "out")


@pytest.mark.parametrize("to", ["tevatron-ids", "nemo", "gpl", "arctic"])
def test_texts_stand_once_however_many_blocks_there_are(
    to: str, selection: SelectedTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = folder(selection, to, tmp_path / "one")
    monkeypatch.setattr("hardneg.export.examples.DOCUMENTS_A_BLOCK", 1)
    assert folder(selection, to, tmp_path / "many") == one


def test_a_folder_in_memory_is_a_data_set_a_table(selection: SelectedTables) -> None:
    sets = to_dataset(selection, "nemo")
    assert sets["train"].num_rows == 2
    assert sets["corpus/train"].column_names == ["id", "text"]


def test_the_corpus_for_nemo_is_what_datasets_loads_from_its_folder(
    selection: SelectedTables, tmp_path: Path
) -> None:
    """As AutoModel's `TextQADataset` does: the metadata beside the table is no row of it."""
    import datasets

    export(selection, "nemo", tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out" / "corpus"), cache_dir=str(tmp_path / "cache"))
    assert by_id(loaded["train"].to_list(), "id", "text") == TEXTS
