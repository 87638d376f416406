"""Whatever a file holds, it is read with counts that add up, or refused in one line for people.

Inputs are bytes without sense, and good files in which a few bytes or words were changed.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardneg
from hardneg.config import Config, EncodeConfig, build
from hardneg.config_file import load_config_file
from hardneg.encode.model_folder import ModelFolder
from hardneg.encode.own_vectors import load_own_vectors
from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.guard.exclusion_list import read_entries
from hardneg.read import read_relevance
from hardneg.read.bad_rows import BadRows
from hardneg.read.row_files import file_rows
from hardneg.recipes import recipe_settings
from hardneg.records import Collection
from hardneg.retriever_specs import encode_config_of, parse_retrievers
from hardneg.run_directory import RunDirectory
from hardneg.search.run_file import RunRetriever
from hardneg.terminal import printable

Tally = Callable[..., None]
Within = Callable[[int], AbstractContextManager[None]]
Inputs = st.SearchStrategy[Any]

ALTOGETHER = 100_000
QUICK = 20  # of each reader
SECONDS = 60
"""For one input: nothing hangs. Much more than any takes, for a machine may be busy."""
NEVER = re.compile(
    r"Traceback|Errno|NoneType|<class|pyarrow|pydantic|\bArrow(Invalid|TypeError)|object at 0x|"
    r"\b[A-Z]\w*(Error|Exception)\b"
)


@dataclass(frozen=True)
class Reader:
    """inputs  what is read
    read    reads one of them in a folder; asserts that what it gives adds up
    """

    inputs: Inputs
    read: Callable[[Path, Any], None]


def fuzz(reader: Reader, examples: int, folder: Path, tally: Tally, within: Within, *, same: bool) -> None:
    """same: the same inputs each time."""
    tried = 0

    @settings(max_examples=examples, database=None, derandomize=same, suppress_health_check=list(HealthCheck))
    @given(reader.inputs)
    def once(content: Any) -> None:
        nonlocal tried
        tried += 1
        try:
            with within(SECONDS):
                reader.read(folder, content)
        except HardnegError as error:
            said = printable(str(error))
            assert said.strip() and len(said) < 1500 and not NEVER.search(said), said

    failed = 1
    try:
        once()
        failed = 0
    finally:
        tally("fuzzed inputs", tried=tried, failed=failed)


# -- inputs -----------------------------------------------------------------------------------------------

WORDS = [
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"'", b"{", b"}", b"[", b"]", b",", b":"),
    *(b"\n", b"\r", b"\r\n", b"\t", b" ", b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"0", b"-1"),
    *(b"\\ud800", b"\\u0000", b"\\", b"9" * 400, b"9" * 5000, b"[" * 2000, "²".encode(), "\u2028".encode()),
    *(b"- ", b"&a ", b"*a", b"!!int ", b"? ", b"|", b">", b"#", b"%", b"---\n", b"2024-13-45", b"0x1f"),
    *(
        b"query",
        b"positive",
        b"score",
        b"_id",
        b"text",
        b"PAR1",
        b"\x93NUMPY",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
    ),
]
CHANGE = st.tuples(
    st.integers(0, 1 << 16), st.integers(0, 8), st.one_of(st.sampled_from(WORDS), st.binary(max_size=4))
)
"""(where, how many bytes go, what comes in their place)"""


def changed(good: bytes) -> st.SearchStrategy[bytes]:
    """The good file with a few changes; cut off; or no sense at all."""

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        data = good
        for where, gone, new in changes:
            at = where % (len(data) + 1)
            data = data[:at] + new + data[at + gone :]
        return data

    cut = st.integers(0, len(good)).map(lambda length: good[:length])
    return st.one_of(st.lists(CHANGE, min_size=1, max_size=6).map(apply), cut, st.binary(max_size=200))


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["nan", "", " ", "\0", "\ud800", 10**400, -1, 2**63, "none", "1" * 400]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner,
         max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=6)  # fmt: skip

# -- rows of texts ----------------------------------------------------------------------------------------

PAIRS = [{"query": f"query {n}", "positive": f"positive {n}", "price": n, "day": "x"} for n in range(4)]
GOOD = json_lines(PAIRS)


def mended(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def all_there(data: Collection, rows: list[tuple[int, dict[str, Any]]]) -> None:
    """Every row is in the collection, or in the list of those refused; not in both, and in none twice."""
    report = data.report
    assert report.counts["rows refused"] == len(report.refused)
    lines = [row["line"] for row in report.refused]
    assert len(set(lines)) == len(lines)
    queries, texts = set(data.queries["text"].to_pylist()), set(data.corpus["text"].to_pylist())
    for line, row in rows:
        names = [name.lower() for name in row]
        if line in lines or len(set(names)) < len(names) or not {"query", "positive"} <= row.keys():
            continue
        assert mended(row["query"]) in queries
        positives = row["positive"] if isinstance(row["positive"], list) else [row["positive"]]
        assert all(mended(text) in texts for text in positives)


def rows_read(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], list[int]]:
    """The rows of a file, and the lines of those refused."""
    bad = BadRows("skip")
    rows = list(file_rows(path).read(bad))
    return rows, [row["line"] for row in bad.refused]


def lines_that_count(data: bytes) -> list[int]:
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [number for number, line in enumerate(lines, 1) if not _blank(line)]


def _blank(line: bytes) -> bool:
    try:
        return not line.decode("utf-8").strip()
    except UnicodeDecodeError:
        return False


def read_json_lines(folder: Path, content: bytes) -> None:
    path = folder / "pairs.jsonl"
    path.write_bytes(content)
    rows, refused = rows_read(path)
    if not content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        assert sorted([line for line, _ in rows] + refused) == lines_that_count(content)
    all_there(hardneg.load(path, on_bad_row="skip"), rows)
    strict = hardneg.load(path)
    assert not strict.report.refused


def read_table(suffix: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        path = folder / f"pairs{suffix}"
        path.write_bytes(content)
        rows, _ = rows_read(path)
        all_there(hardneg.load(path, on_bad_row="skip"), rows)

    return read


def read_packed(folder: Path, content: bytes) -> None:
    path = folder / "packed.jsonl.gz"
    path.write_bytes(content)
    rows, _ = rows_read(path)
    all_there(hardneg.load(path, on_bad_row="skip"), rows)


def read_objects(folder: Path, content: list[dict[str, Any]]) -> None:
    rows = [*PAIRS, *content]
    data = hardneg.load(rows, on_bad_row="skip")
    all_there(data, list(enumerate(rows, 1)))


CSV = b"query,positive,price\n" + b"".join(b'q%d,"p, %d",%d\n' % (n, n, n) for n in range(4))


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


PARQUET = parquet(
    query=[f"q{n}" for n in range(4)], positive=[f"p{n}" for n in range(4)], price=[1.0, 2.0, None, 4.0]
)
OBJECTS = st.lists(
    st.fixed_dictionaries(
        {"query": SCALARS, "positive": VALUES},
        optional={
            "query_id": SCALARS,
            "neg": VALUES,
            "relevance": SCALARS,
            "pos_scores": VALUES,
            "x": VALUES,
        },
    ),
    min_size=1,
    max_size=4,
)

# -- a BEIR folder ----------------------------------------------------------------------------------------

CORPUS = json_lines([{"_id": f"d{n}", "title": "t", "text": f"document {n}", "lang": "en"} for n in range(5)])
QUERIES = json_lines([{"_id": f"q{n}", "text": f"query {n}"} for n in range(3)])
QRELS = b"query-id\tcorpus-id\tscore\n" + b"".join(b"q%d\td%d\t%d\n" % (n, n, n) for n in range(3))
TABLES = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/train.tsv": QRELS}


def read_beir(name: str) -> Callable[[Path, bytes], None]:
    """With one of the three tables changed: what the other two hold is there, or reported."""

    def read(folder: Path, content: bytes) -> None:
        for table, good in TABLES.items():
            path = folder / "data" / table
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if table == name else good)
        data = hardneg.load(folder / "data", on_bad_row="skip")
        refused = {(Path(row["file"]).name, row["line"]) for row in data.report.refused}
        assert len(refused) == data.report.counts["rows refused"]
        if name != "qrels/train.tsv":
            judged = sum(("train.tsv", line) not in refused for line in (2, 3, 4))
            assert data.qrels.num_rows == judged
        if name != "corpus.jsonl":
            assert data.corpus.num_rows == 5

    return read


# -- runs, judged pairs, lists ----------------------------------------------------------------------------

QUERY_IDS = pa.chunked_array([[f"q{n}" for n in range(3)]])
DOC_IDS = pa.chunked_array([[f"d{n}" for n in range(5)]])
RUN = b"".join(b"q%d Q0 d%d %d %d.5 tag\n" % (q, d, d + 1, 9 - d) for q in range(3) for d in range(3))


def read_run(folder: Path, content: bytes) -> None:
    path = folder / "run.trec"
    path.write_bytes(content)
    lines = RunRetriever("run", path, QUERY_IDS, DOC_IDS, unknown_documents="skip")._lines
    known = 0
    if not content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
            fields = line.split()
            known += bool(fields) and fields[0] in (b"q0", b"q1",
            b"q2") and fields[2][:1] == b"d" and fields[2][1:] in b"0 1 2 3 4".split()  # fmt: skip
        assert len(lines.doc) == known
    assert np.isfinite(lines.score).all()


LABELS = b"query_id,doc_id,relevant\n" + b"".join(b"q%d,d%d,%s\n" % (n, n, [b"true", b"no",
         b""][n]) for n in range(3))  # fmt: skip


def read_labels(suffix: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        path = folder / f"labels{suffix}"
        path.write_bytes(content)
        found = read_relevance([path], QUERY_IDS, DOC_IDS)
        counts = found.counts
        gone = counts["not_judged"] + counts["unknown"] + counts["repeated"]
        assert counts["rows"] == found.table.num_rows + gone

    return read


LISTED = json_lines([{"_id": "d1", "text": "a text"}, {"id": 7}, {"title": "t", "text": "x"}])


def read_list(folder: Path, content: bytes) -> None:
    path = folder / "list.txt"
    path.write_bytes(content)
    entries = list(read_entries(path))
    assert all(entry.name is not None or entry.texts for entry in entries)
    if not content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        assert [entry.line for entry in entries] == lines_that_count(content)


# -- settings ---------------------------------------------------------------------------------------------

SETTINGS = b"""# rules
depth: 100
retriever: [bm25, dense]
window: 10:210
relative-margin: none
margin: 0.5
model: "a: b"
same_lang: true
quota:
  - bm25=2
seed: 7
"""


def read_config(folder: Path, content: bytes) -> None:
    path = folder / "config.yaml"
    path.write_bytes(content)
    config = Config.from_flat(load_config_file(path))
    again = folder / "again.json"
    again.write_text(json.dumps(config.flat()))
    assert Config.from_flat(load_config_file(again)) == config


KEYS = sorted(Config().flat())


def read_values(folder: Path, content: dict[str, Any]) -> None:
    config = Config.from_flat(content)
    assert Config.from_flat(json.loads(json.dumps(config.flat(), allow_nan=False))) == config


def read_words(folder: Path, content: list[str]) -> None:
    for name in content:
        with suppress(HardnegError):
            recipe_settings(name)
    specs = parse_retrievers(content)
    assert len(specs) == len(content) == len({spec.name for spec in specs})
    asked = tuple(f"{spec.name}:query={name}" for spec in specs for name in content)
    with suppress(UsageError):  # NUL is in no setting
        prompts = build(EncodeConfig, {"prompt": asked})
        for spec in specs:
            encode_config_of(spec, prompts, specs)


# -- vectors, models, runs --------------------------------------------------------------------------------

GENERATOR = np.random.default_rng(5)
OF_QUERIES, OF_DOCUMENTS = GENERATOR.random((3, 4), np.float32), GENERATOR.random((5, 4), np.float32)


def npy(array: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


TENSOR = json.dumps({"a": {"dtype": "F32", "shape": [5, 4], "data_offsets": [0, 80]}}).encode()
SAFETENSORS = len(TENSOR).to_bytes(8, "little") + TENSOR + OF_DOCUMENTS.tobytes()
IDS = json.dumps(DOC_IDS.to_pylist()).encode()
VECTORS = parquet(id=DOC_IDS.to_pylist(), vector=OF_DOCUMENTS.tolist())


def read_vectors(name: str) -> Callable[[Path, bytes], None]:
    """With one file changed: every vector that is taken is a finite one of the dimension."""

    def read(folder: Path, content: bytes) -> None:
        for old in folder.iterdir():
            old.unlink()
        good = {
            "queries.npy": npy(OF_QUERIES),
            "queries.ids.json": json.dumps(QUERY_IDS.to_pylist()).encode(),
        }
        if name.endswith(".parquet"):
            good[name] = content
        elif ".ids." in name:
            good |= {"documents.npy": npy(OF_DOCUMENTS), name: content}
        else:
            good |= {"documents.ids.json": IDS, name: content}
        for file, data in good.items():
            (folder / file).write_bytes(data)
        with np.errstate(over="ignore", invalid="ignore"):
            found = load_own_vectors(folder, "document", DOC_IDS)
            assert found.shape == (5, 4)
            assert not np.isnan(found.block(0, 5)).any()

    return read


MODEL = {
    "config.json": json.dumps({"architectures": ["BertModel"]}).encode(),
    "modules.json": json.dumps([{"type": "sentence_transformers.models.Pooling"}]).encode(),
    "config_sentence_transformers.json": json.dumps({"prompts": {"query": "q: "},
             "similarity_fn_name": "dot"}).encode(),
}  # fmt: skip


def read_model(name: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        for file, good in MODEL.items():
            (folder / file).write_bytes(content if file == name else good)
        (folder / "model.safetensors").touch()
        model = ModelFolder(folder)
        model.check_loadable(trusted=False)
        assert model.similarity in ("dot", "cosine") and all(model.prompts.values())
        assert model.depends_on_task in (True, False)

    return read


MANIFEST = json.dumps(
    {"layout": 1, "config": {"depth": 3}, "stages": {"read": {}, "search": {"depth": 3}}, "selections": {}}
).encode()


def read_manifest(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    run = RunDirectory.existing(folder)
    assert run.depth() >= 1 and run.selections() == sorted(run.selections())


READERS: dict[str, Reader] = {
    "JSON lines": Reader(changed(GOOD), read_json_lines),
    "CSV": Reader(changed(CSV), read_table(".csv")),
    "TSV": Reader(changed(CSV.replace(b",", b"\t")), read_table(".tsv")),
    "Parquet": Reader(changed(PARQUET), read_table(".parquet")),
    "gzip": Reader(changed(gzip.compress(GOOD, mtime=0)), read_packed),
    "zstd": Reader(changed(zstandard.compress(GOOD)), read_packed),
    "objects": Reader(OBJECTS, read_objects),
    "corpus": Reader(changed(CORPUS), read_beir("corpus.jsonl")),
    "queries": Reader(changed(QUERIES), read_beir("queries.jsonl")),
    "qrels": Reader(changed(QRELS), read_beir("qrels/train.tsv")),
    "TREC run": Reader(changed(RUN), read_run),
    "labels, CSV": Reader(changed(LABELS), read_labels(".csv")),
    "labels, JSON lines": Reader(
        changed(json_lines([{"query_id": "q1", "doc_id": f"d{n}", "relevant": n > 1} for n in range(4)])),
        read_labels(".jsonl"),
    ),
    "exclusion list": Reader(changed(LISTED), read_list),
    "config": Reader(changed(SETTINGS), read_config),
    "settings": Reader(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), read_values),
    "retrievers": Reader(
        st.lists(
            st.one_of(st.text(max_size=12), st.from_regex(r"([\w.-]{1,3}=)?(bm25|dense|run)(:.{1,4})?")),
            max_size=3,
        ),
        read_words,
    ),
    "npy": Reader(changed(npy(OF_DOCUMENTS)), read_vectors("documents.npy")),
    "safetensors": Reader(changed(SAFETENSORS), read_vectors("documents.safetensors")),
    "vectors, Parquet": Reader(changed(VECTORS), read_vectors("documents.parquet")),
    "ids of vectors": Reader(changed(IDS), read_vectors("documents.ids.json")),
    "model, config": Reader(changed(MODEL["config.json"]), read_model("config.json")),
    "model, modules": Reader(changed(MODEL["modules.json"]), read_model("modules.json")),
    "model, settings": Reader(
        changed(MODEL["config_sentence_transformers.json"]), read_model("config_sentence_transformers.json")
    ),
    "manifest": Reader(changed(MANIFEST), read_manifest),
}


@pytest.mark.reliability
@pytest.mark.parametrize("name", READERS)
def test_whatever_comes_is_read_or_refused(name: str, tmp_path: Path, tally: Tally, within: Within) -> None:
    fuzz(READERS[name], QUICK, tmp_path, tally, within, same=True)


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("name", READERS)
def test_a_hundred_thousand_inputs(name: str, tmp_path: Path, tally: Tally, within: Within) -> None:
    fuzz(READERS[name], math.ceil(ALTOGETHER / len(READERS)), tmp_path, tally, within, same=False)


@pytest.mark.parametrize(
    "name", ["JSON lines", "CSV", "TSV", "Parquet", "corpus", "queries", "qrels", "TREC run"]
)
def test_what_was_not_changed_is_read(name: str, tmp_path: Path) -> None:
    """Else every input might be refused, and nothing be proved."""
    good = {"JSON lines": GOOD, "CSV": CSV, "TSV": CSV.replace(b",", b"\t"), "Parquet": PARQUET,
             "corpus": CORPUS,
            "queries": QUERIES, "qrels": QRELS, "TREC run": RUN}[name]  # fmt: skip
    READERS[name].read(tmp_path, good)


def test_a_reader_that_loses_a_row_is_found_out(tmp_path: Path) -> None:
    rows = list(enumerate(PAIRS, 1))
    with pytest.raises(AssertionError):
        all_there(hardneg.load(PAIRS[:-1]), rows)
    with pytest.raises(InputError):
        hardneg.load([])
