"""What stands in each format's file, from one small selection whose rows can be written down by hand."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from hardneg.errors import HardnegError, InputError, StorageError, UsageError
from hardneg.export import ExportOptions, SelectedTables, export, to_dataset
from hardneg.records import CORPUS, NEGATIVES, QUERIES, SELECTED_POSITIVES


def corpus(rows: dict[str, tuple[str | None, str]]) -> pa.Table:
    ids = sorted(rows, key=str.encode)
    return pa.table(
        {"doc_id": ids, "title": [rows[i][0] for i in ids], "text": [rows[i][1] for i in ids]}, CORPUS
    )


def queries(rows: dict[str, str]) -> pa.Table:
    ids = sorted(rows, key=str.encode)
    return pa.table({"query_id": ids, "text": [rows[i] for i in ids]}, QUERIES)


def positives(*rows: tuple[Any, ...]) -> pa.Table:
    """(query, document, score[, source])"""
    full = [(q, d, rest[1] if len(rest) > 1 else "labelled", rest[0]) for q, d, *rest in rows]
    names = SELECTED_POSITIVES.names[:4]
    rows = [{**dict(zip(names, row, strict=True)), "p_false_negative": None} for row in full]
    return pa.Table.from_pylist(rows, SELECTED_POSITIVES)


def negatives(*rows: tuple[Any, ...]) -> pa.Table:
    """(query, document, score[, positive_id])"""
    full = [
        {"query_id": q, "doc_id": d, "score": s, "positive_id": rest[0] if rest else None, "source": "mined"}
        for q, d, s, *rest in rows
    ]
    return pa.Table.from_pylist(full, NEGATIVES)


DOCS = {f"d{i}": (None, f"text {i}") for i in range(1, 8)} | {"d1": ("Title", "text 1")}


@pytest.fixture
def selection() -> SelectedTables:
    """q1: positives d1, d2, negatives d3, d4, d5. q2: positive d2, negatives d6, d7. q3: only positive d1."""
    return SelectedTables(
        corpus(DOCS),
        queries({"q1": "one", "q2": "two", "q3": "three"}),
        positives(("q2", "d2", 0.7), ("q1", "d2", 0.9), ("q1", "d1", 0.85), ("q3", "d1", 0.5)),
        negatives(
            ("q2", "d7", 0.1), ("q1", "d3", 0.6), ("q1", "d5", 0.5), ("q2", "d6", 0.05), ("q1", "d4", 0.25)
        ),
    )


@pytest.fixture
def each() -> SelectedTables:
    """q1: d1 against d3, d4; d2 against d3; d5 is given, for both. q2: d1 against d6, d2 against none."""
    return SelectedTables(
        corpus(DOCS),
        queries({"q1": "one", "q2": "two"}),
        positives(("q1", "d1", 0.9), ("q1", "d2", 0.8), ("q2", "d1", 0.7), ("q2", "d2", 0.6)),
        negatives(
            ("q1", "d3", 0.5, "d1"),
            ("q1", "d3", 0.5, "d2"),
            ("q1", "d4", 0.4, "d1"),
            ("q1", "d5", None, None),
            ("q2", "d6", 0.3, "d1"),
        ),
    )


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def written(selection: SelectedTables, to: str, folder: Path, **options: Any) -> list[Any]:
    path = folder / "out.jsonl"
    export(selection, to, path, options=ExportOptions(**options))
    return lines(path)


def test_flagembedding_has_a_line_a_query_with_all_it_was_asked_for(
    selection: SelectedTables, tmp_path: Path
) -> None:
    assert written(selection, "flagembedding", tmp_path, scores=True, ids=True) == [
        {
            "query": "one",
            "pos": ["text 2", "Title text 1"],
            "neg": ["text 3", "text 5", "text 4"],
            "pos_scores": [0.9, 0.85],
            "neg_scores": [0.6, 0.5, 0.25],
            "id": "q1",
            "pos_id": ["d2", "d1"],
            "neg_id": ["d3", "d5", "d4"],
        },
        {
            "query": "two",
            "pos": ["text 2"],
            "neg": ["text 7", "text 6"],
            "pos_scores": [0.7],
            "neg_scores": [0.1, 0.05],
            "id": "q2",
            "pos_id": ["d2"],
            "neg_id": ["d7", "d6"],
        },
    ]


def test_flagembedding_without_options_has_the_three_keys_alone(
    selection: SelectedTables, tmp_path: Path
) -> None:
    assert [list(row) for row in written(selection, "flagembedding", tmp_path)] == [
        ["query", "pos", "neg"]
    ] * 2


def test_flagembedding_prompt_is_never_null(selection: SelectedTables, tmp_path: Path) -> None:
    prompts = pa.array([None, "find", None])
    with_prompts = SelectedTables(
        selection.corpus,
        selection.queries.append_column("prompt", prompts),
        selection.positives,
        selection.negatives,
    )
    rows = written(with_prompts, "flagembedding", tmp_path, prompts=True)
    assert [row["prompt"] for row in rows] == ["", "find"]
    with pytest.raises(UsageError, match="no column `prompt`"):
        written(selection, "flagembedding", tmp_path, prompts=True)


def test_triplet_is_every_positive_with_every_negative(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "st-triplet", tmp_path, scores=True)
    assert len(rows) == 2 * 3 + 1 * 2
    assert list(rows[0]) == ["anchor", "positive", "negative", "scores"]
    assert [tuple(row.values()) for row in rows[2:5]] == [
        ("one", "text 2", "text 4", [0.9, 0.25]),
        ("one", "Title text 1", "text 3", [0.85, 0.6]),
        ("one", "Title text 1", "text 5", [0.85, 0.5]),
    ]


def test_n_tuple_is_a_row_a_positive(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "st-n-tuple", tmp_path, num_negatives=2, scores=True)
    assert rows == [
        {
            "anchor": "one",
            "positive": p,
            "negative_1": "text 3",
            "negative_2": "text 5",
            "scores": [s, 0.6, 0.5],
        }
        for p, s in (("text 2", 0.9), ("Title text 1", 0.85))
    ] + [
        {
            "anchor": "two",
            "positive": "text 2",
            "negative_1": "text 7",
            "negative_2": "text 6",
            "scores": [0.7, 0.1, 0.05],
        }
    ]


def test_labeled_pair_has_each_positive_once(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "st-labeled-pair", tmp_path)
    assert [tuple(row.values()) for row in rows] == [
        ("one", "text 2", 1.0),
        ("one", "Title text 1", 1.0),
        ("one", "text 3", 0.0),
        ("one", "text 5", 0.0),
        ("one", "text 4", 0.0),
        ("two", "text 2", 1.0),
        ("two", "text 7", 0.0),
        ("two", "text 6", 0.0),
    ]
    assert list(rows[0]) == ["query", "document", "label"]
    assert list(written(selection, "st-labeled-pair", tmp_path, scores=True)[1].values())[2] == 0.85


def test_labeled_list_keeps_what_there_is(selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, "st-labeled-list", tmp_path)
    assert [list(row) for row in rows] == [["query", "documents", "labels"]] * 2
    assert [row["labels"] for row in rows] == [[1.0, 1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    assert rows[1]["documents"] == ["text 2", "text 7", "text 6"]
    scored = written(selection, "st-labeled-list", tmp_path, scores=True)
    assert scored[1] == {"query": "two", "documents": rows[1]["documents"], "scores": [0.7, 0.1, 0.05]}


def test_trec_run_is_ranked_by_falling_score(selection: SelectedTables, tmp_path: Path) -> None:
    export(selection, "trec", tmp_path / "out.run")
    assert (tmp_path / "out.run").read_text() == (
        "q1 Q0 d3 1 0.6 hardneg\nq1 Q0 d5 2 0.5 hardneg\nq1 Q0 d4 3 0.25 hardneg\n"
        "q2 Q0 d7 1 0.1 hardneg\nq2 Q0 d6 2 0.05 hardneg\n"
    )


@pytest.mark.parametrize(("to", "positives"), [("trec", False), ("beir", False), ("beir", True)])
def test_positives_are_counted_where_the_file_holds_them(
    to: str, positives: bool, selection: SelectedTables, tmp_path: Path
) -> None:
    report = export(selection, to, tmp_path / "out.run", options=ExportOptions(positives=positives))
    assert (report.counts.positives, report.counts.positives_left_out) == ((3, 0) if positives else (0, 3))
    held = "2 queries, 3 positives, 5 negatives" if positives else "2 queries, 5 negatives"
    assert f"{to}: {report.rows} rows from {held} in " in str(report)
    assert ("3 positives are not in it" in str(report)) is not positives


def test_trec_ranks_agree_with_the_scores_that_tools_sort_by(tmp_path: Path) -> None:
    unordered = SelectedTables(
        corpus(DOCS),
        queries({"q": "q"}),
        positives(("q", "d1", 1.0)),
        negatives(("q", "d2", 0.1), ("q", "d3", 0.2)),
    )
    export(unordered, "trec", tmp_path / "out.run")
    assert [line.split()[2:5] for line in (tmp_path / "out.run").read_text().splitlines()] == [
        ["d3", "1", "0.2"],
        ["d2", "2", "0.1"],
    ]


def test_beir_qrels_have_a_header_and_relevance_0(selection: SelectedTables, tmp_path: Path) -> None:
    path = tmp_path / "qrels" / "negatives.tsv"
    export(selection, "beir", path)
    assert path.read_text().splitlines() == [
        "query-id\tcorpus-id\tscore",
        *("q1\td3\t0", "q1\td5\t0", "q1\td4\t0", "q2\td7\t0", "q2\td6\t0"),
    ]
    export(selection, "beir", path, options=ExportOptions(positives=True))
    assert path.read_text().splitlines()[1:4] == ["q1\td2\t1", "q1\td1\t1", "q1\td3\t0"]


def test_beir_qrels_to_a_name_in_parquet_are_the_same_rows_as_a_table(
    selection: SelectedTables, tmp_path: Path
) -> None:
    path = tmp_path / "negatives.parquet"
    export(selection, "beir", path)
    assert pq.read_table(path).to_pydict() == {
        "query-id": ["q1", "q1", "q1", "q2", "q2"],
        "corpus-id": ["d3", "d5", "d4", "d7", "d6"],
        "score": [0, 0, 0, 0, 0],
    }


@pytest.mark.parametrize(
    ("to", "bad"), [("trec", "d 3"), ("trec", "d\u00a03"), ("beir", "d\t3"), ("beir", '"d3')]
)
def test_ids_that_a_line_cannot_hold_are_refused(to: str, bad: str, tmp_path: Path) -> None:
    odd = SelectedTables(
        corpus({"d1": (None, "a"), bad: (None, "b")}),
        queries({"q": "q"}),
        positives(("q", "d1", 1.0)),
        negatives(("q", bad, 0.5)),
    )
    with pytest.raises(InputError, match="cannot stand in") as caught:
        export(odd, to, tmp_path / "out")
    assert caught.value.row_id == bad
    assert not list(tmp_path.iterdir())
    if to == "beir":  # a table can
        export(odd, to, tmp_path / "out.parquet")
        assert pq.read_table(tmp_path / "out.parquet")["corpus-id"].to_pylist() == [bad]


# -- reference `each` -----------------------------------------------------------------------------------


def test_each_gives_a_positive_its_own_negatives(each: SelectedTables, tmp_path: Path) -> None:
    rows = written(each, "st-triplet", tmp_path)
    assert [tuple(row.values()) for row in rows] == [
        ("one", "Title text 1", "text 3"),
        ("one", "Title text 1", "text 4"),
        ("one", "Title text 1", "text 5"),
        ("one", "text 2", "text 3"),
        ("one", "text 2", "text 5"),
        ("two", "Title text 1", "text 6"),
    ]
    flag = written(each, "flagembedding", tmp_path)
    assert [(row["pos"], row["neg"]) for row in flag] == [
        (["Title text 1"], ["text 3", "text 4", "text 5"]),
        (["text 2"], ["text 3", "text 5"]),
        (["Title text 1"], ["text 6"]),
    ]
    assert [row["labels"] for row in written(each, "st-labeled-list", tmp_path)] == [
        [1.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [1.0, 0.0],
    ]


def test_each_in_pairs_repeats_neither_positive_nor_negative(each: SelectedTables, tmp_path: Path) -> None:
    rows = written(each, "st-labeled-pair", tmp_path)
    assert [(row["query"], row["document"], row["label"]) for row in rows] == [
        ("one", "Title text 1", 1.0),
        ("one", "text 2", 1.0),
        ("one", "text 3", 0.0),
        ("one", "text 4", 0.0),
        ("one", "text 5", 0.0),
        ("two", "Title text 1", 1.0),
        ("two", "text 2", 1.0),
        ("two", "text 6", 0.0),
    ]
    report = export(each, "beir", tmp_path / "qrels.tsv")
    assert (report.rows, report.counts.negatives_repeated) == (4, 1)


def test_each_counts_positives_that_have_no_negative(each: SelectedTables, tmp_path: Path) -> None:
    counts = export(each, "st-triplet", tmp_path / "out.jsonl").counts
    assert (counts.positives, counts.positives_without_negatives, counts.queries_without_negatives) == (
        3,
        1,
        0,
    )


# -- ragged or rectangular ------------------------------------------------------------------------------


def test_n_tuple_refuses_ragged_rows_and_says_what_to_do(selection: SelectedTables, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        export(selection, "st-n-tuple", tmp_path / "out.jsonl")
    message = str(caught.value)
    assert "needs 3 negatives in every row, but 1 of 2 have fewer ('q2' has 2)" in message
    assert "--num-negatives 2" in message and "--shortfall backfill or drop" in message
    assert not list(tmp_path.iterdir())


def test_n_tuple_drops_short_queries_only_when_told(selection: SelectedTables, tmp_path: Path) -> None:
    report = export(selection, "st-n-tuple", tmp_path / "out.jsonl", options=ExportOptions(shortfall="drop"))
    assert {row["anchor"] for row in lines(tmp_path / "out.jsonl")} == {"one"}
    c = report.counts
    assert (c.queries, c.queries_short, c.queries_without_negatives, c.negatives_short) == (1, 1, 1, 2)
    assert "1 query has too few negatives and was dropped" in str(report)


def test_more_negatives_wanted_than_any_query_has_is_refused(
    selection: SelectedTables, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="needs 9 negatives in every row, but 2 of 2 have fewer"):
        written(selection, "st-n-tuple", tmp_path, num_negatives=9)


def filled_up(selection: SelectedTables) -> SelectedTables:
    """With d4 of q1 a random document that nobody scored, and q3 with nothing else."""
    rows = selection.negatives.to_pylist()
    rows = [row if row["doc_id"] != "d4" else {**row, "score": None, "source": "backfill"} for row in rows]
    rows.append({**dict.fromkeys(NEGATIVES.names), "query_id": "q3", "doc_id": "d6", "source": "backfill"})
    return replace(selection, negatives=pa.Table.from_pylist(rows, NEGATIVES))


def test_random_documents_without_a_score_stay_out_where_scores_are_written(
    selection: SelectedTables, tmp_path: Path
) -> None:
    made = filled_up(selection)
    plain = export(made, "flagembedding", tmp_path / "plain.jsonl")
    assert [len(row["neg"]) for row in lines(tmp_path / "plain.jsonl")] == [3, 2, 1]
    assert plain.counts.negatives_without_score == 0
    report = export(made, "flagembedding", tmp_path / "scores.jsonl", options=ExportOptions(scores=True))
    rows = {row["query"]: row for row in lines(tmp_path / "scores.jsonl")}
    assert {query: row["neg"] for query, row in rows.items()} == {
        "one": ["text 3", "text 5"],
        "two": ["text 7", "text 6"],
    }
    assert rows["one"]["neg_scores"] == pytest.approx([0.6, 0.5])
    c = report.counts
    assert (c.negatives_given, c.negatives, c.negatives_without_score) == (6, 4, 2)
    assert "2 negatives are random documents without a score and are not in it" in str(report)
    assert "1 query has no negatives with a score and is not in it" in str(report)


def test_rows_short_of_scores_say_why(selection: SelectedTables, tmp_path: Path) -> None:
    made = filled_up(selection)
    with pytest.raises(InputError) as caught:
        export(made, "st-n-tuple", tmp_path / "x.jsonl", options=ExportOptions(scores=True, num_negatives=3))
    message = str(caught.value)
    assert "2 of 2 have fewer with a score (2 random documents have none)" in message
    assert "--shortfall drop" in message and "backfill" not in message


def test_only_random_documents_and_scores_wanted_says_so(selection: SelectedTables, tmp_path: Path) -> None:
    made = filled_up(selection)
    drawn = made.negatives.filter(pc.equal(made.negatives["source"], "backfill"))
    only = SelectedTables(made.corpus, made.queries, made.positives, drawn)
    with pytest.raises(HardnegError, match="with a score \\(2 random documents have none\\)"):
        export(only, "flagembedding", tmp_path / "x.jsonl", options=ExportOptions(scores=True))
    assert not list(tmp_path.iterdir())


# -- nothing is silent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "to", ["flagembedding", "st-triplet", "st-labeled-pair", "st-labeled-list", "beir", "trec"]
)
def test_queries_without_negatives_are_reported(to: str, selection: SelectedTables, tmp_path: Path) -> None:
    report = export(selection, to, tmp_path / "out.jsonl")
    assert report.counts.queries_without_negatives == 1
    assert "1 query has no negatives and is not in it" in str(report)
    assert "three" not in (tmp_path / "out.jsonl").read_text()
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["queries_without_negatives"] == 1


def test_a_selection_without_negatives_writes_nothing(selection: SelectedTables, tmp_path: Path) -> None:
    bare = SelectedTables(selection.corpus, selection.queries, selection.positives, selection.negatives[:0])
    with pytest.raises(HardnegError, match="nothing to write"):
        export(bare, "st-triplet", tmp_path / "out.jsonl")
    assert not list(tmp_path.iterdir())


def test_repeated_rows_are_written_once_and_counted(selection: SelectedTables, tmp_path: Path) -> None:
    doubled = SelectedTables(
        selection.corpus,
        selection.queries,
        pa.concat_tables([selection.positives] * 2),
        pa.concat_tables([selection.negatives] * 2),
    )
    once, twice = tmp_path / "once.jsonl", tmp_path / "twice.jsonl"
    export(selection, "st-triplet", once)
    counts = export(doubled, "st-triplet", twice).counts
    assert once.read_bytes() == twice.read_bytes()
    assert (counts.positives_repeated, counts.negatives_repeated) == (4, 5)


def test_empty_documents_are_counted(tmp_path: Path) -> None:
    hollow = SelectedTables(
        corpus({"d1": (None, " "), "d2": (None, "b")}),
        queries({"q": "q"}),
        positives(("q", "d1", 1.0)),
        negatives(("q", "d2", 0.5)),
    )
    assert export(hollow, "st-triplet", tmp_path / "out.jsonl").empty_texts == 1


def test_promoted_positives_are_positives(tmp_path: Path) -> None:
    promoted = SelectedTables(
        corpus(DOCS),
        queries({"q": "q"}),
        positives(("q", "d1", 0.9), ("q", "d2", 0.8, "promoted")),
        negatives(("q", "d3", 0.5)),
    )
    (row,) = written(promoted, "flagembedding", tmp_path, ids=True)
    assert row["pos_id"] == ["d1", "d2"]


# -- texts and numbers ----------------------------------------------------------------------------------


def test_text_is_the_encoded_one_unless_asked_otherwise(selection: SelectedTables, tmp_path: Path) -> None:
    assert written(selection, "st-triplet", tmp_path)[3]["positive"] == "Title text 1"
    assert written(selection, "st-triplet", tmp_path, text="body")[3]["positive"] == "text 1"
    assert written(selection, "st-triplet", tmp_path, join_title=False)[3]["positive"] == "text 1"


AWKWARD = 'quote " back\\slash \u2028 \u2029 \x85 \x00 tab\t new\nline \r\n emoji \U0001f600 漢字 \u202e =1+1'


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_awkward_texts_come_back_as_they_were(suffix: str, tmp_path: Path) -> None:
    import datasets

    odd = SelectedTables(
        corpus({"d1": (None, "=SUM(A1)"), "d2": (None, "x" + AWKWARD)}),
        queries({"q": AWKWARD}),
        positives(("q", "d1", 1.0)),
        negatives(("q", "d2", 0.5)),
    )
    path = tmp_path / f"out{suffix}"
    export(odd, "st-triplet", path)
    kind = "parquet" if suffix == ".parquet" else "json"
    loaded = datasets.load_dataset(
        kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded[:] == {"anchor": [AWKWARD], "positive": ["=SUM(A1)"], "negative": ["x" + AWKWARD]}


def test_every_json_line_is_one_line_for_any_reader(tmp_path: Path) -> None:
    odd = SelectedTables(
        corpus({"d1": (None, "a"), "d2": (None, "b")}),
        queries({"q": AWKWARD}),
        positives(("q", "d1", 1.0)),
        negatives(("q", "d2", 0.5)),
    )
    export(odd, "st-triplet", tmp_path / "out.jsonl")
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 1


def test_a_lone_surrogate_is_escaped(tmp_path: Path) -> None:
    raw = "a\ud800b".encode("utf-8", "surrogatepass")
    texts = pa.array([raw], pa.large_binary())
    surrogate = pa.Array.from_buffers(pa.large_string(), 1, texts.buffers())
    odd = SelectedTables(
        corpus({"d1": (None, "a"), "d2": (None, "b")}),
        pa.table({"query_id": pa.array(["q"]), "text": surrogate}),
        positives(("q", "d1", 1.0)),
        negatives(("q", "d2", 0.5)),
    )
    assert written(odd, "st-triplet", tmp_path)[0]["anchor"] == "a\ud800b"


@pytest.mark.parametrize(
    ("score", "decimal"),
    [(0.85, "0.85"), (1.0, "1.0"), (-3.0, "-3.0"), (1e-8, "1e-8"), (1 / 3, "0.33333334"), (0.0, "0.0")],
)
def test_scores_are_the_shortest_decimals_that_give_them_back(
    score: float, decimal: str, tmp_path: Path
) -> None:
    import numpy as np

    one = SelectedTables(
        corpus(DOCS), queries({"q": "q"}), positives(("q", "d1", score)), negatives(("q", "d2", score))
    )
    export(one, "flagembedding", tmp_path / "out.jsonl", options=ExportOptions(scores=True))
    assert f'"pos_scores": [{decimal}]' in (tmp_path / "out.jsonl").read_text().replace("e-08", "e-8")
    assert np.float32(lines(tmp_path / "out.jsonl")[0]["neg_scores"][0]) == np.float32(score)


@pytest.mark.parametrize("missing", [None, float("nan"), float("-inf")])
@pytest.mark.parametrize(
    "to", ["flagembedding", "st-triplet", "st-n-tuple", "st-labeled-pair", "st-labeled-list"]
)
def test_a_missing_score_is_refused_not_written(to: str, missing: float | None, tmp_path: Path) -> None:
    masked = SelectedTables(
        corpus(DOCS), queries({"q": "q"}), positives(("q", "d1", 0.9)), negatives(("q", "d2", missing))
    )
    with pytest.raises(InputError, match="1 have none \\(first: 'd2'\\); leave --scores off"):
        written(masked, to, tmp_path, scores=True)
    assert written(masked, to, tmp_path)
    with pytest.raises(InputError, match="use --to beir"):
        export(masked, "trec", tmp_path / "out.run")


def test_csv_marks_formulas_and_says_so(tmp_path: Path) -> None:
    import datasets

    risky = SelectedTables(
        corpus({"d1": (None, "@x"), "d2": (None, '+"1",\n2'), "d3": (None, "plain")}),
        queries({"q": "=1+1"}),
        positives(("q", "d1", 1.0)),
        negatives(("q", "d2", 0.5), ("q", "d3", 0.25)),
    )
    path = tmp_path / "out.csv"
    report = export(risky, "st-labeled-pair", path)
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))
    assert rows == [
        ["query", "document", "label"],
        ["'=1+1", "'@x", "1.0"],
        ["'=1+1", '\'+"1",\n2', "0.0"],
        ["'=1+1", "plain", "0.0"],
    ]
    assert report.neutralised == 3 + 2
    assert "5 texts begin like a formula" in str(report)
    report = export(risky, "st-labeled-pair", path, options=ExportOptions(neutralise=False))
    loaded = datasets.load_dataset(
        "csv", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["query"][:] == ["=1+1"] * 3
    assert loaded["document"][:] == ["@x", '+"1",\n2', "plain"]
    assert report.neutralised == 0


def test_csv_refuses_lists(selection: SelectedTables, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lists in 'documents'; write .jsonl or .parquet"):
        export(selection, "st-labeled-list", tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


# -- what is asked for must have a place ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "name", "options", "message"),
    [
        ("st-tripet", "a.jsonl", {}, "did you mean 'st-triplet'"),
        ("st-triplet", "a.txt", {}, "names ending in .jsonl"),
        ("flagembedding", "a.jsonl.gz", {}, "names ending in .jsonl, .json"),
        ("flagembedding", "a.parquet", {}, "names ending in .jsonl, .json"),
        ("st-triplet", "a.jsonl", {"ids": True}, "no place for ids"),
        ("st-triplet", "a.jsonl", {"prompts": True}, "no place for prompts"),
        ("beir", "a.tsv", {"scores": True}, "no place for scores"),
        ("st-triplet", "a.jsonl", {"positives": True}, "no place for positives"),
    ],
)
def test_what_cannot_be_written_is_refused(
    to: str, name: str, options: dict[str, Any], message: str, selection: SelectedTables, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        export(selection, to, tmp_path / name, options=ExportOptions(**options))
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(selection: SelectedTables, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        export(selection, "trec", tmp_path)


def test_a_path_that_cannot_be_written_is_an_error_of_ours(selection: SelectedTables, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        export(selection, "trec", tmp_path / "file" / "out.run")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("negative", "doc_id of negatives"),
        ("query", "query_id of negatives"),
        ("positive", "doc_id of positives"),
    ],
)
def test_an_unknown_id_is_named(where: str, message: str, tmp_path: Path) -> None:
    strange = SelectedTables(
        corpus(DOCS),
        queries({"q": "q"}),
        positives(("q", "gone" if where == "positive" else "d1", 1.0)),
        negatives(("gone" if where == "query" else "q", "gone" if where == "negative" else "d2", 0.5)),
    )
    with pytest.raises(InputError, match=message) as caught:
        export(strange, "beir", tmp_path / "out.tsv")
    assert caught.value.row_id == "gone"


def test_a_positive_among_the_negatives_is_refused(tmp_path: Path) -> None:
    wrong = SelectedTables(
        corpus(DOCS),
        queries({"q": "q"}),
        positives(("q", "d1", 1.0)),
        negatives(("q", "d2", 0.5), ("q", "d1", 0.4)),
    )
    with pytest.raises(InputError, match="'d1' is a positive and a negative of it"):
        export(wrong, "beir", tmp_path / "out.tsv")


def test_negatives_of_a_query_without_positives_are_refused(tmp_path: Path) -> None:
    wrong = SelectedTables(
        corpus(DOCS), queries({"p": "p", "q": "q"}), positives(("p", "d1", 1.0)), negatives(("q", "d2", 0.5))
    )
    with pytest.raises(InputError, match="negatives but no positive") as caught:
        export(wrong, "beir", tmp_path / "out.tsv")
    assert caught.value.row_id == "q"


def test_a_positive_id_that_is_no_positive_is_refused(tmp_path: Path) -> None:
    wrong = SelectedTables(
        corpus(DOCS), queries({"q": "q"}), positives(("q", "d1", 1.0)), negatives(("q", "d2", 0.5, "d3"))
    )
    with pytest.raises(InputError, match="no positive of its query") as caught:
        export(wrong, "st-triplet", tmp_path / "out.jsonl")
    assert caught.value.row_id == "d3"


# -- files and data sets --------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["flagembedding", "st-triplet", "st-labeled-pair", "st-labeled-list"])
def test_the_data_set_holds_the_files_rows(to: str, selection: SelectedTables, tmp_path: Path) -> None:
    rows = written(selection, to, tmp_path)
    dataset = to_dataset(selection, to)
    assert dataset.column_names == list(rows[0])
    assert dataset.to_list() == rows


def test_a_failed_export_leaves_the_file_that_was_there(selection: SelectedTables, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    export(selection, "st-triplet", path)
    before = path.read_bytes()
    with pytest.raises(InputError):
        export(selection, "st-n-tuple", path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".csv"])
def test_equal_selections_give_equal_bytes(suffix: str, selection: SelectedTables, tmp_path: Path) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    export(selection, "st-triplet", first)
    chunked = SelectedTables(*(pa.concat_tables([t[:1], t[1:]]) for t in vars(selection).values()))
    export(chunked, "st-triplet", second)
    assert first.read_bytes() == second.read_bytes()


def test_gzip_holds_the_plain_file(selection: SelectedTables, tmp_path: Path) -> None:
    export(selection, "st-triplet", tmp_path / "a.jsonl")
    export(selection, "st-triplet", tmp_path / "a.jsonl.gz")
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "a.jsonl").read_bytes()
