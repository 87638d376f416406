"""Rows for people: ids come back exactly, texts are safe in a spreadsheet, nothing is `null` in CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg.errors import DamagedError, StorageError, UsageError
from hardneg.export import write_rows
from hardneg.export.read_back import Passed
from hardneg.spreadsheet import FORMULA, unmarked_cell

IDS = ["=a", "'=a", "''=a", "-1", "'a", "007"]
TEXTS = ["=SUM(A1)", "@x", 'say "so"', "two\nlines", None, "plain"]
TABLE = pa.table(
    {
        "doc_id": IDS,
        "text": pa.array(TEXTS, pa.large_string()),
        "relevant": pa.array([None, False, True, None, None, None]),
        "p": pa.array([0.1, None, 0.25, 1.0, 0.5, 0.7], pa.float32()),
    }
)


def test_csv_ids_come_back_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    import re

    write_rows(TABLE, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [unmarked_cell(row["doc_id"]) for row in rows] == IDS
    assert not any(re.match(FORMULA, value) for row in rows for value in (row["doc_id"], row["text"]))
    assert [row["text"] for row in rows][2:] == ['say "so"', "two\nlines", "", "plain"]
    assert [row["relevant"] for row in rows] == ["", "false", "true", "", "", ""]
    assert [row["p"] for row in rows] == ["0.1", "", "0.25", "1.0", "0.5", "0.7"]


def test_json_lines_and_parquet_hold_values_as_they_are(tmp_path: Path) -> None:
    write_rows(TABLE, tmp_path / "rows.jsonl")
    write_rows(TABLE, tmp_path / "rows.parquet")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(row["doc_id"], row["text"], row["relevant"]) for row in rows] == [
        (row["doc_id"], row["text"], row["relevant"]) for row in TABLE.to_pylist()
    ]
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == TABLE.to_pylist()


def test_a_name_without_a_format_or_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ends in .csv, .jsonl, .parquet"):
        write_rows(TABLE, tmp_path / "rows.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_rows(TABLE, tmp_path / "file" / "rows.csv")


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_file_that_is_not_read_back_takes_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    passed = Passed.counted

    def lossy(self: Passed, pieces: Iterator[bytes | pa.Buffer]) -> Iterator[bytes]:
        for piece in passed(self, pieces):
            yield bytes(piece).replace(b"two", b"tvo")

    monkeypatch.setattr(Passed, "counted", lossy)
    with pytest.raises(DamagedError, match=f"/{name}: read back, is not what was written"):
        write_rows(TABLE, tmp_path / name)
    assert not list(tmp_path.iterdir())
