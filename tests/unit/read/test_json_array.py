"""JSON arrays, read an object at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardneg.errors import InputError
from hardneg.read import json_array
from hardneg.read.bad_rows import BadRows
from hardneg.read.json_array import json_array_rows, json_member

ROWS = [{"a": 1}, {"b": ["x, [", {"c": '}\\" é'}]}, {}]


def rows(path: Path, key: str | None = None, policy: str = "fail") -> list[tuple[int, dict[str, object]]]:
    return list(json_array_rows(path, key).read(BadRows(policy)))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_every_object_comes_once(
    indent: int | None, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_array, "_PIECE", piece)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ROWS, indent=indent, ensure_ascii=False), "utf-8")
    assert [row for _, row in rows(path)] == ROWS
    path.write_text(json.dumps({"x": [1, {"data": 2}], "data": ROWS, "z": 1}, indent=indent), "utf-8")
    assert [row for _, row in rows(path, "data")] == ROWS
    assert json_member(path, "x") == [1, {"data": 2}]


def test_objects_are_named_by_the_line_that_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n\n{"a":\n1},\n {"b": 2}, {"c": 3}]\n')
    assert [line for line, _ in rows(path)] == [3, 5, 5]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("{}", "'{' follows where '[' is due", 1),
        ("[1]", "'1' follows where '{' is due", 1),
        ('[{"a": 1}\n{"b": 2}]', "'{' follows where ',' is due", 2),
        ('[{"a": 1},\n{"b": ', "is cut off: the array does not end", 2),
        ('[{"a": 1}', "the file ends where ',' is due", 1),
        ("[" + "\n" * 5 + '{"a" 1}' + " " * 200 + "]", "is not JSON", 6),
    ],
)
def test_what_is_no_array_of_objects_is_refused(text: str, reason: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        rows(path)
    assert reason in str(caught.value)
    assert caught.value.line == line


def test_an_object_that_is_refused_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1},\n{"b": NaN},\n{"c": 1, "c": 2},\n{"d": 4}]')
    bad = BadRows("skip")
    assert [row for _, row in json_array_rows(path).read(bad)] == [{"a": 1}, {"d": 4}]
    assert [(row["line"], row["reason"]) for row in bad.refused] == [
        (2, "is not JSON (NaN is no JSON value)"),
        (3, "is not JSON (the key 'c' stands there twice)"),
    ]


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"corpus": []}')
    with pytest.raises(InputError, match="has no key 'data'"):
        rows(path, "data")
