"""`--corpus` and `--queries` of files that hold ids alone: read as a corpus and queries are everywhere."""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg
from hardneg.config import TrainingFileOptions
from hardneg.errors import InputError
from hardneg.read.training import ReadOptions, find_reader

DOCUMENTS = [
    {"_id": "d1", "title": "Elm", "text": "grows tall"},
    {"_id": "d2", "title": "", "text": "oak"},
    {"_id": "d3", "title": "Ash", "text": "burns"},
]
QUERIES = [{"_id": "q1", "text": "what grows"}]
FILES = {
    "gpl": ("hard.jsonl", json.dumps({"qid": "q1", "pos": ["d1"], "neg": {"bm25": ["d2", "d3"]}}) + "\n"),
    "beir": ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq1\td3\t0\n"),
    "trec": ("x.run", "q1 Q0 d2 1 0.5 run\nq1 Q0 d3 2 0.25 run\n"),
}
IDS = sorted(FILES)


def example(folder: Path, name: str) -> Path:
    file, content = FILES[name]
    (folder / file).write_text(content)
    return folder / file


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def packed(path: Path, rows: list[dict[str, Any]]) -> None:
    whole = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(whole.encode(), mtime=0))


def as_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


WRITERS = {".jsonl": jsonl, ".jsonl.gz": packed, ".csv": as_csv, ".parquet": parquet}


def renamed(rows: list[dict[str, Any]], identifier: str) -> list[dict[str, Any]]:
    return [{identifier if key == "_id" else key: value for key, value in row.items()} for row in rows]


def named(folder: Path, suffix: str, doc: str = "_id", query: str = "_id") -> dict[str, str]:
    """The options that name a corpus and queries of these kinds."""
    WRITERS[suffix](folder / f"corpus{suffix}", renamed(DOCUMENTS, doc))
    WRITERS[suffix](folder / f"queries{suffix}", renamed(QUERIES, query))
    return {what: str(folder / f"{what}{suffix}") for what in ("corpus", "queries")}


def only_group(path: Path, name: str, **file: str) -> dict[str, Any]:
    tables = find_reader(name).groups(path, ReadOptions(file=TrainingFileOptions(**file)))
    (group,) = pa.concat_tables(tables).to_pylist()
    return group


def check_group(group: dict[str, Any], name: str) -> None:
    assert (group["query_id"], group["query"]) == ("q1", "what grows")
    assert (group["neg"], group["neg_id"]) == (["oak", "Ash burns"], ["d2", "d3"])
    assert group["neg_title"] == ["", "Ash"]
    if name != "trec":  # a run holds no positives
        assert (group["pos"], group["pos_id"], group["pos_title"]) == (["Elm grows tall"], ["d1"], ["Elm"])


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_beir_folder_is_taken_for_both(name: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / "beir").mkdir()
    named(tmp_path / "beir", suffix)
    folder = str(tmp_path / "beir")
    check_group(only_group(example(tmp_path, name), name, corpus=folder, queries=folder), name)


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(("doc", "query"), [("doc_id", "query_id"), ("id", "qid"), ("pid", "query-id")])
def test_files_of_any_kind_have_their_ids_in_any_well_known_column(
    name: str, suffix: str, doc: str, query: str, tmp_path: Path
) -> None:
    file = named(tmp_path, suffix, doc, query)
    check_group(only_group(example(tmp_path, name), name, **file), name)


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("what", ["corpus", "queries"])
def test_an_id_with_two_texts_is_refused_with_its_file_and_line(name: str, what: str, tmp_path: Path) -> None:
    file = named(tmp_path, ".jsonl")
    identifier = {"corpus": "d2", "queries": "q1"}[what]
    with Path(file[what]).open("a") as handle:
        handle.write(json.dumps({"_id": identifier, "text": "zzz"}) + "\n")
    line = {"corpus": 4, "queries": 2}[what]
    expected = f"{file[what]}, line {line}, id '{identifier}': this id stands there with another text too"
    with pytest.raises(InputError, match=re.escape(expected)):
        only_group(example(tmp_path, name), name, **file)


@pytest.mark.parametrize("name", IDS)
def test_an_id_that_repeats_its_text_is_read_once_as_in_a_corpus_that_is_mined_from(
    name: str, tmp_path: Path
) -> None:
    file = named(tmp_path, ".jsonl")
    for what, rows in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        jsonl(Path(file[what]), [*rows, *rows])
    check_group(only_group(example(tmp_path, name), name, **file), name)


@pytest.mark.parametrize("name", IDS)
def test_a_folder_without_queries_is_no_folder_of_queries(name: str, tmp_path: Path) -> None:
    file = named(tmp_path, ".jsonl")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match=r"bare: there is no queries\.jsonl"):
        only_group(example(tmp_path, name), name, corpus=file["corpus"], queries=str(tmp_path / "bare"))


def test_titles_stay_titles_where_the_target_has_them(tmp_path: Path) -> None:
    file = named(tmp_path, ".jsonl")
    hardneg.convert(example(tmp_path, "beir"), "dpr", tmp_path / "out.json", **file)
    (question,) = json.loads((tmp_path / "out.json").read_text())
    (positive,) = question["positive_ctxs"]
    assert (positive["title"], positive["text"]) == ("Elm", "grows tall")
    negatives = [(one["title"], one["text"]) for one in question["hard_negative_ctxs"]]
    assert negatives == [("", "oak"), ("Ash", "burns")]
    hardneg.convert(example(tmp_path, "beir"), "flagembedding", tmp_path / "flat.jsonl", **file)
    assert json.loads((tmp_path / "flat.jsonl").read_text())["pos"] == ["Elm grows tall"]


def test_what_beir_converts_to_is_what_a_run_exports(tmp_path: Path) -> None:
    """Texts with white space at their ends, titles of white space: trimmed as they are encoded."""
    documents = [
        {"_id": "d1", "title": " Elm", "text": "grows tall\n"},
        {"_id": "d2", "title": " ", "text": " grass grows"},
    ]
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    jsonl(tmp_path / "beir" / "corpus.jsonl", documents)
    jsonl(tmp_path / "beir" / "queries.jsonl", QUERIES)
    (tmp_path / "beir" / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    mined = hardneg.mine(
        tmp_path / "beir", run_dir=tmp_path / "run", retriever="bm25", relative_margin=None, guard="off"
    )
    mined.to("tevatron", tmp_path / "exported.jsonl", ids=True)
    mined.to("beir", tmp_path / "exported.tsv", positives=True)
    folder = str(tmp_path / "beir")
    hardneg.convert(
        tmp_path / "exported.tsv", "tevatron", tmp_path / "converted.jsonl", corpus=folder, queries=folder
    )
    assert (tmp_path / "converted.jsonl").read_bytes() == (tmp_path / "exported.jsonl").read_bytes()


def test_a_row_of_texts_that_cannot_be_read_is_told_with_its_file_and_is_no_row_of_the_examples(
    tmp_path: Path,
) -> None:
    """GPL's own folder: the text that is gone takes the example that names it along."""
    (tmp_path / "gpl").mkdir()
    named(tmp_path / "gpl", ".jsonl")
    (tmp_path / "gpl" / "hard-negatives.jsonl").write_text(FILES["gpl"][1])
    with (tmp_path / "gpl" / "corpus.jsonl").open("a") as handle:
        handle.write('{"_id": "d4", "text": 7}\n')
    report = hardneg.check(tmp_path / "gpl")
    assert (report.rows, report.faults) == (1, {"unreadable": 1})
    assert "    corpus.jsonl, line 4: column 'text': must be text, not the number 7" in str(report)


def test_positives_named_beside_a_run_that_have_no_text_are_counted(tmp_path: Path) -> None:
    file = named(tmp_path, ".jsonl")
    (tmp_path / "j.qrels").write_text("q1 0 d1 1\nq1 0 d9 1\nq2 0 d8 1\n")
    report = hardneg.check(example(tmp_path, "trec"), qrels=str(tmp_path / "j.qrels"), **file)
    assert (report.positives, report.clean) == (1, True)
    assert report.notes == {"of the positives named beside the file have no text and are left out": 1}
