"""Bad rows and files of rows: every reader, every field."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bad_input import (
    CORPUS,
    GOOD,
    HEADER,
    JUDGMENTS,
    PAIRS,
    Case,
    Content,
    Fixture,
    Kept,
    beir,
    folder,
    json_lines,
    link_to,
    long_line,
    mine,
    pairs_with,
    pipe,
)

SKIP = "--on-bad-row skip"
QUERY, POSITIVE = "what is a good row?", "this is one"


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def refused(name: str, bad: str | bytes | dict[str, Any], *says: str) -> list[Case]:
    """A bad row of pairs is refused by its line; skipped, it is listed and the five others are there."""
    files = pairs_with(bad)
    kept = Kept(judgments=5, queries=5, refused=1, lines=(3,))
    return [
        Case(f"{name}, refused", mine(), ("pairs.jsonl, line 3", *says, "--on-bad-row skip"), files),
        Case(f"{name}, skipped", mine(flags=SKIP), (), files, code=0, kept=kept),
    ]


def row(**values: Any) -> dict[str, Any]:
    return {"query": QUERY, "positive": POSITIVE, **values}


# -- pairs of texts in JSON lines -------------------------------------------------------------------------

JSON_ROWS = [
    *refused("not JSON", "{oops", "is not JSON", "column 2"),
    *refused("a row cut off", '{"query": "q", "posi', "is not JSON"),
    *refused("two objects on a line", '{"query": "q", "pos": "p"} {}', "is not JSON"),
    *refused("an array for an object", '["q", "p"]', "not an object", "an array"),
    *refused("nested 100,000 deep", '{"query": ' + "[" * 100_000, "nested too deep"),
    *refused("a number of a million digits", '{"query": ' + "9" * 1_000_000 + "}", "4,300 digits"),
    *refused("NaN", '{"query": "q", "positive": "p", "price": NaN}', "NaN is no JSON value"),
    *refused("a key twice", '{"query": "q", "positive": "p", "query": "r"}', "'query' stands there twice"),
    *refused("not UTF-8", b'{"query": "q\xff", "positive": "p"}', "is not UTF-8 at byte"),
    *refused("half a surrogate pair as UTF-8", '{"query": "q\ud800", "positive": "p"}', "is not UTF-8"),
    *refused("NUL bytes", b"\0\0\0\0", "is not JSON"),
    *refused("a number for the query", row(query=7), "'query'", "must be text, not the number 7"),
    *refused("a list for the query", row(query=["q"]), "'query'", "must be text, not a list"),
    *refused("null for the query", row(query=None), "'query'", "is missing"),
    *refused("a blank query", row(query=" \t"), "'query'", "is empty"),
    *refused("true for the positive", row(positive=True), "'positive'", "must be text, not true"),
    *refused("a number among positives", row(positive=["p", 1.5]), "'positive'", "the number 1.5"),
    *refused("0 positives", row(positive=[]), "'positive'", "there is no positive"),
    *refused("an object for the positive", row(positive={"text": "p"}), "must be text, not an object"),
    *refused("a number for a negative", row(neg=[3]), "'neg'", "must be text, not the number 3"),
    *refused("no query column", {"positive": "p"}, "no column holds the query", "--query-column"),
    *refused("an empty object", "{}", "no column holds the query"),
    *refused("true for an id", row(query_id=True), "'query_id'", "the id must be text or a whole number"),
    *refused("half a number for an id", row(query_id=1.5), "'query_id'", "the number 1.5"),
    *refused("an object for an id", row(query_id={}), "'query_id'", "an object"),
    *refused("half a surrogate pair in an id", row(query_id="\ud800"), "half a surrogate pair"),
    *refused("NUL in an id", row(query_id="a\0"), "'query_id'", "NUL"),
    *refused("an infinite relevance", row(relevance="inf"), "'relevance'", "finite number"),
    *refused("a word for the relevance", row(relevance="high"), "'relevance'", "'high'"),
    *refused("an infinite score", row(pos_scores=[1e39]), "'pos_scores'", "finite number"),
    *refused("two scores for one text", row(pos_scores=[1, 2]), "'pos_scores'", "2 values for 1 texts"),
    *refused("a number for a prompt", row(prompt=3), "'prompt'", "must be text"),
    *refused("half a surrogate pair in a column's name", r'{"query": "q", "positive": "p", "\ud800": 1}',
             "half a surrogate pair"),
]  # fmt: skip

TWO_TEXTS: dict[str, Content] = {
    "pairs.jsonl": GOOD + json_lines(row(query_id="a"), {"query": "b?", "positive": "c", "query_id": "a"})
}

LONG: dict[str, Content] = {"pairs.jsonl": long_line(GOOD, "\n" + json_lines(row()))}

JSON_FILES = [
    Case("a line of 100 MB, refused", mine(), ("pairs.jsonl, line 6", "longer than 64 MiB"), LONG),
    Case("a line of 100 MB, skipped", mine(flags=SKIP), (), LONG,
         code=0, kept=Kept(judgments=6, queries=6, refused=1)),
    Case("an empty file", mine(), ("pairs.jsonl", "is an empty file"), {"pairs.jsonl": b""}),
    Case("blank lines only", mine(), ("pairs.jsonl", "is empty: it holds no row"), {"pairs.jsonl": "\n \n"}),
    Case("an empty packed file", mine("p.jsonl.gz"), ("is an empty file",), {"p.jsonl.gz": gzip.compress(b"",
             mtime=0)}),
    Case("UTF-16", mine(), ("line 1", "looks like UTF-16", "save the file as UTF-8"),
         {"pairs.jsonl": GOOD.encode("utf-16")}),
    Case("a byte order mark and CRLF", mine(), (),
         {"pairs.jsonl": b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()},
         code=0, kept=Kept(judgments=5, queries=5)),
    Case("no end of the last line", mine(), (), {"pairs.jsonl": GOOD.rstrip()},
         code=0, kept=Kept(judgments=5, queries=5)),
    Case("a JSON array over lines", mine("p.json"), ("p.json, line 1", "is not JSON"),
         {"p.json": json.dumps(PAIRS, indent=1)}),
    Case("half a surrogate pair in a text", mine(), (), pairs_with(row(query=QUERY + "\ud800")),
         code=0, kept=Kept(judgments=6, queries=6)),
    Case("an id with another text, refused", mine(), ("line 7", "id 'a'", "another text too"), TWO_TEXTS),
    Case("an id with another text, skipped", mine(flags=SKIP), (), TWO_TEXTS,
         code=0, kept=Kept(judgments=6, refused=1)),
    Case("every row refused", mine(flags=SKIP), ("no row is left", "2 were refused", "line 1"),
         {"pairs.jsonl": "{\n{\n"}),
    Case("the id 'nan'", mine(), (), pairs_with(row(query_id="nan")), code=0, kept=Kept(judgments=6,
             queries=6)),
    Case("numbers and texts as ids", mine(), (), pairs_with(row(query_id=7), row(query_id="7")),
         code=0, kept=Kept(judgments=6, queries=6)),
    Case("the same row again", mine(), (), {"pairs.jsonl": GOOD + GOOD}, code=0, kept=Kept(judgments=5,
             queries=5)),
    Case("2,000 columns", mine(), ("pairs.jsonl", "over 1,000 different columns"),
         {"pairs.jsonl": json_lines(*(row(**{f"column {n}": n}) for n in range(2_000)))}),
    Case("a packed file cut off", mine("p.jsonl.gz"), ("p.jsonl.gz", "damaged, or cut off"),
         {"p.jsonl.gz": gzip.compress(GOOD.encode() * 999, mtime=0)[:-20]}),
    Case("a gzip bomb", mine("p.jsonl.gz", SKIP), ("p.jsonl.gz, line 1", "longer than 64 MiB"),
         {"p.jsonl.gz": gzip.compress(bytes(300_000_000), 1, mtime=0)}),
    Case("plain text called packed", mine("p.jsonl.gz"), (), {"p.jsonl.gz": GOOD.encode()},
         code=0, kept=Kept(judgments=5)),
    Case("no format", mine("p.xlsx"), ("p.xlsx", "its suffix names no format", ".jsonl"),
             {"p.xlsx": b"PK\3\4"}),
    Case("a misspelt column", mine(flags="--query-column qery"), ("no column 'qery'", "'query'"),
         {"pairs.jsonl": GOOD}),
    Case("a misspelt file", mine("pears.jsonl"), ("pears.jsonl", "did you mean 'pairs.jsonl'"),
         {"pairs.jsonl": GOOD}),
    Case("no source", mine("''"), ("the name of a source is empty",)),
]  # fmt: skip


# -- what is no file --------------------------------------------------------------------------------------

NO_FILES = [
    Case("a folder for a file", mine(), ("pairs.jsonl",), {"pairs.jsonl": folder}),
    Case("a symlink loop", mine(), ("pairs.jsonl", "links to itself"),
             {"pairs.jsonl": link_to("pairs.jsonl")}),
    Case("a dangling link", mine(), ("pairs.jsonl", "no such file or folder"),
             {"pairs.jsonl": link_to("gone.jsonl")}),
    Case("a pipe that nobody writes to", mine(), ("pairs.jsonl", "a pipe", "write it to a file"),
         {"pairs.jsonl": pipe}),
    Case("an endless device", mine(), ("pairs.jsonl", "a device"), {"pairs.jsonl": link_to("/dev/zero")}),
    Case("a name that is too long", mine("x" * 300 + ".jsonl"), ("name", "too long")),
    Case("judgments: a pipe", mine("data", "--qrels pipe.tsv"), ("pipe.tsv", "a pipe"),
             beir(**{"pipe.tsv": pipe})),
    Case("a corpus: a pipe", mine("pairs.jsonl", "--corpus pipe.jsonl"), ("pipe.jsonl", "a pipe"),
         {"pairs.jsonl": GOOD, "pipe.jsonl": pipe}),
    Case("a corpus: a symlink loop", mine("pairs.jsonl", "--corpus loop.jsonl"), ("loop.jsonl",
             "links to itself"),
         {"pairs.jsonl": GOOD, "loop.jsonl": link_to("loop.jsonl")}),
    Case("an empty folder", mine("data"), ("data", "empty folder"), {"data": folder}),
    Case("a folder of something else", mine("data"), ("data",), {"data/notes.txt": "nothing"}),
    Case("no such data set, offline", mine("nobody/nothing"), ("nobody/nothing", "Hub", "check the name")),
    Case("no such data set, a word", mine("nothing"), ("nothing", "Hub")),
    Case("the Hub by hf:, offline", mine("hf:nobody/nothing"), ("nobody/nothing", "Hub")),
    Case("hf: and nothing", mine("hf:"), ("the name of a source is empty",)),
]  # fmt: skip


# -- CSV, TSV and Parquet ---------------------------------------------------------------------------------


def _csv(text: str) -> dict[str, Content]:
    return {"p.csv": text}


def _frozen(path: Path, fixture: Fixture) -> None:
    """A file that is shorter than it says: the end is another's."""
    path.write_bytes(parquet(query=["q"], positive=["p"])[:-8] + b"\xff\xff\xff\x7fPAR1")


PAIR_CSV = "query,positive\nq1,p1\nq2,p2\n"
TABLES = [
    Case("CSV: a header only", mine("p.csv"), ("p.csv", "holds no row"), _csv("query,positive\n")),
    Case("CSV: a field too many", mine("p.csv"), ("p.csv, line 4", "3 fields where the header has 2"),
         _csv(PAIR_CSV + "a,b,c\n")),
    Case("CSV: a field too many, skipped", mine("p.csv", SKIP), (), _csv(PAIR_CSV + "a,b,c\n"),
         code=0, kept=Kept(judgments=2, refused=1)),
    Case("CSV: a quote left open", mine("p.csv", SKIP), ("p.csv, line 4", "a quote is opened"),
         _csv(PAIR_CSV + 'q3,"p3\nq4,p4\n')),
    Case("CSV: a column twice", mine("p.csv"), ("p.csv, line 1", "'query' stands there twice"),
         _csv("query,query\na,b\n")),
    Case("CSV: an empty text", mine("p.csv"), ("p.csv, line 4, column 'positive'", "is empty"),
         _csv(PAIR_CSV + "q3,\n")),
    Case("CSV: NUL bytes", mine("p.csv"), ("p.csv, line 4",), {"p.csv": PAIR_CSV.encode() + b"\0\0\n"}),
    Case("CSV: not UTF-8", mine("p.csv"), ("p.csv, line 4", "is not UTF-8"),
         {"p.csv": PAIR_CSV.encode() + b"q\xe9,p\n"}),
    Case("CSV: separated by semicolons", mine("p.csv"), ("p.csv, line 1", "no column holds the query"),
         _csv(PAIR_CSV.replace(",", ";"))),
    Case("CSV: a line of 100 MB", mine("p.csv"), ("p.csv, line 4", "longer than 64 MiB"),
         {"p.csv": long_line(PAIR_CSV + "q,")}),
    Case("CSV: CR alone at the ends of lines", mine("p.csv"), ("p.csv",), _csv(PAIR_CSV.replace("\n", "\r"))),
    Case("TSV: a byte order mark and CRLF", mine("p.tsv"), (),
         {"p.tsv": "\ufeffquery\tpositive\r\nq1\tp1\r\nq2\tp2\r\n"}, code=0, kept=Kept(judgments=2)),
    Case("Parquet: no Parquet", mine("p.parquet"), ("p.parquet", "cannot be read as Parquet"),
         {"p.parquet": b"PAR1 a text"}),
    Case("Parquet: cut off", mine("p.parquet"), ("p.parquet", "cannot be read as Parquet"),
         {"p.parquet": parquet(query=["q"], positive=["p"])[:-9]}),
    Case("Parquet: a footer that lies", mine("p.parquet"), ("p.parquet", "cannot be read as Parquet"),
         {"p.parquet": _frozen}),
    Case("Parquet: numbers for texts", mine("p.parquet"), ("p.parquet, line 1, column 'positive'",
             "number 1"),
         {"p.parquet": parquet(query=["q"], positive=[1])}),
    Case("Parquet: no row", mine("p.parquet"), ("p.parquet", "holds no row"),
         {"p.parquet": parquet(query=pa.array([], pa.string()), positive=pa.array([], pa.string()))}),
    Case("Parquet: a date before all calendars", mine("p.parquet"), (),
         {"p.parquet": parquet(query=["q", "r"], positive=["p", "s"],
                               day=pa.array([-(10**9), 1], pa.date32()))},
         code=0, kept=Kept(judgments=2)),
    Case("Parquet: a time beyond all calendars", mine("p.parquet"), (),
         {"p.parquet": parquet(query=["q", "r"], positive=["p", "s"],
                               when=pa.array([2**62, 1], pa.timestamp("ms", "UTC")))},
         code=0, kept=Kept(judgments=2)),
    Case("Parquet: decimals for ids and grades", mine("p.parquet"), (),
         {"p.parquet": parquet(query=["q", "r"], positive=["p", "s"],
                               query_id=pa.array([1, 2], pa.decimal128(38, 0)),
                               relevance=pa.array([1, 2], pa.decimal128(5, 2)))},
         code=0, kept=Kept(judgments=2)),
    Case("Parquet: half a decimal for an id", mine("p.parquet"), ("p.parquet, line 1, column 'query_id'",
             "whole number"),
         {"p.parquet": parquet(query=["q"], positive=["p"],
                               query_id=pa.array(["1.5"]).cast(pa.decimal128(5, 2)))}),
    Case("Parquet: nanoseconds", mine("p.parquet"), (),
         {"p.parquet": parquet(query=["q", "r"], positive=["p", "s"],
                               when=pa.array([2**62 + 1, 1], pa.timestamp("ns")))},
         code=0, kept=Kept(judgments=2)),
    Case("Parquet: NaN in a kept column", mine("p.parquet"), (),
         {"p.parquet": parquet(query=["q", "r"], positive=["p", "s"], price=[float("nan"), 1.0])},
         code=0, kept=Kept(judgments=2)),
]  # fmt: skip


# -- a BEIR folder ----------------------------------------------------------------------------------------


def table(name: str, says: Sequence[str], *, skipped: Kept | None = None, **tables: Any) -> list[Case]:
    """A row of a BEIR table is refused; skipped, what is left is `skipped`."""
    files = beir(**tables)
    cases = [Case(f"BEIR: {name}, refused", mine("data"), tuple(says), files)]
    if skipped is not None:
        cases.append(Case(f"BEIR: {name}, skipped", mine("data", SKIP), (), files, code=0, kept=skipped))
    return cases


ALL = {"judgments": 3, "documents": 6, "queries": 3}
ONE_REFUSED = Kept(**ALL, refused=1)
BEIR = [
    *table("a judgment of no query", ["train.tsv, line 5", "id 'q9'", "no query of this id"],
           judgments=["q9\td1\t1"], skipped=ONE_REFUSED),
    *table("a judgment of no document", ["train.tsv, line 5", "id 'd9'", "no document of this id"],
           judgments=["q1\td9\t1"], skipped=ONE_REFUSED),
    *table("a relevance of NaN", ["train.tsv, line 5", "'score'", "finite number"],
           judgments=["q1\td2\tnan"], skipped=ONE_REFUSED),
    *table("a word for a relevance", ["train.tsv, line 5", "'score'", "'much'"],
           judgments=["q1\td2\tmuch"], skipped=ONE_REFUSED),
    *table("a judgment with a field less", ["train.tsv, line 5", "2 fields where 3"],
           judgments=["q1\td2"], skipped=ONE_REFUSED),
    *table("a judgment with an empty id", ["train.tsv, line 5", "the id is empty"],
           judgments=["\td2\t1"], skipped=ONE_REFUSED),
    *table("a document's id with another text", ["corpus.jsonl, line 7", "id 'd1'", "another text too"],
           corpus=[{"_id": "d1", "title": "", "text": "something else"}], skipped=ONE_REFUSED),
    *table("a document without an id", ["corpus.jsonl, line 7", "'_id'", "is missing"],
           corpus=[{"_id": None, "title": "", "text": "x"}], skipped=ONE_REFUSED),
    *table("a number for a document's text", ["corpus.jsonl, line 7", "'text'", "the number 3"],
           corpus=[{"_id": "d7", "title": "", "text": 3}], skipped=ONE_REFUSED),
    *table("a list for a title", ["corpus.jsonl, line 7", "'title'", "must be text, not a list"],
           corpus=[{"_id": "d7", "title": [], "text": "x"}], skipped=ONE_REFUSED),
    *table("an object for a language", ["corpus.jsonl, line 7", "'lang'"],
           corpus=[{"_id": "d7", "title": "", "text": "x", "lang": {}}], skipped=ONE_REFUSED),
    *table("a query's id with another text", ["queries.jsonl, line 4", "id 'q1'", "another text too"],
           queries=[{"_id": "q1", "text": "zzz?"}], skipped=ONE_REFUSED),
    *table("a query without text", ["queries.jsonl, line 4", "'text'", "is empty"],
           queries=[{"_id": "q3", "text": ""}], judgments=["q3\td1\t1"], skipped=Kept(**ALL, refused=2)),
    Case("BEIR: numeric ids against texts", mine("data"), (),
         beir(corpus=[{"_id": 7, "title": "", "text": "seven"}], judgments=["q1\t7\t1"]),
         code=0, kept=Kept(judgments=4, documents=7, queries=3)),
    Case("BEIR: the id 'nan'", mine("data"), (),
         beir(corpus=[{"_id": "nan", "title": "", "text": "none"}], judgments=["q1\tnan\t1"]),
         code=0, kept=Kept(judgments=4, documents=7, queries=3)),
    Case("BEIR: an id that is a float", mine("data"), ("corpus.jsonl, line 7", "the number 0.5"),
         beir(corpus=[{"_id": 0.5, "title": "", "text": "half"}])),
    Case("BEIR: 0 queries", mine("data"), ("queries.jsonl", "is an empty file"),
         beir(**{"data/queries.jsonl": ""})),
    Case("BEIR: 0 judgments", mine("data"), ("train.tsv", "no judgment"),
         beir(**{"data/qrels/train.tsv": HEADER + "\n"})),
    Case("BEIR: 0 positives", mine("data"), ("holds no positive", "--min-relevance"),
         beir(**{"data/qrels/train.tsv": "\n".join([HEADER, *(one[:-1] + "0" for one in JUDGMENTS)])})),
    Case("BEIR: a relevance that none reaches", mine("data", "--min-relevance 3"),
         ("highest relevance is 1", "3 or more"), beir()),
    Case("BEIR: an empty corpus", mine("data"), ("corpus.jsonl", "is an empty file"),
         beir(**{"data/corpus.jsonl": ""})),
    Case("BEIR: no corpus", mine("data"), ("data", "no corpus.jsonl", "--corpus"),
         {name: content for name, content in beir().items() if "corpus" not in name}),
    Case("BEIR: no judgments", mine("data"), ("data", "--qrels"),
         {name: content for name, content in beir().items() if "qrels" not in name}),
    Case("BEIR: no such split", mine("data", "--split tarin"), ("'tarin'", "did you mean 'train'", "--split"),
             beir()),
    Case("BEIR: a split outside the folder", mine("data", "--split ../../secret"), ("'../../secret'",
             "--split"),
         beir(**{"secret.tsv": HEADER + "\nq1\td1\t1\n"})),
    Case("BEIR: misspelt columns of judgments", mine("data"), ("train.tsv, line 1", "corpsid"),
         beir(**{"data/qrels/train.tsv": "query-id\tcorpsid\tscore\nq1\td1\t1\n"})),
    Case("BEIR: a corpus without texts", mine("data"), ("corpus.jsonl, line 1", "no column holds the text"),
         beir(**{"data/corpus.jsonl": json_lines({"_id": "d1", "title": "x"})})),
    Case("BEIR: only the positives in the corpus", mine("data"), (),
         beir(**{"data/corpus.jsonl": json_lines(*CORPUS[:3])}), code=0,
         kept=Kept(judgments=3, documents=3, queries=3)),
    Case("BEIR: judgments: a folder for the file", mine("data"), ("train", "--split"),
         {**{name: one for name, one in beir().items() if "qrels" not in name},
                  "data/qrels/train.tsv": folder}),
    Case("BEIR: an unfinished list of queries", mine("data", SKIP), (),
         beir(**{"data/queries.jsonl": json_lines({"_id": "q1", "text": "which?"})}), code=0,
         kept=Kept(judgments=1, queries=1, refused=2)),
    Case("BEIR: more judgments than a line", mine("data"), (), beir(judgments=JUDGMENTS), code=0,
         kept=Kept(**ALL)),
]  # fmt: skip

CASES = [*JSON_ROWS, *JSON_FILES, *NO_FILES, *TABLES, *BEIR]
