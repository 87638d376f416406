"""Formats of several files, of one JSON document, and of objects in rows: with a trainer that nobody has."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg.errors import HardnegError, StorageError, UsageError
from hardneg.export import formats
from hardneg.export.columns import lists, scores
from hardneg.export.examples import Examples, examples_of
from hardneg.export.formats import FOLDER, FolderFile, Format
from hardneg.export.options import ExportOptions
from hardneg.export.writing import check_output, write_examples
from hardneg.records import GROUPS


def train(examples: Examples, options: ExportOptions) -> pa.Table:
    passages = pa.StructArray.from_arrays(
        [examples.doc_id, examples.text, scores(examples.score)], ["docid", "text", "score"]
    )
    return pa.table({"id": examples.query_id, "passages": lists(passages, examples.start)})


def documents(examples: Examples, options: ExportOptions) -> pa.Table:
    return pa.table({"id": examples.doc_id, "text": examples.text})


def blocks(*groups: tuple[str, dict[str, str], float]) -> list[Examples]:
    """A block a group: (query, documents by id, the first of which is the positive, score of all)."""
    rows = [
        {
            "query_id": query, "query": query, "line": 1,
            "pos": list(docs.values())[:1], "pos_id": list(docs)[:1], "pos_score": [score],
            "neg": list(docs.values())[1:], "neg_id": list(docs)[1:], "neg_score": [score] * (len(docs) - 1),
        }
        for query, docs, score in groups
    ]  # fmt: skip
    return [examples_of(pa.Table.from_pylist([row], GROUPS)) for row in rows]


GIVEN = (("q1", {"a": 'A "\n', "b": "B"}, 0.5), ("q2", {"b": "B", "c": ""}, 1.0))


def passages(*docs: tuple[str, str, float]) -> list[dict[str, object]]:
    return [dict(zip(("docid", "text", "score"), doc, strict=True)) for doc in docs]


ROWS = [
    {"id": "q1", "passages": passages(("a", 'A "\n', 0.5), ("b", "B", 0.5))},
    {"id": "q2", "passages": passages(("b", "B", 1.0), ("c", "", 1.0))},
]
ONE = Format(rows=train, kinds={".jsonl": "jsonl", ".json": "json", ".parquet": "parquet"}, takes=frozenset())
SEVERAL = Format(
    rows=train,
    kinds=FOLDER,
    takes=frozenset(),
    folder={
        "train.jsonl": FolderFile(train, "jsonl"),
        "corpus/documents.parquet": FolderFile(documents, "parquet", key="id"),
    },
)
SEVERAL_LINES = replace(SEVERAL, folder={"train.jsonl": FolderFile(train, "jsonl")})


def test_objects_in_rows_and_a_document_of_all_rows(tmp_path: Path) -> None:
    for kind in ("jsonl", "json", "parquet"):
        write_examples(blocks(*GIVEN), ONE, kind, tmp_path / f"out.{kind}", ExportOptions())  # type: ignore[arg-type]  # a Kind
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == ROWS
    assert json.loads((tmp_path / "out.json").read_text()) == ROWS
    assert len((tmp_path / "out.json").read_text().splitlines()) == 4
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == ROWS
    framed = replace(ONE, frame=(b'{"data": [\n', b"\n]}\n"))
    write_examples(blocks(*GIVEN), framed, "json", tmp_path / "framed.json", ExportOptions())
    assert json.loads((tmp_path / "framed.json").read_text()) == {"data": ROWS}
    write_examples([], ONE, "json", tmp_path / "none.json", ExportOptions())
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_a_folder_holds_its_files_and_each_document_once(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for _ in range(2):  # the second time it is replaced
        tally = write_examples(blocks(*GIVEN), SEVERAL, "folder", output, ExportOptions())
    assert tally.rows == 2
    assert [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()] == ROWS
    found = pq.read_table(output / "corpus/documents.parquet").to_pylist()
    assert found == [{"id": "a", "text": 'A "\n'}, {"id": "b", "text": "B"}, {"id": "c", "text": ""}]
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    output = tmp_path / "out"
    write_examples(blocks(*GIVEN), SEVERAL, "folder", output, ExportOptions())
    before = (output / "train.jsonl").read_bytes()
    with pytest.raises(HardnegError, match="is no number to keep"):
        write_examples(blocks(("q", {"a": "A"}, np.inf)), SEVERAL, "folder", output, ExportOptions())
    assert (output / "train.jsonl").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_an_older_folder_comes_back_where_the_new_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    write_examples(blocks(*GIVEN), SEVERAL, "folder", output, ExportOptions())
    replace_with = Path.replace

    def refused(path: Path, target: Path) -> Path:
        if target == output and (path / "train.jsonl").read_bytes() == b"":
            raise PermissionError(errno.EACCES, "not now")
        return replace_with(path, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(StorageError):
        write_examples([], SEVERAL_LINES, "folder", output, ExportOptions())
    assert [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()] == ROWS
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_holds_anything_else_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "format_named", lambda _: SEVERAL)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/train.jsonl").touch()
    assert check_output("several", tmp_path / "out")[1] == "folder"
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(UsageError, match=r"holds 'mine.txt' beside what several writes.*name a new folder"):
        check_output("several", tmp_path / "out")
    with pytest.raises(UsageError, match=r"mine.txt is a file; several is a folder of train.jsonl, corpus"):
        check_output("several", tmp_path / "out/mine.txt")
