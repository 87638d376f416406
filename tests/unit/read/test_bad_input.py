"""What cannot be read is refused with file, line and reason; or skipped, counted and listed."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

import hardneg
from hardneg.config import ReadConfig
from hardneg.read import load
from hardneg.records import Collection

Write = Callable[..., Path]
PairsOf = Callable[[Collection], set[tuple[str, str]]]

GOOD = [{"query": f"query {n}", "positive": f"positive {n}"} for n in range(5)]
LINES = [json.dumps(row) for row in GOOD]


def with_line(bad: str | bytes) -> bytes:
    """Five good rows, the bad one as line 3."""
    lines = [line.encode() for line in LINES]
    lines.insert(2, bad.encode() if isinstance(bad, str) else bad)
    return b"\n".join(lines) + b"\n"


BAD_LINES = {
    "not JSON": ("{oops", "is not JSON"),
    "cut off": ('{"query": "q", "posi', "is not JSON"),
    "not an object": ("[1, 2]", "not an object"),
    "NaN": ('{"query": "q", "positive": NaN}', "JSON|NaN|text"),
    "NaN beside the texts": ('{"query": "q", "positive": "p", "kept": -Infinity}', "-Infinity is no JSON"),
    "a text that shows nothing": ('{"query": "q", "positive": "\u200b\ufeff "}', "'positive'.*empty"),
    "a number for a text": ('{"query": "q", "positive": 7}', "'positive'.*(text|string)"),
    "null": ('{"query": null, "positive": "p"}', "'query'"),
    "empty text": ('{"query": "  ", "positive": "p"}', "'query'.*empty"),
    "no positive": ('{"query": "q", "positive": []}', "'positive'"),
    "a column less": ('{"query": "q"}', "positive"),
    "not UTF-8": (b'{"query": "q\xff", "positive": "p"}', "UTF-8"),
    "deep": ("[" * 100_000, "JSON|nested"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named(write: Write, bad: str | bytes, reason: str) -> None:
    path = write("pairs.jsonl", with_line(bad))
    with pytest.raises(hardneg.InputError) as raised:
        hardneg.load(path)
    message = str(raised.value)
    assert message.startswith(f"{path}, line 3")
    assert re.search(reason, message), message
    assert "\n" not in message and len(message) < 600
    assert "--on-bad-row skip" in message


@pytest.mark.parametrize("bad", [bad for bad, _ in BAD_LINES.values()], ids=BAD_LINES)
def test_skipping_loses_no_good_row_and_lists_the_bad(
    write: Write, tmp_path: Path, pairs_of: PairsOf, bad: str | bytes
) -> None:
    path, listed = write("pairs.jsonl", with_line(bad)), tmp_path / "refused.jsonl"
    data = load(path, config=ReadConfig(on_bad_row="skip"), refused_path=listed)
    assert pairs_of(data) == {(row["query"], row["positive"]) for row in GOOD}
    (row,) = map(json.loads, listed.read_text("utf-8").splitlines())
    assert (row["file"], row["line"]) == (str(path), 3)
    assert any("1 row refused" in note for note in data.report.notes)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jsonl", b"", "empty|no rows"),
        ("blank.jsonl", b"\n\n", "empty|no rows"),
        ("header.csv", b"query,positive\n", "empty|no rows"),
        (
            "cut.jsonl.gz",
            gzip.compress("\n".join(LINES * 999).encode())[:-200],
            "cut|truncated|ended|damaged",
        ),
        ("no.parquet", b"PAR1 plain text", "Parquet"),
        ("unknown.xlsx", b"PK\x03\x04", "xlsx|kind|JSONL"),
        ("fields.csv", b"query,positive\nq,p\nq,p,more\n", "line 3.*(fields|columns)"),
        ("open.csv", b'query,positive\nq,p\n"q,p\n', "quot"),
    ],
)
def test_a_file_that_cannot_be_read(write: Write, name: str, content: bytes, reason: str) -> None:
    path = write(name, content)
    with pytest.raises(hardneg.InputError) as raised:
        hardneg.load(path)
    assert str(path) in str(raised.value)
    assert re.search(reason, str(raised.value)), str(raised.value)


def test_an_absent_file_and_its_neighbour(write: Write) -> None:
    path = write("pairs.jsonl", GOOD)
    with pytest.raises(hardneg.InputError, match=r"did you mean 'pairs\.jsonl'"):
        hardneg.load(path.with_name("pears.jsonl"))


@pytest.mark.parametrize("policy", ["fail", "skip"])
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_packed_file_that_was_cut_off_is_never_taken_for_a_whole_one(
    write: Write, pack: Callable[[bytes], bytes], policy: str
) -> None:
    lines = b"".join(b'{"query": "%d", "pos": "%d"}\n' % (n, n * n * n) for n in range(60_000))
    packed = pack(lines)
    path = write("cut.jsonl", packed[: len(packed) // 2])
    with pytest.raises(hardneg.InputError, match=r"cut\.jsonl.*is damaged, or cut off"):
        hardneg.load(path, on_bad_row=policy)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_packed_files_are_told_by_their_content(
    write: Write, pairs_of: PairsOf, pack: Callable[[bytes], bytes], frames: int
) -> None:
    whole = "\n".join(LINES).encode()
    cut = len(whole) // frames
    parts = [whole[:cut], whole[cut:]][:frames]
    assert len(pairs_of(hardneg.load(write("plain-name.jsonl", b"".join(map(pack, parts)))))) == len(GOOD)


class TestDelimited:
    def test_a_quote_left_open_is_refused_even_when_rows_are_skipped(self, write: Write) -> None:
        """Which of the rows up to the next quote are good cannot be known: none is dropped unseen."""
        path = write("open.csv", 'query,positive\nq1,p1\nq2,"p2\nq3,p3\nq4,"p4"\nq5,p5\n')
        with pytest.raises(hardneg.InputError, match=r"open\.csv, line 3: a quote.*up to line 5"):
            hardneg.load(path, on_bad_row="skip")

    def test_a_quote_inside_a_field_spoils_only_its_row(self, write: Write, pairs_of: PairsOf) -> None:
        path = write("quote.csv", 'query,positive\nq1,"p"1\nq2,p2\n')
        data = hardneg.load(path, on_bad_row="skip")
        assert pairs_of(data) == {("q2", "p2")}
        assert [row["line"] for row in data.report.refused] == [2]

    def test_fields_over_several_lines_count_from_their_first(self, write: Write) -> None:
        path = write("lines.csv", 'query,positive\n"q\n1",p1\nq2,\n')
        with pytest.raises(hardneg.InputError, match=r"line 4, column 'positive': the positive is empty"):
            hardneg.load(path)

    def test_a_field_may_be_long(self, write: Write, pairs_of: PairsOf) -> None:
        long = "x" * 300_000  # over the csv module's own limit
        limit = csv.field_size_limit()
        assert pairs_of(hardneg.load(write("long.csv", f"query,positive\nq,{long}\n"))) == {("q", long)}
        assert csv.field_size_limit() == limit


def test_line_ends_and_a_byte_order_mark_are_no_part_of_the_text(write: Write, pairs_of: PairsOf) -> None:
    path = write("windows.jsonl", b"\xef\xbb\xbf" + "\r\n".join(LINES).encode() + b"\r\n\r\n")
    assert pairs_of(hardneg.load(path)) == {(row["query"], row["positive"]) for row in GOOD}


def test_utf_16_is_called_by_its_name(write: Write) -> None:
    with pytest.raises(hardneg.InputError, match="line 1: is not UTF-8.*looks like UTF-16"):
        hardneg.load(write("wide.jsonl", "\n".join(LINES).encode("utf-16")))


def test_the_list_is_written_where_nothing_is_left_too(write: Write, tmp_path: Path) -> None:
    listed = tmp_path / "refused.jsonl"
    with pytest.raises(
        hardneg.InputError, match="no row is left of it: 2 were refused, the first in .*line 1"
    ):
        load(write("bad.jsonl", "{\n{\n"), config=ReadConfig(on_bad_row="skip"), refused_path=listed)
    assert [json.loads(line)["line"] for line in listed.read_text("utf-8").splitlines()] == [1, 2]
    load(write("good.jsonl", GOOD), config=ReadConfig(on_bad_row="skip"), refused_path=listed)
    assert not listed.exists(), "an older list says nothing of this reading"


def test_parquet_that_is_not_utf_8(tmp_path: Path, pairs_of: PairsOf) -> None:
    text = pa.array([b"good", b"\xff\xfe"], pa.binary()).view(pa.string())
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"query": ["q", "r"], "positive": text}), path)
    data = hardneg.load(path, on_bad_row="skip")
    assert pairs_of(data) == {("q", "good")}
    assert [row["line"] for row in data.report.refused] == [2]


class TestBeirTables:
    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("q1\td9\t1", "'d9'"),
            ("q9\td1\t1", "'q9'"),
            ("q1\td1\tnan", "relevance|number|finite"),
            ("q1\td1\tmuch", "much"),
            ("q1\td1", "fields"),
            ("\td1\t1", "empty"),
            ("q1\0\td1\t1", "NUL"),
        ],
    )
    def test_a_bad_judgment(self, beir: Path, line: str, reason: str) -> None:
        qrels = beir / "qrels" / "train.tsv"
        qrels.write_text(qrels.read_text("utf-8") + line + "\n", "utf-8")
        with pytest.raises(hardneg.InputError) as raised:
            hardneg.load(beir)
        assert str(raised.value).startswith(f"{qrels}, line 5")
        assert re.search(reason, str(raised.value)), str(raised.value)
        kept = hardneg.load(beir, on_bad_row="skip")
        assert kept.qrels.num_rows == 3 and len(kept.report.refused) == 1

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"_id": "d1", "title": "", "text": "other"}, "'d1'"),
            ({"title": "", "text": "no id"}, "_id|id"),
            ({"_id": "d7", "text": 3}, "'text'"),
            ({"_id": "", "text": "x"}, "empty"),
        ],
    )
    def test_a_bad_document(self, beir: Path, row: dict[str, Any], reason: str) -> None:
        corpus = beir / "corpus.jsonl"
        corpus.write_text(corpus.read_text("utf-8") + json.dumps(row) + "\n", "utf-8")
        with pytest.raises(hardneg.InputError) as raised:
            hardneg.load(beir)
        assert f"{corpus}, line 4" in str(raised.value)
        assert re.search(reason, str(raised.value)), str(raised.value)

    def test_a_folder_without_a_corpus(self, beir: Path) -> None:
        (beir / "corpus.jsonl").unlink()
        with pytest.raises(hardneg.InputError, match="corpus"):
            hardneg.load(beir)

    def test_misspelt_columns_of_the_judgments(self, beir: Path) -> None:
        qrels = beir / "qrels" / "train.tsv"
        qrels.write_text(qrels.read_text("utf-8").replace("corpus-id", "corpsid"), "utf-8")
        with pytest.raises(hardneg.InputError, match="corpsid"):
            hardneg.load(beir)

    def test_no_positive_at_all(self, beir: Path) -> None:
        (beir / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t0\n", "utf-8")
        with pytest.raises(hardneg.InputError, match="highest relevance is 0, and a positive has above 0"):
            hardneg.load(beir)

    def test_no_positive_at_that_relevance(self, beir: Path) -> None:
        with pytest.raises(hardneg.InputError, match="highest relevance is 2, and a positive has 3 or more"):
            hardneg.load(beir, min_relevance=3)


def test_a_column_of_another_type(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"query": ["a", "b"], "positive": [1, 2]}), path)
    with pytest.raises(hardneg.InputError, match=r"'positive'"):
        hardneg.load(path)


def test_half_a_surrogate_pair_is_mended_and_told(write: Write, pairs_of: PairsOf) -> None:
    data = hardneg.load(write("pairs.jsonl", '{"query": "a\\ud800", "positive": "p"}\n'))
    assert pairs_of(data) == {("a\ufffd", "p")}
    assert any("1 text held half a surrogate pair" in note for note in data.report.notes)


def test_rows_without_a_usable_one() -> None:
    with pytest.raises(hardneg.InputError):
        hardneg.load([])
    with pytest.raises(hardneg.InputError):
        hardneg.load([{"query": "", "positive": "p"}], on_bad_row="skip")
