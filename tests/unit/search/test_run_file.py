"""A TREC run as a retriever: the worked example, the order, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from hardneg.errors import InputError
from hardneg.progress import Silent
from hardneg.records import NO_DOC
from hardneg.search.run_file import RunRetriever

TOP_15 = (
    "4346436 17388232 14103509 37437064 29638116 25435456 32532238 31715818 23763738 7583104 21456232 "
    "2121272 35621259 58050905 196664003"
).split()
POSITIVE = "31715818"


class Told(Silent):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def ids(*names: str) -> pa.ChunkedArray:
    return pa.chunked_array([sorted(names, key=str.encode)], pa.string())


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "some.run"
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def rows(*row: int) -> np.ndarray:
    return np.array(row, np.int32)


NO_POSITIVES = np.zeros((1, 0), np.int32)
QUERIES = ids("q1", "q2")
CORPUS = ids("a", "b", "c", "d")


def test_the_worked_example_comes_out_as_written(tmp_path: Path) -> None:
    path = write(tmp_path, *(f"0 Q0 {d} {r} {1 - r / 100} bge" for r, d in enumerate(TOP_15, 1)))
    corpus = ids(*TOP_15, "5", "99")
    positive = np.array([[corpus.to_pylist().index(POSITIVE)]], np.int32)
    ranking = RunRetriever("run", path, ids("0"), corpus).search(rows(0), 20, positive, Silent())
    assert corpus.take(pa.array(ranking.doc[0, :15])).to_pylist() == TOP_15
    assert ranking.doc.shape == (1, 15)  # no room for what is not there
    assert ranking.positive_score[0, 0] == np.float32(0.92)  # rank 8: 1 - 8 / 100


def test_scores_order_and_equal_scores_keep_the_order_of_the_ranks(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "q2 Q0 d 1 7 x",
        "q1 Q0 c 3 0.5 x",
        "q1\tQ0\tb   2 0.5 x",
        "",
        "q1 Q0 d 4 -1e-2 x",
        "q1 Q0 a 1 2.5 x",
    )
    told = Told()
    ranking = RunRetriever("run", path, QUERIES, CORPUS).search(
        rows(1, 0), 3, np.array([[0, 3], [3, NO_DOC]], np.int32), told
    )
    assert ranking.doc.tolist() == [[3, NO_DOC, NO_DOC], [0, 1, 2]]
    np.testing.assert_array_equal(ranking.score, [[7, np.nan, np.nan], [2.5, 0.5, 0.5]])
    np.testing.assert_array_equal(
        ranking.positive_score, np.array([[np.nan, 7], [-1e-2, np.nan]], np.float32)
    )
    assert told.lines == []


def test_ranks_that_contradict_the_scores_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "q1 Q0 a 1 0.2 x", "q1 Q0 b 2 0.9 x", "q2 Q0 b 1 0.9 x")
    told = Told()
    retriever = RunRetriever("mine", path, QUERIES, CORPUS)
    assert retriever.search(rows(0), 2, NO_POSITIVES, told).doc.tolist() == [[1, 0]]
    assert len(told.lines) == 1
    assert "contradicts the scores of 1 query, the first of them 'q1'" in told.lines[0]
    retriever.search(rows(0), 2, NO_POSITIVES, told)
    assert len(told.lines) == 1  # said once


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_compressed_runs(tmp_path: Path, compress: object) -> None:
    path = tmp_path / "run.packed"
    path.write_bytes(compress(b"q1 Q0 a 1 1.0 x\r\nq1 Q0 c 2 0.5 x"))  # type: ignore[operator]
    ranking = RunRetriever("run", path, QUERIES, CORPUS).search(rows(0), 2, NO_POSITIVES, Silent())
    assert ranking.doc.tolist() == [[0, 2]]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_cut_off_run_is_not_taken_for_a_whole_one(tmp_path: Path, compress: object) -> None:
    path = tmp_path / "run.packed"
    lines = b"".join(b"q1 Q0 a %d %d x\n" % (rank, -rank) for rank in range(1, 4000))
    path.write_bytes(compress(lines)[:-40])  # type: ignore[operator]
    with pytest.raises(InputError, match="cannot be read"):
        RunRetriever("run", path, QUERIES, CORPUS)


def test_other_queries_are_counted_and_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "q1 Q0 a 1 1 x", "q8 Q0 a 1 1 x", "q9 Q0 a 1 1 x", "q9 Q0 nowhere 2 0 x")
    told = Told()
    RunRetriever("run", path, QUERIES, CORPUS).search(rows(0), 2, NO_POSITIVES, told)
    assert [line.split(": ", 2)[2] for line in told.lines] == ["3 lines of 2 other queries left out"]


def test_a_document_outside_the_corpus_is_refused_or_skipped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "q1 Q0 a 1 3 x", "q1 Q0 nowhere 2 2 x", "q1 Q0 b 3 1 x")
    with pytest.raises(
        InputError, match=r"some\.run, line 2, id 'nowhere': the document is not in the corpus"
    ):
        RunRetriever("run", path, QUERIES, CORPUS)
    told = Told()
    skipping = RunRetriever("run", path, QUERIES, CORPUS, unknown_documents="skip")
    assert skipping.search(rows(0), 3, NO_POSITIVES, told).doc.tolist() == [[0, 1]]
    assert "1 line with documents that the corpus does not hold left out" in told.lines[0]


GOOD = "q1 Q0 a 1 1.0 x"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([GOOD, "", "q1 Q0 b 2 0.5"], "line 3: 5 columns where a run has 6"),
        ([GOOD, "q1 Q0 b 2 0.5 x", "q2 Q0 a 1 0.5 x y"], "line 3: 7 columns"),
        ([GOOD, "q1 Q0 b 2 nan x"], "line 2, column 'score': 'nan' is no number between -1e+38 and 1e+38"),
        ([GOOD, "q1 Q0 b 2 -inf x"], "line 2, column 'score': '-inf' is no number between -1e+38 and 1e+38"),
        ([GOOD, "q1 Q0 b 2 1e39 x"], "line 2, column 'score': '1e39' is no number between -1e+38 and 1e+38"),
        ([GOOD, "q1 Q0 b 2 high x"], "line 2, column 'score': 'high' is no number"),
        ([GOOD, "q1 Q0 b 2.5 1 x"], "line 2, column 'rank': '2.5' is no whole number"),
        ([GOOD, "q2 Q0 a 1 1 x", "q1 Q0 a 2 0.5 x"], "line 3, id 'a': the document stands on line 1"),
        (["", " "], "holds no line"),
        (["q7 Q0 a 1 1 x"], "no line is about any of the queries"),
    ],
)
def test_bad_runs_are_refused_with_their_line(tmp_path: Path, lines: list[str], message: str) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(InputError) as caught:
        RunRetriever("run", path, QUERIES, CORPUS)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_run_that_is_not_utf8_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.run"
    path.write_bytes(b"q1 Q0 a 1 1 x\nq1 Q0 caf\xe9 2 0.5 x\n")
    with pytest.raises(InputError, match="line 2, column 'doc_id': is not UTF-8"):
        RunRetriever("run", path, QUERIES, CORPUS)
    with pytest.raises(InputError, match="is no file"):
        RunRetriever("run", tmp_path / "missing.run", QUERIES, CORPUS)
    broken = tmp_path / "broken.run.gz"
    broken.write_bytes(gzip.compress(b"q1 Q0 a 1 1 x\n" * 100)[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        RunRetriever("run", broken, QUERIES, CORPUS)
