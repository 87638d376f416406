"""Bad training files, and bad words, for `convert` and `check`."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bad_input import Case, Content, folder, json_lines, link_to, long_line, pipe

GROUPS = tuple(
    {"query": f"query {n}", "pos": [f"river {n}"], "neg": [f"hill {n}", f"wood {n}"]} for n in range(4)
)
GOOD = json_lines(*GROUPS)
DROP = "--on-fault drop"
FLAGS = "--from flagembedding"
SCORED = '{"query": "q", "pos": ["p"], "neg": ["n"], "pos_scores": [1.0], "neg_scores": [%s]}'


def convert(
    flags: str = "", *, source: str = "in.jsonl", to: str = "st-triplet", output: str = "out.jsonl"
) -> str:
    return f"convert {source} --to {to} --output {output} {flags}"


def with_row(bad: Any) -> dict[str, Content]:
    """in.jsonl: two good rows, the bad one in line 3, two good rows."""
    lines = [line.encode() for line in GOOD.splitlines()]
    text = bad if isinstance(bad, str | bytes) else json.dumps(bad)
    lines[2:2] = [text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text]
    return {"in.jsonl": b"\n".join(lines) + b"\n"}


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def row(**values: Any) -> dict[str, Any]:
    return {"query": "q", "pos": ["p"], "neg": ["n", "m"], **values}


def ended_at(name: str, bad: Any, *says: str) -> Case:
    """`convert` ends at the row, and says how to go on without it."""
    told = ("in.jsonl, line 3", *says, "--on-fault drop")
    return Case(f"convert: {name}", convert(FLAGS), told, with_row(bad), absent=("out.jsonl",))


def unreadable(name: str, bad: Any, *says: str) -> list[Case]:
    """A row that cannot be read: `convert` ends at it or drops it, `check` finds it."""
    files = with_row(bad)
    return [
        ended_at(name, bad, *says),
        Case(
            f"convert: {name}, dropped",
            convert(f"{FLAGS} {DROP} --list bad.jsonl"),
            ("1 unreadable dropped",),
            files,
            0,
            lines={"out.jsonl": 8, "bad.jsonl": 1},
        ),
        Case(
            f"check: {name}",
            "check in.jsonl --format flagembedding --list bad.jsonl",
            ("1 unreadable: the row cannot be read", "line 3", *says),
            files,
            1,
            findings=True,
            lines={"bad.jsonl": 1},
        ),
    ]


def faulty(name: str, bad: Any, code: str, *says: str, left: int = 8) -> list[Case]:
    """A row that is read and wrong, of whose triplets some may be right."""
    files = with_row(bad)
    return [
        ended_at(name, bad, *says),
        Case(
            f"convert: {name}, dropped",
            convert(f"{FLAGS} {DROP}"),
            (f"{code} dropped",),
            files,
            0,
            lines={"out.jsonl": left},
        ),
        Case(
            f"check: {name}",
            "check in.jsonl --format flagembedding",
            (code, "line 3"),
            files,
            1,
            findings=True,
        ),
    ]


ROWS = [
    *unreadable("not JSON", "{oops", "is not JSON"),
    *unreadable("a row cut off", '{"query": "q", "pos": ["p"], "ne', "is not JSON"),
    *unreadable("an array for a row", '["q", "p"]', "not an object"),
    *unreadable("a number for the query", row(query=7), "'query'", "must be text, not the number 7"),
    *unreadable("no query", {"pos": ["p"], "neg": ["n"]}, "'query'"),
    *unreadable("a number among positives", row(pos=["p", 1.5]), "'pos'", "not the number 1.5"),
    *unreadable("an object for a negative", row(neg=[{"text": "n"}]), "'neg'", "not an object"),
    *unreadable("null for a negative", row(neg=["n", None]), "'neg'", "not null"),
    *unreadable(
        "text for a score", row(pos_scores=["high"], neg_scores=[1, 2]), "'pos_scores'", "must be a number"
    ),
    *unreadable("NaN for a score", SCORED % "NaN", "NaN is no JSON value"),
    *unreadable("infinity for a score", SCORED % "Infinity", "Infinity is no JSON value"),
    *unreadable(
        "a lone surrogate in a text", '{"query": "q", "pos": ["p\\ud800"], "neg": ["n"]}', "half a surrogate"
    ),
    *unreadable(
        "a lone surrogate in an id",
        '{"query": "q", "pos": ["p"], "neg": ["n"], "id": "\\udfff"}',
        "half a surrogate",
    ),
    *unreadable(
        "half a surrogate pair as UTF-8", '{"query": "q\ud800", "pos": ["p"], "neg": ["n"]}', "not UTF-8"
    ),
    *unreadable("not UTF-8", b'{"query": "\xff", "pos": ["p"], "neg": ["n"]}', "is not UTF-8 at byte"),
    *unreadable(
        "a key twice", '{"query": "q", "query": "r", "pos": ["p"], "neg": ["n"]}', "stands there twice"
    ),
    *unreadable("a list for an id", row(id=["a"]), "'id'"),
    *unreadable("NUL in an id", row(id="a\0b"), "'id'", "NUL"),
    *unreadable("nested 100,000 deep", '{"query": ' + "[" * 100_000, "nested too deep"),
    *faulty(
        "misaligned scores", row(pos_scores=[1.0], neg_scores=[0.5]), "1 misaligned", "another number than"
    ),
    *faulty("misaligned ids", row(pos_id=["a", "b"]), "1 misaligned", "another number than"),
    *faulty(
        "an infinite score as text", row(pos_scores=["inf"], neg_scores=[1, 2]), "1 not_finite", "infinite"
    ),
    *faulty(
        "a score that is missing", row(pos_scores=[1.0], neg_scores=[0.5, None]), "1 missing_score", "none"
    ),
    *faulty("an empty query", row(query=""), "1 empty_query", "the query is empty"),
    *faulty("a blank query", row(query=" \t\n"), "1 empty_query", "the query is empty"),
    *faulty("no positive", row(pos=[]), "1 no_positive", "there is no positive"),
    *faulty("an empty positive", row(pos=["", "p"]), "1 empty_positive", "a positive is empty", left=10),
    *faulty("an empty negative", row(neg=["", "m"]), "1 empty_negative", "a negative is empty", left=9),
    *faulty(
        "the query among the negatives",
        row(neg=["Q ", "m"]),
        "1 query_among_negatives",
        "is the query",
        left=9,
    ),
    *faulty(
        "a positive among the negatives",
        row(neg=["p", "m"]),
        "1 positive_among_negatives",
        "same row",
        left=9,
    ),
    *faulty(
        "another row's positive",
        row(query="query 0", neg=["River  0", "m"]),
        "1 known_positive_among_negatives",
        "in another row",
        left=9,
    ),
    *faulty("a negative twice", row(neg=["m", "m"]), "1 repeated_negative", "twice", left=9),
    *faulty("a row twice", dict(GROUPS[0]), "1 repeated_row", "stands there twice"),
]


# -- files ------------------------------------------------------------------------------------------------

BOMB = gzip.compress(bytes(300_000_000), 1, mtime=0)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
NAN = parquet(query=["q"], pos=[["p"]], neg=[["n"]], pos_scores=[[1.0]], neg_scores=[[float("nan")]])


def of_file(
    name: str, says: tuple[str, ...], files: dict[str, Content], source: str = "in.jsonl", named: bool = True
) -> list[Case]:
    """A file that is refused, whether its format is said or not."""
    convert_flags, check_flags = ("--from flagembedding", "--format flagembedding") if named else ("", "")
    return [
        Case(f"convert: {name}", convert(convert_flags, source=source), says, files, absent=("out.jsonl",)),
        Case(f"check: {name}", f"check {source} {check_flags}", says, files),
    ]


FILES = [
    *of_file("an empty file", ("in.jsonl", "is an empty file"), {"in.jsonl": b""}),
    *of_file("an empty file of no format", ("in.jsonl", "is an empty file"), {"in.jsonl": b""}, named=False),
    *of_file("blank lines only", ("in.jsonl", "holds no row"), {"in.jsonl": "\n \n"}),
    *of_file(
        "an empty Parquet file",
        ("in.parquet", "holds no row"),
        {"in.parquet": parquet(query=pa.array([], pa.string()), pos=pa.array([], pa.list_(pa.string())))},
        source="in.parquet",
    ),
    *of_file("nothing there", ("in.jsonl", "no such file or folder"), {"other.jsonl": GOOD}, named=False),
    *of_file("nothing there, of a named format", ("in.jsonl",), {"other.jsonl": GOOD}),
    *of_file("a folder for a file", ("in.jsonl", "a folder"), {"in.jsonl/x.txt": "x"}),
    *of_file("a folder of no format", ("in.jsonl", "no format"), {"in.jsonl/x.txt": "x"}, named=False),
    *of_file("a symlink loop", ("in.jsonl", "links to itself"), {"in.jsonl": link_to("in.jsonl")}),
    *of_file("a pipe", ("in.jsonl", "a pipe"), {"in.jsonl": pipe}),
    *of_file("a device", ("in.jsonl", "a device"), {"in.jsonl": link_to("/dev/zero")}, named=False),
    *of_file("a picture", ("in.png", "no format"), {"in.png": PNG}, source="in.png", named=False),
    *of_file("a picture called JSON lines", ("in.jsonl",), {"in.jsonl": PNG}, named=False),
    *of_file("a picture called Parquet", ("in.parquet", "Parquet"), {"in.parquet": PNG}, source="in.parquet"),
    *of_file(
        "a packed file cut off",
        ("in.jsonl.gz", "damaged, or cut off"),
        {"in.jsonl.gz": gzip.compress(GOOD.encode() * 999, mtime=0)[:-20]},
        source="in.jsonl.gz",
    ),
    Case(
        "convert: UTF-16",
        convert("--from flagembedding"),
        ("in.jsonl, line 1", "looks like UTF-16"),
        {"in.jsonl": GOOD.encode("utf-16")},
        absent=("out.jsonl",),
    ),
    Case(
        "check: UTF-16",
        "check in.jsonl --format flagembedding",
        ("5 unreadable", "looks like UTF-16"),
        {"in.jsonl": GOOD.encode("utf-16")},
        1,
        findings=True,
    ),
    *of_file(
        "columns of no format",
        ("in.jsonl", "of no format that is known", "'answer'", "--from (of convert) or --format (of check)"),
        {"in.jsonl": json_lines({"prompt": "q", "answer": "a"})},
        named=False,
    ),
    *of_file(
        "a file of judgments without texts",
        ("j.tsv", "--corpus and --queries"),
        {"j.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n"},
        source="j.tsv",
        named=False,
    ),
    Case(
        "convert: a line of 100 MB",
        convert("--from flagembedding"),
        ("in.jsonl, line 5", "longer than 64 MiB"),
        {"in.jsonl": long_line(GOOD, "\n" + json_lines(row()))},
        absent=("out.jsonl",),
    ),
    Case(
        "convert: a line of 100 MB, dropped",
        convert(f"--from flagembedding {DROP}"),
        ("1 unreadable dropped",),
        {"in.jsonl": long_line(GOOD, "\n" + json_lines(row()))},
        0,
        lines={"out.jsonl": 10},
    ),
    Case(
        "check: a line of 100 MB",
        "check in.jsonl",
        ("1 unreadable", "longer than 64 MiB"),
        {"in.jsonl": long_line(GOOD, "\n" + json_lines(row()))},
        1,
        findings=True,
    ),
    Case(
        "convert: a gzip bomb",
        convert("--from flagembedding", source="in.jsonl.gz"),
        ("in.jsonl.gz, line 1", "longer than 64 MiB"),
        {"in.jsonl.gz": BOMB},
        absent=("out.jsonl",),
    ),
    Case(
        "convert: a gzip bomb, dropped",
        convert(f"--from flagembedding {DROP}", source="in.jsonl.gz"),
        ("in.jsonl.gz: no group with a negative is left", "line 1", "longer than 64 MiB"),
        {"in.jsonl.gz": BOMB},
        absent=("out.jsonl",),
    ),
    Case(
        "check: a gzip bomb",
        "check in.jsonl.gz --format flagembedding",
        ("1 unreadable", "longer than 64 MiB"),
        {"in.jsonl.gz": BOMB},
        1,
        findings=True,
    ),
    Case(
        "convert: NaN scores in Parquet",
        convert("--from flagembedding", source="in.parquet"),
        ("in.parquet, line 1", "NaN or infinite"),
        {"in.parquet": NAN},
        absent=("out.jsonl",),
    ),
    Case(
        "check: NaN scores in Parquet",
        "check in.parquet",
        ("1 not_finite", "NaN or infinite"),
        {"in.parquet": NAN},
        1,
        findings=True,
    ),
    Case(
        "convert: every row dropped",
        convert(f"--from flagembedding {DROP}"),
        ("in.jsonl", "nothing is written", "2 faults", "line 1"),
        {"in.jsonl": "{\n{\n"},
        absent=("out.jsonl",),
    ),
    Case(
        "convert: no negatives at all",
        convert(),
        ("in.jsonl: no group with a negative is left; nothing",),
        {"in.jsonl": json_lines({"query": "q", "pos": ["p"], "neg": []})},
        absent=("out.jsonl",),
    ),
]


# -- texts by ids -----------------------------------------------------------------------------------------

RUN = "q1 Q0 d1 1 0.5 t\nq1 Q0 d2 2 0.4 t\n"
TEXTS: dict[str, Content] = {
    "run.trec": RUN,
    "c.jsonl": json_lines(*({"_id": f"d{n}", "text": f"text {n}"} for n in range(3))),
    "q.jsonl": json_lines({"_id": "q1", "text": "query 1"}),
    "j.qrels": "q1 0 d0 1\n",
}
OF_IDS = "--corpus c.jsonl --queries q.jsonl --qrels j.qrels"


def by_id(flags: str = OF_IDS) -> str:
    return convert(flags, source="run.trec")


IDS = [
    Case("convert: ids without texts", by_id(""), ("run.trec", "--corpus and --queries"), TEXTS),
    Case(
        "convert: texts that are not there",
        by_id("--corpus gone.jsonl --queries q.jsonl"),
        ("gone.jsonl", "no such file or folder"),
        TEXTS,
    ),
    Case(
        "convert: queries that are not there",
        by_id("--corpus c.jsonl --queries gone.jsonl"),
        ("gone.jsonl: there is no such file or folder",),
        TEXTS,
    ),
    Case(
        "check: judgments that are not there",
        "check run.trec --corpus c.jsonl --queries q.jsonl --qrels gone.qrels",
        ("gone.qrels: is no file",),
        TEXTS,
    ),
    Case(
        "check: a threshold without judgments",
        "check run.trec --corpus c.jsonl --queries q.jsonl --min-relevance 1",
        ("min_relevance: a run has no judgments; name those", "qrels"),
        TEXTS,
    ),
    Case(
        "convert: two texts under an id of the corpus",
        by_id(f"{OF_IDS} {DROP}"),
        ("c.jsonl, line 3, id 'd1': this id stands there with another text too; give each its own; mend",),
        {**TEXTS, "c.jsonl": json_lines(*({"_id": f"d{n % 2}", "text": f"text {n}"} for n in (0, 1, 3)))},
        absent=("out.jsonl",),
    ),
    *(
        Case(
            f"{command.split()[0]}: {flag} beside a file with its own texts",
            f"{command} {flag} {value}",
            (f"{flag[2:].replace('-', '_')}: a file of the format flagembedding has no use for it; leave",),
            {"in.jsonl": GOOD},
            absent=("out.jsonl",),
        )
        for command in ("check in.jsonl", convert())
        for flag, value in (
            ("--corpus", "gone.jsonl"),
            ("--queries", "gone.jsonl"),
            ("--qrels", "gone.qrels"),
            ("--min-relevance", "1"),
        )
    ),
    Case("convert: an empty corpus", by_id(), ("c.jsonl", "empty"), {**TEXTS, "c.jsonl": b""}),
    Case(
        "convert: an id without a text",
        by_id(),
        ("run.trec, line 2", "no text of this id"),
        {**TEXTS, "c.jsonl": json_lines({"_id": "d0", "text": "t"}, {"_id": "d1", "text": "u"})},
        absent=("out.jsonl",),
    ),
    Case(
        "check: an id without a text",
        f"check run.trec {OF_IDS}",
        ("1 unreadable", "no text of this id"),
        {**TEXTS, "c.jsonl": json_lines({"_id": "d0", "text": "t"}, {"_id": "d1", "text": "u"})},
        1,
        findings=True,
    ),
    Case(
        "convert: five columns of a run",
        by_id(),
        ("run.trec, line 2", "5 columns where a run has 6"),
        {**TEXTS, "run.trec": RUN.replace(" 0.4", "")},
    ),
    Case(
        "convert: NaN for a run's score",
        by_id(),
        ("run.trec, line 1", "NaN or infinite"),
        {**TEXTS, "run.trec": RUN.replace("0.4", "nan")},
        absent=("out.jsonl",),
    ),
    Case(
        "convert: words for a run's score",
        by_id(),
        ("run.trec, line 2", "must be a number"),
        {**TEXTS, "run.trec": RUN.replace("0.4", "high")},
    ),
    Case(
        "convert: a run without positives",
        by_id("--corpus c.jsonl --queries q.jsonl"),
        ("run.trec, line 1", "no positive", "--qrels"),
        TEXTS,
        absent=("out.jsonl",),
    ),
    Case(
        "convert: a positive in the run",
        by_id(),
        ("run.trec, line 1", "a positive of the same row"),
        {**TEXTS, "j.qrels": "q1 0 d1 1\n"},
        absent=("out.jsonl",),
    ),
]


# -- words ------------------------------------------------------------------------------------------------

FILE: dict[str, Content] = {"in.jsonl": GOOD}
RAGGED: dict[str, Content] = {"in.jsonl": json_lines(*GROUPS, row(query="five", neg=["n"]))}
UNTOUCHED = {"in.jsonl": 4}

WORDS = [
    Case("convert: an unknown format", convert(to="st-tripel"), ("'beir'; did you mean 'st-triplet'",), FILE),
    Case("convert: an option that is like none", convert("--wrong"), ("no such option: --wrong;",), FILE),
    Case("convert: an option that is like one", convert("--corpis x"), ("did you mean '--corpus'?",), FILE),
    Case("convert: an unknown format to read", convert("--from flagembeding"), ("n 'flagembedding'?",), FILE),
    Case("check: an unknown format", "check in.jsonl --format flagembeding", ("'flagembeding'",), FILE),
    Case(
        "convert: another format than it is",
        convert("--from tevatron"),
        ("in.jsonl, line 1", "'positive_passages'"),
        FILE,
        absent=("out.jsonl",),
    ),
    Case(
        "check: another format than it is",
        "check in.jsonl --format tevatron",
        ("4 unreadable", "'positive_passages'"),
        FILE,
        1,
        findings=True,
    ),
    Case("convert: a folder's format for a file", convert("--from pylate-distillation"), ("in.jsonl",), FILE),
    Case("check: a folder's format for a file", "check in.jsonl --format arctic", ("in.jsonl",), FILE),
    Case(
        "convert: the source as the output",
        convert(output="in.jsonl"),
        ("in.jsonl: input was read from it",),
        FILE,
        lines=UNTOUCHED,
    ),
    Case(
        "convert: a link to the source as the output",
        convert(output="link.jsonl"),
        ("input was read from it",),
        {**FILE, "link.jsonl": link_to("in.jsonl")},
        lines=UNTOUCHED,
    ),
    Case(
        "convert: the corpus as the output",
        convert(OF_IDS, source="run.trec", output="c.jsonl"),
        ("c.jsonl: input was read from it",),
        TEXTS,
        lines={"c.jsonl": 3},
    ),
    Case(
        "convert: the source as the list",
        convert("--list in.jsonl"),
        ("in.jsonl: input was read", "--list"),
        FILE,
        lines=UNTOUCHED,
    ),
    Case(
        "check: the file as the list",
        "check in.jsonl --list in.jsonl",
        ("in.jsonl: input was read", "--list"),
        FILE,
        lines=UNTOUCHED,
    ),
    Case(
        "check: the corpus as the list",
        f"check run.trec {OF_IDS} --list c.jsonl",
        ("c.jsonl: input was read", "--list"),
        TEXTS,
        lines={"c.jsonl": 3},
    ),
    Case(
        "convert: the output as the list",
        convert("--list out.jsonl"),
        ("out.jsonl", "--output and by --list"),
        FILE,
    ),
    Case(
        "convert: a folder as the output",
        convert(output="out.jsonl"),
        ("out.jsonl is a folder",),
        {**FILE, "out.jsonl": folder},
    ),
    Case(
        "convert: a file as the output of a folder",
        convert(to="arctic", output="out"),
        ("out is a file",),
        {**FILE, "out": "x"},
        lines={"out": 0},
    ),
    Case(
        "convert: a folder of others as the output of a folder",
        convert(to="arctic", output="out"),
        ("out", "'notes.txt'", "replaced whole"),
        {**FILE, "out/notes.txt": "x"},
        lines={"out/notes.txt": 0},
    ),
    Case(
        "convert: the source's folder as the output of a folder",
        convert(source="out/in.jsonl", to="arctic", output="out"),
        ("out", "'in.jsonl'"),
        {"out/in.jsonl": GOOD},
        lines={"out/in.jsonl": 4},
    ),
    Case(
        "convert: an output below a file",
        convert(output="in.jsonl/out.jsonl"),
        ("in.jsonl", "--output"),
        FILE,
        1,
    ),
    Case("convert: an output of another suffix", convert(output="out.xml"), ("out.xml", ".jsonl"), FILE),
    Case("convert: an output without a suffix", convert(output="out"), ("out", ".jsonl"), FILE),
    Case("convert: an output of a name too long", convert(output="x" * 300 + ".jsonl"), ("name",), FILE),
    Case(
        "convert: an address of another scheme",
        convert(output="ftp://host/out.jsonl"),
        ("ftp://host/out.jsonl: ftp:// is not read",),
        FILE,
    ),
    Case("check: an address of another scheme", "check http://host/in.jsonl", ("http:// is not read",)),
    Case(
        "check: an address that holds nothing",
        "check memory://bucket/in.jsonl",
        ("memory://bucket/in.jsonl", "there is no bucket 'bucket'"),
    ),
    Case(
        "convert: the address of the source as the output",
        convert(source="memory://bucket/in.jsonl", output="memory://bucket/in.jsonl"),
        ("input was read from it",),
    ),
    Case(
        "check: a list in an object store",
        "check in.jsonl --list memory://bucket/bad.jsonl",
        ("memory://bucket/bad.jsonl", "must lie on this machine"),
        FILE,
    ),
    Case(
        "convert: fewer negatives than a row must have",
        convert(to="st-n-tuple"),
        ("st-n-tuple needs 2 negatives in every row", "'five' (line 5) has 1", "--shortfall drop"),
        RAGGED,
        absent=("out.jsonl",),
    ),
    Case(
        "convert: fewer negatives than are asked for",
        convert("--num-negatives 3", to="pylate-n-tuple"),
        ("needs 3 negatives in every row", "5 of 5 groups"),
        RAGGED,
        absent=("out.jsonl",),
    ),
    Case(
        "convert: rows with too few negatives dropped",
        convert("--shortfall drop", to="st-n-tuple"),
        ("1 group has too few negatives and was dropped",),
        RAGGED,
        0,
        lines={"out.jsonl": 4},
    ),
    Case(
        "check: rows of several widths",
        "check in.jsonl --num-negatives 2",
        ("1 wrong_count", "line 5"),
        RAGGED,
        1,
        findings=True,
    ),
    Case("convert: 0 negatives", convert("--num-negatives 0"), ("negatives", "1"), FILE),
    Case("check: 0 negatives", "check in.jsonl --num-negatives 0", ("negatives", "1"), FILE),
    Case(
        "convert: a format that needs scores",
        convert(to="pylate-distillation", output="out"),
        ("pylate-distillation", "4 of 4 groups lack a score", "hardneg add-reranker-score"),
        FILE,
        absent=("out",),
    ),
    Case(
        "convert: scores that are not there",
        convert("--scores"),
        ("4 of 4 groups lack a score", "--scores off"),
        FILE,
        absent=("out.jsonl",),
    ),
    Case(
        "convert: prompts that are not there",
        convert("--prompts", to="flagembedding"),
        ("no prompts",),
        FILE,
        absent=("out.jsonl",),
    ),
    Case(
        "convert: ids where there is no place", convert("--ids", to="st-triplet"), ("no place for ids",), FILE
    ),
    Case(
        "convert: what cannot stand in a line",
        convert(to="trec", output="out.run"),
        ("'a b'",),
        {"in.jsonl": json_lines(row(id="a b", neg_id=["n", "m"], pos_scores=[1], neg_scores=[0, 0]))},
        absent=("out.run",),
    ),
    Case("convert: no output", "convert in.jsonl --to st-triplet", ("--output",), FILE),
    Case("convert: no format", "convert in.jsonl --output out.jsonl", ("--to",), FILE),
    Case("check: no file", "check", ("FILE",)),
]

CASES = [*ROWS, *FILES, *IDS, *WORDS]
