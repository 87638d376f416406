"""`hardneg check`: each fault is found, counted once, and told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardneg
from hardneg.errors import InputError


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in rows), "utf-8")
    return path


def row(query: str, pos: list[str], neg: list[str], **more: Any) -> dict[str, Any]:
    return {"query": query, "pos": pos, "neg": neg, **more}


CLEAN = row("q", ["a"], ["x", "y"])


def test_a_clean_file_has_no_fault(tmp_path: Path) -> None:
    report = hardneg.check(written(tmp_path, CLEAN, row("r", ["a"], ["x"])))
    assert report.clean and report.faults == {}
    assert (report.format, report.rows, report.positives, report.negatives) == ("flagembedding", 2, 2, 3)
    assert str(report).endswith("2 rows, 2 positives, 3 negatives; nothing is wrong")


@pytest.mark.parametrize(
    ("wrong", "fault", "place"),
    [
        (row("", ["b"], ["x"]), "empty_query", None),
        (row(" \u200b", ["b"], ["x"]), "empty_query", None),
        (row("r", ["b"], ["x"], neg_scores=[0.5, 1]), "misaligned", None),
        (row("r", ["b"], ["x"], pos_id=[]), "misaligned", None),
        (row("r", ["b"], ["x"], pos_scores=[1e300], neg_scores=[1]), "not_finite", None),
        (row("r", ["b"], ["x", "y"], pos_scores=[1], neg_scores=[1, None]), "missing_score", None),
        (row("r", ["b"], ["x"], neg_scores=[1]), "missing_score", None),
        (row("Q ", ["A"], ["Y", "x"]), "repeated_row", None),
        (row("r", [], ["x"]), "no_positive", None),
        (row("r", ["b"], []), "no_negative", None),
        (row("r", ["b", ""], ["x"]), "empty_positive", 2),
        (row("r", ["b", "ｂ"], ["x"]), "repeated_positive", 2),
        (row("r", ["b"], ["x", "\n"]), "empty_negative", 2),
        (row("r", ["b"], ["x", " R"]), "query_among_negatives", 2),
        (row("r", ["b"], ["x", "B"]), "positive_among_negatives", 2),
        (row("r", ["b"], ["x"], pos_id=["1"], neg_id=[1]), "positive_among_negatives", 1),
        (row("Q", ["b"], ["x", " A"]), "known_positive_among_negatives", 2),
        (row("r", ["b"], ["x", "y", "X"]), "repeated_negative", 3),
        ("{\n", "unreadable", None),
        (row("r", ["b"], [["x"]]), "unreadable", None),
    ],
)  # fmt: skip
def test_each_fault_is_found_where_it_is(wrong: Any, fault: str, place: int | None, tmp_path: Path) -> None:
    report = hardneg.check(written(tmp_path, CLEAN, wrong))
    assert report.faults == {fault: 1}
    (found,) = report.first[fault]
    assert (found["line"], found.get("place")) == (2, place)
    assert f"1 {fault}: " in str(report) and "line 2" in str(report)


def test_scores_that_are_all_null_are_none(tmp_path: Path) -> None:
    report = hardneg.check(written(tmp_path, row("q", ["a"], ["x"], neg_scores=[None])))
    assert report.clean


def test_a_positive_of_the_same_query_is_known_by_ids_too(tmp_path: Path) -> None:
    """The query by its id under another text, the document by its id under another text."""
    first = row("q", ["a"], ["x"], id="7", pos_id=["d"], neg_id=["e"])
    second = row("other words", ["b"], ["y", "z"], id="7", pos_id=["f"], neg_id=["d", "g"])
    report = hardneg.check(written(tmp_path, first, second))
    assert report.faults == {"known_positive_among_negatives": 1}


def test_a_later_row_tells_of_an_earlier_one(tmp_path: Path) -> None:
    report = hardneg.check(written(tmp_path, row("q", ["a"], ["x", "b"]), row("q", ["b"], ["y"])))
    assert report.first["known_positive_among_negatives"] == [{"line": 1, "place": 2, "text": "b"}]


def test_a_row_of_an_n_tuple_with_fewer_negatives_is_told(tmp_path: Path) -> None:
    rows = [{"anchor": q, "positive": "a", "negative_1": "x", "negative_2": "y"} for q in "qr"]
    path = written(tmp_path, *rows, {"anchor": "s", "positive": "a", "negative_1": "x"})
    assert hardneg.check(path).faults == {"wrong_count": 1}
    assert hardneg.check(path, num_negatives=1).faults == {"wrong_count": 2}


def test_all_faults_are_listed_in_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, *[row(f"q{i}", ["a"], ["A", "x"]) for i in range(9)])
    report = hardneg.check(path, list_to=tmp_path / "faults.jsonl")
    listed = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert [one["line"] for one in listed] == list(range(1, 10))
    assert listed[0] == {"fault": "positive_among_negatives", "line": 1, "place": 1, "text": "A"}
    assert report.as_dict()["first"]["positive_among_negatives"] == [
        {"line": i, "place": 1, "text": "A"} for i in range(1, 6)
    ]


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        hardneg.check(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match="is an empty file"):
        hardneg.check(tmp_path / "empty.jsonl")


WORDS = st.sampled_from(["a", "A", "b", "c", "d", "", "q", "Q"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("qQrs"), st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=4)),
        min_size=1,
        max_size=6,
    )
)
def test_negatives_are_judged_as_by_loops(
    rows: list[tuple[str, list[str], list[str]]], tmp_path: Path
) -> None:
    known = {(query.lower(), text.lower()) for query, pos, _ in rows for text in pos if text}
    expected: dict[str, int] = {}
    for query, pos, neg in rows:
        seen: set[str] = set()
        own = {text.lower() for text in pos}
        for text in map(str.lower, neg):
            fault = (
                "empty_negative" if not text
                else "query_among_negatives" if text == query.lower()
                else "positive_among_negatives" if text in own
                else "known_positive_among_negatives" if (query.lower(), text) in known
                else "repeated_negative" if text in seen
                else None
            )  # fmt: skip
            seen.add(text)
            if fault:
                expected[fault] = expected.get(fault, 0) + 1
    report = hardneg.check(written(tmp_path, *(row(*one) for one in rows)))
    assert {
        code: count
        for code, count in report.faults.items()
        if code.endswith(("negative", "negatives")) and code != "no_negative"
    } == expected
