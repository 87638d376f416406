"""Rows that hold texts: ids, scores and labels beside them, given negatives, and what is merged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hardneg
from hardneg.records import Collection

Judged = Callable[[Collection], set[tuple[str, str, float]]]
PairsOf = Callable[[Collection], set[tuple[str, str]]]


def given_texts(data: Collection) -> list[str]:
    """Texts of the given negatives, in their order."""
    texts = dict(zip(data.corpus["doc_id"].to_pylist(), data.corpus["text"].to_pylist(), strict=True))
    return [texts[name] for name in data.given["doc_id"].to_pylist()]


class TestIds:
    def test_those_of_the_source_are_kept(self, judged: Judged) -> None:
        rows = [{"id": 3, "query": "q", "pos": ["a", "b"], "pos_id": ["x", "y"], "neg": "c", "neg_id": "z"}]
        data = hardneg.load(rows)
        assert judged(data) == {("3", "x", 1.0), ("3", "y", 1.0)}
        assert data.given.to_pylist() == [{"query_id": "3", "doc_id": "z"}]

    def test_without_them_a_text_has_one(self) -> None:
        data = hardneg.load([{"query": "q", "pos": "a"}, {"query": "r", "pos": ["a", "b"]}])
        assert data.corpus.num_rows == 2
        assert all(name.startswith("d-") for name in data.corpus["doc_id"].to_pylist())
        assert any("named by their text" in note for note in data.report.notes)

    def test_an_id_with_two_texts_is_refused_with_its_whole_row(self, judged: Judged) -> None:
        rows = [
            {"query_id": "1", "query": "q", "positive_id": "x", "positive": "a"},
            {"query_id": "2", "query": "r", "positive_id": "x", "positive": "b", "negative": "only here"},
            {"query_id": "3", "query": "s", "positive_id": "x", "positive": "b"},
            {"query_id": "1", "query": "t", "positive_id": "y", "positive": "c"},
            {"query_id": "4", "query": "u", "positive_id": "x", "positive": "a"},
        ]
        with pytest.raises(hardneg.InputError, match="list, line 2, id 'x': this document id stands there"):
            hardneg.load(rows)
        data = hardneg.load(rows, on_bad_row="skip")
        # Row 3 holds the text of the refused row 2: its label must not move to the text of row 1.
        assert judged(data) == {("1", "x", 1.0), ("4", "x", 1.0)}
        assert data.corpus["text"].to_pylist() == ["a"]
        assert [row["line"] for row in data.report.refused] == [2, 3, 4]

    def test_one_row_may_not_use_an_id_twice_either(self) -> None:
        with pytest.raises(hardneg.InputError, match="id 'x'"):
            hardneg.load([{"query": "q", "pos": ["a", "b"], "pos_id": ["x", "x"]}])

    def test_as_many_ids_as_texts(self) -> None:
        with pytest.raises(hardneg.InputError, match="column 'pos_id': holds 1 values for 2 texts"):
            hardneg.load([{"query": "q", "pos": ["a", "b"], "pos_id": ["x"]}])

    def test_a_text_without_one_takes_that_of_the_pool(self, judged: Judged) -> None:
        pool = [
            {"_id": "p2", "text": "a"},
            {"_id": "p1", "text": "a"},
            {"_id": "p3", "title": "A", "text": "title"},
        ]
        data = hardneg.load(
            [{"query": "q", "pos": ["a", "A title"], "query_id": "1"}, {"query": "r", "pos": "b"}],
            corpus=pool,
        )
        assert {pair for pair in judged(data) if pair[0] == "1"} == {("1", "p1", 1.0), ("1", "p3", 1.0)}
        assert data.corpus["doc_id"].to_pylist()[1:] == ["p1", "p2", "p3"], "twins keep theirs"


class TestGivenNegatives:
    def test_their_order_is_the_source_s_and_empty_ones_are_told(self) -> None:
        data = hardneg.load([{"query": "q", "pos": "p", "neg": ["n3", "", "n1", None, "n2", "n1"]}])
        assert given_texts(data) == ["n3", "n1", "n2"]
        assert data.report.counts["duplicate given negatives merged"] == 1
        assert any("2 empty given negatives left out" in note for note in data.report.notes)

    def test_numbered_columns_stand_in_the_order_of_their_numbers(self) -> None:
        row = {"negative_10": "ten", "query": "q", "negative_2": "two", "positive": "p", "negative_1": "one"}
        assert given_texts(hardneg.load([row])) == ["one", "two", "ten"]

    def test_one_that_is_a_positive_of_the_query_is_left_out(self) -> None:
        """field.md: the same query on two rows gives each the other's positive as its negative."""
        rows = [{"query": "q", "pos": "a", "neg": ["b", "n"]}, {"query": "q", "pos": "b", "neg": ["a"]}]
        data = hardneg.load(rows)
        assert given_texts(data) == ["n"]
        assert any("2 given negatives are positives of the same query" in note for note in data.report.notes)


class TestLabels:
    def test_a_label_column_holds_relevance(self, pairs_of: PairsOf) -> None:
        rows = [{"query": "q", "document": "a", "label": 1}, {"query": "q", "document": "b", "label": 0}]
        data = hardneg.load(rows)
        assert pairs_of(data) == {("q", "a")}
        assert data.report.counts["judged negatives"] == 1

    def test_labelled_lists_too(self, pairs_of: PairsOf) -> None:
        assert pairs_of(
            hardneg.load([{"query": "q", "documents": ["a", "b", "c"], "labels": [1, 0, 1]}])
        ) == {("q", "a"), ("q", "c")}

    def test_a_score_column_is_not_taken_for_one_and_that_is_told(self, pairs_of: PairsOf) -> None:
        data = hardneg.load([{"sentence1": "q", "sentence2": "a", "score": 0.0}])
        assert pairs_of(data) == {("q", "a")}
        assert any("column 'score' was kept but says nothing here" in note for note in data.report.notes)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), "high", None, [1, 2]])
    def test_relevance_must_be_a_finite_number(self, value: Any) -> None:
        with pytest.raises(hardneg.InputError, match="line 1, column 'relevance'"):
            hardneg.load([{"query": "q", "positive": "a", "relevance": value}])

    def test_scores_of_a_teacher_are_kept_in_line(self) -> None:
        rows = [
            {"query": "q", "pos": ["a"], "neg": ["b", "", "c"], "pos_scores": [0.9], "neg_scores": [3, 2, 1]}
        ]
        data = hardneg.load(rows)
        assert data.qrels["score"].to_pylist() == [pytest.approx(0.9)]
        assert list(zip(given_texts(data), data.given["score"].to_pylist(), strict=True)) == [
            ("b", 3.0),
            ("c", 1.0),
        ]
        with pytest.raises(hardneg.InputError, match="column 'neg_scores': holds 2 values for 3 texts"):
            hardneg.load([{**rows[0], "neg_scores": [3, 2]}])


class TestColumns:
    def test_several_that_could_be_meant_are_not_guessed_at(self) -> None:
        row = {"query": "q", "answer": "a", "document": "d"}
        with pytest.raises(hardneg.InputError, match="'answer', 'document' could each be the positive"):
            hardneg.load([row])
        assert hardneg.load([row], positive_column="document").corpus["text"].to_pylist() == ["d"]

    def test_flagembedding_needs_no_guess(self, pairs_of: PairsOf) -> None:
        assert pairs_of(hardneg.load([{"query": "q", "pos": ["a"], "answer": "no text"}])) == {("q", "a")}

    def test_one_missing_in_a_table_is_the_table_s_error_even_when_rows_are_skipped(self) -> None:
        import pandas as pd

        with pytest.raises(hardneg.InputError, match="no column holds the positive.*mean 'postive'"):
            hardneg.load(pd.DataFrame([{"query": "q", "postive": "a"}]), on_bad_row="skip")

    def test_two_of_one_name_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "pairs.csv"
        path.write_text("query,positive,query\na,b,c\n")
        with pytest.raises(hardneg.InputError, match="column 'query' stands there twice"):
            hardneg.load(path)


@pytest.mark.parametrize("first", [0, 5000])
def test_kept_columns_are_the_same_wherever_a_row_stands(first: int) -> None:
    """Rows are gathered thousands at a time: what is kept of one must not hang on its neighbours."""
    rows: list[dict[str, Any]] = [
        {"query": f"q{n}", "query_id": f"{n:05}", "positive": "p", "kept": "a text"} for n in range(5001)
    ]
    rows[first]["kept"] = {"b": [1, "x"]}
    kept = hardneg.load(rows).queries["kept"].to_pylist()
    assert kept == [row["kept"] if row["kept"] == "a text" else '{"b": [1, "x"]}' for row in rows]
