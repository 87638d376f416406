"""Files of judged pairs: what is taken, what is counted, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.errors import InputError
from hardneg.read.relevance import RelevanceLabels, read_relevance
from hardneg.spreadsheet import FORMULA, marked_cell, unmarked_cell

QUERIES = pa.chunked_array([["1", "=2", "q"]])
DOCUMENTS = pa.chunked_array([["'=d", "-5", "=d", "a", "b"]])


def read(*paths: Path) -> RelevanceLabels:
    return read_relevance(paths, QUERIES, DOCUMENTS)


def answers(found: RelevanceLabels) -> dict[tuple[str, str], bool]:
    return {(row["query_id"], row["doc_id"]): row["relevant"] for row in found.table.to_pylist()}


def csv(tmp_path: Path, *lines: str, header: str = "query_id,doc_id,relevant") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("true", True),
        ("TRUE", True),
        ("Yes", True),
        ("1", True),
        (" no ", False),
        ("False", False),
        ("0", False),
    ],
)
def test_answers_are_read_in_any_case(tmp_path: Path, word: str, answer: bool) -> None:
    assert answers(read(csv(tmp_path, f"1,a,{word}"))) == {("1", "a"): answer}


def test_rows_without_an_answer_are_not_judged_yet(tmp_path: Path) -> None:
    found = read(csv(tmp_path, "1,a,true", "1,b,", "q,a,  "))
    assert answers(found) == {("1", "a"): True}
    assert found.counts["not_judged"] == 2


def test_json_lines_and_parquet_hold_the_same(tmp_path: Path) -> None:
    rows = [
        {"query_id": 1, "doc_id": "a", "relevant": True},
        {"query_id": "q", "doc_id": "b", "relevant": 0},
        {"query_id": "q", "doc_id": "a", "relevant": None},
    ]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"query_id": ["1", "q", "q"], "doc_id": ["a", "b", "a"], "relevant": [True, False, None]}
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    wanted = {("1", "a"): True, ("q", "b"): False}
    assert answers(read(tmp_path / "labels.jsonl")) == answers(read(tmp_path / "labels.parquet")) == wanted


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,b,maybe", "line 3, column 'relevant': must be true or false"),
        ("1,b,2", "line 3, column 'relevant': must be true or false"),
        (",b,true", "line 3, column 'query_id': the id is empty"),
        ("1,a,false", "line 3, column 'relevant', id '1': judges document 'a' not relevant, and line 2"),
        ("1,b", "line 3: has 2 fields"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match="labels.csv") as error:
        read(csv(tmp_path, "1,a,true", line))
    assert message in str(error.value)
    assert "--on-bad-row" not in str(error.value)


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column holds the answer.*did you mean 'relevent'"):
        read(csv(tmp_path, "1,a,true", header="query_id,doc_id,relevent"))
    with pytest.raises(InputError, match="is no file"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="judges nothing yet"):
        read(csv(tmp_path, "1,a,"))


def test_unknown_ids_are_counted_and_shown(tmp_path: Path) -> None:
    found = read(csv(tmp_path, "1,a,true", "1,zz,true", "9,a,false"))
    assert answers(found) == {("1", "a"): True}
    assert found.counts["unknown"] == 2
    assert "2 judged rows" in found.notes[0] and "lines 3, 4" in found.notes[0] and "'zz'" in found.notes[0]
    with pytest.raises(InputError, match="none of its pairs is in the run"):
        read(csv(tmp_path, "1,zz,true"))


def test_the_same_answer_twice_counts_once_in_any_order(tmp_path: Path) -> None:
    one = read(csv(tmp_path, "q,b,no", "1,a,true", "1,a,yes"))
    two = read(csv(tmp_path, "1,a,1", "1,a,true", "q,b,0"))
    assert one.table.equals(two.table) and one.table.num_rows == 2
    assert one.counts["repeated"] == 1


DRAWN = "query_id,doc_id,relevant,selection,selection_size,stratum,stratum_size,inclusion_probability"


def test_how_a_pair_was_drawn_is_kept(tmp_path: Path) -> None:
    found = read(csv(tmp_path, "1,a,true,default,50,random,40,0.25", "1,b,no,,,,,", header=DRAWN))
    first, second = found.table.to_pylist()
    assert (first["selection"], first["selection_size"], first["stratum"]) == ("default", 50, "random")
    assert (first["stratum_size"], first["inclusion_probability"]) == (40, 0.25)
    assert second["selection"] is None and second["inclusion_probability"] is None


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ("default,50,random,40,1.5", "inclusion_probability"),
        ("default,50,random,40,0", "inclusion_probability"),
        ("default,50,random,4.5,0.5", "stratum_size"),
        ("default,x,random,4,0.5", "selection_size"),
    ],
)
def test_a_drawing_that_cannot_be_is_refused(tmp_path: Path, values: str, column: str) -> None:
    with pytest.raises(InputError, match=f"line 2, column '{column}'"):
        read(csv(tmp_path, f"1,a,true,{values}", header=DRAWN))


def test_two_drawings_of_one_selection_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another drawing"):
        read(csv(tmp_path, "1,a,1,s,50,random,40,0.25", "1,a,1,s,50,random,40,0.5", header=DRAWN))


def test_marked_ids_come_back(tmp_path: Path) -> None:
    lines = [f"{marked_cell(q)},{marked_cell(d)},true" for q, d in (("=2", "=d"), ("1", "'=d"), ("q", "-5"))]
    assert lines[0].startswith("'=2,'=d") and lines[1].startswith("1,''=d")
    assert set(answers(read(csv(tmp_path, *lines)))) == {("=2", "=d"), ("1", "'=d"), ("q", "-5")}
    # A hand-made file, or one of a spreadsheet that took the marks away, has ids as they are.
    assert set(answers(read(csv(tmp_path, "=2,-5,true")))) == {("=2", "-5")}


@given(st.text(alphabet="'=+-@\t\r\n ab1", min_size=1, max_size=6))
def test_any_id_survives_marking(name: str) -> None:
    import re

    assert unmarked_cell(marked_cell(name)) == name
    assert not re.match(FORMULA, marked_cell(name))
