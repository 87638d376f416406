"""Lists of documents and queries to leave out: by id, by text, and what matches nothing is counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from hardneg.config import GuardConfig
from hardneg.errors import InputError
from hardneg.guard import (
    ExcludedDocuments,
    TextClasses,
    apply_rules,
    block_of,
    build_rules,
    describe_unmatched,
    excluded_documents,
    excluded_queries,
)
from hardneg.guard.exclusion_list import read_entries
from hardneg.progress import Silent
from hardneg.records import Collection, Pairs, ReadReport

CORPUS = pa.table(
    {
        "doc_id": ["1", "2", "3", "4", "5"],
        "title": pa.array([None, "Cats", None, None, None], pa.large_string()),
        "text": pa.array(["A cat sat.", "They sat.", "a  CAT sat.", "A dog.", "A bird."], pa.large_string()),
    }
)
QUERIES = pa.table(
    {
        "query_id": ["q1", "q2", "q3", "q4"],
        "text": pa.array(
            [
                "Who sat there?",
                "Why do cats sit on mats in the sun?",
                "where do birds fly in the winter?",
                "who  SAT there?",
            ],
            pa.large_string(),
        ),
    }
)


def documents(path: Path) -> ExcludedDocuments:
    return excluded_documents(CORPUS, TextClasses.build(CORPUS, QUERIES), path)


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("4", [3]),
        ("1", [0, 2]),  # and its twin
        ("a dog.", [3]),
        ("A CAT SAT. ", [0, 2]),
        ("cats they sat.", [1]),
        ("they sat.", [1]),  # the text without its title
        ("nothing of the kind", []),
        ("who sat there?", []),  # a query's text is no document
    ],
)
def test_documents_by_id_or_text_with_all_twins(tmp_path: Path, line: str, rows: list[int]) -> None:
    listed = documents(written(tmp_path, "", line))
    assert np.flatnonzero(listed.documents).tolist() == rows
    assert (listed.entries, listed.unmatched) == (1, () if rows else (2,))


def test_a_beir_corpus_file(tmp_path: Path) -> None:
    rows = [
        {"_id": "x1", "title": "cats", "text": "they sat."},
        {"_id": "x2", "title": "", "text": "A dog."},
        {"_id": "5", "title": "", "text": "Another text under an id of ours."},
        {"_id": "x3", "title": "", "text": "Not here."},
    ]
    listed = documents(written(tmp_path, *map(json.dumps, rows)))
    assert np.flatnonzero(listed.documents).tolist() == [1, 3, 4]
    assert (listed.entries, listed.unmatched) == (4, (4,))


@pytest.mark.parametrize(
    "row", [{"doc_id": "4"}, {"id": 4}, {"text": "a DOG."}, {"docid": "zz", "contents": "A dog."}]
)
def test_json_lines_by_id_or_text(tmp_path: Path, row: dict[str, object]) -> None:
    assert np.flatnonzero(documents(written(tmp_path, json.dumps(row))).documents).tolist() == [3]


def test_compressed_lists(tmp_path: Path) -> None:
    packed = {".gz": gzip.compress(b"4\n5\n"), ".zst": zstandard.ZstdCompressor().compress(b"4\n5\n")}
    for suffix, data in packed.items():
        path = tmp_path / f"list.txt{suffix}"
        path.write_bytes(data)
        assert [entry.name for entry in read_entries(path)] == ["4", "5"]
        path.write_bytes(data + data)  # packed in two parts
        assert [entry.name for entry in read_entries(path)] == ["4", "5", "4", "5"]
        path.write_bytes(data[:-5])
        with pytest.raises(InputError, match="cannot be read"):
            list(read_entries(path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no ids and no texts"),
        (b"\n \n", "holds no ids and no texts"),
        (b"ok\n\xff\xfe\n", "line 2: is not UTF-8"),
        (b'{"_id": "1"}\nnot JSON\n', "line 2: is not JSON"),
        (b'{"_id": "1"}\n{"other": 1}\n', "line 2: names no id"),
        (b'{"_id": "1"}\n["1"]\n', "line 2: names no id"),
    ],
)
def test_bad_lists_are_refused_with_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as raised:
        documents(path)
    assert raised.value.file == str(path)


def test_a_list_that_is_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file"):
        documents(tmp_path / "absent.txt")
    for start in (b"\x1f\x8b", b"\x28\xb5\x2f\xfd"):  # what a file holds says what it is, not its name
        path = tmp_path / "list"
        path.write_bytes(start + b"no archive")
        with pytest.raises(InputError, match="cannot be read"):
            documents(path)


def test_the_rule_and_what_it_tells(tmp_path: Path) -> None:
    class Told(Silent):
        lines: list[str]

        def say(self, line: str) -> None:
            self.lines.append(line)

    told = Told()
    told.lines = []
    path = written(tmp_path, "4", "zz", "1")
    positives = Pairs.from_rows(np.array([0], np.int32), np.array([0], np.int32), 4)
    collection = Collection(CORPUS, QUERIES, pa.table({}), pa.table({}), ReadReport("test"))
    classes = TextClasses.build(CORPUS, QUERIES)
    config = GuardConfig(exclude_docs=str(path), near_duplicate=0)
    rules = build_rules(collection, positives, classes, None, config, told)
    numbers = apply_rules(block_of(np.array([0, 1]), np.array([[0, 2, 3, 4]] * 2), positives), rules)
    reasons = [["" if not number else rules[number - 1].code for number in row] for row in numbers.tolist()]
    assert reasons == [
        ["positive", "positive_text", "excluded_document", ""],
        ["excluded_document", "excluded_document", "excluded_document", ""],
    ]
    assert told.lines == [f"{path}: 3 entries exclude 3 documents; 1 entry matches no document (line 2)"]


def test_many_unmatched_lines_are_counted_and_some_shown() -> None:
    assert describe_unmatched((), "query") == ""
    lines = "; 7 entries match no query (lines 1, 2, 3, 4, 5, ...)"
    assert describe_unmatched(range(1, 8), "query") == lines


def test_queries_by_id_by_text_and_nearly(tmp_path: Path) -> None:
    path = written(tmp_path, "q3", "who sat THERE?", "Why do cats sit on mats in the sun", "something else")
    result = excluded_queries(QUERIES, path)
    assert result.queries.tolist() == [True, True, True, True]
    assert result.reason.to_pylist() == ["text", "near_identical", "id", "text"]
    assert result.matched.to_pylist() == [
        "who sat THERE?",
        "Why do cats sit on mats in the sun",
        "q3",
        "who sat THERE?",
    ]
    assert (result.entries, result.unmatched) == (4, (4,))


def test_other_queries_stay(tmp_path: Path) -> None:
    result = excluded_queries(QUERIES, written(tmp_path, "Why do dogs lie on rugs in the shade?", "q5"))
    assert not result.queries.any()
    assert result.reason.to_pylist() == result.matched.to_pylist() == [None] * 4
    assert result.unmatched == (1, 2)


def test_a_query_with_a_typo_or_a_word_less_is_near_identical(tmp_path: Path) -> None:
    for line in ("Why do cats set on mats in the sun?", "Why do cats sit on mats in sun?"):
        assert excluded_queries(QUERIES, written(tmp_path, line)).queries.tolist() == [
            False,
            True,
            False,
            False,
        ]


def test_the_threshold_of_queries(tmp_path: Path) -> None:
    queries = pa.table({"query_id": ["q"], "text": pa.array(["abcdefghij"], pa.large_string())})
    path = written(tmp_path, "abcdefghix")
    # Eight trigrams each, seven of them shared (abc to ghi): 7 / (8 + 8 - 7).
    assert excluded_queries(queries, path, 7 / 9).queries.tolist() == [True]
    assert excluded_queries(queries, path, 7 / 9 + 0.001).queries.tolist() == [False]


def test_the_most_similar_entry_is_told(tmp_path: Path) -> None:
    near, nearer = "Why do cats sit on mats in the sun??!", "Why do cats sit on mats in the sun??"
    for lines in ((near, nearer), (nearer, near)):
        result = excluded_queries(QUERIES, written(tmp_path, *lines))
        assert result.matched.to_pylist()[1] == nearer
        assert result.unmatched == ()


def test_json_lines_of_queries(tmp_path: Path) -> None:
    rows = [
        {"_id": "other", "text": "WHO sat there?"},
        {"query_id": "q2"},
        {"query": "where do birds fly in winter?"},
    ]
    result = excluded_queries(QUERIES, written(tmp_path, *map(json.dumps, rows)))
    assert result.reason.to_pylist() == ["text", "id", "near_identical", "text"]
    assert result.matched.to_pylist()[1] == "q2"


def test_no_queries(tmp_path: Path) -> None:
    result = excluded_queries(QUERIES.slice(0, 0), written(tmp_path, "q1"))
    assert result.queries.shape == (0,)
    assert result.unmatched == (1,)
