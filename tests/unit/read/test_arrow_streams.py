"""Whatever offers itself as Arrow is a source, and streams are read a block at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg
from hardneg.read import fingerprint

Write = Callable[..., Path]
ROWS = [
    {"query": f"query {n}", "positive": f"positive {n}", "negative": f"negative {n}"} for n in range(5_000)
]
"""More than a batch."""


class Offering:
    """Nothing but Arrow's own interface, as a database's result has it."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


class OfferingOneBatch:
    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self._batch.__arrow_c_array__(requested_schema)


TABLE = pa.Table.from_pylist(ROWS)
SOURCES: dict[str, Callable[[], Any]] = {
    "pyarrow.Table": lambda: TABLE,
    "pyarrow.RecordBatch": lambda: TABLE.combine_chunks().to_batches()[0],
    "pyarrow.RecordBatchReader": lambda: TABLE.to_reader(max_chunksize=700),
    "string views": lambda: TABLE.cast(pa.schema([(name, pa.string_view()) for name in TABLE.column_names])),
    "dictionaries": lambda: pa.table({name: TABLE[name].dictionary_encode() for name in TABLE.column_names}),
    "a stream": lambda: Offering(TABLE),
    "an array": lambda: OfferingOneBatch(TABLE.combine_chunks().to_batches()[0]),
    "pandas": lambda: pd.DataFrame(ROWS),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars lazily": lambda: pl.LazyFrame(ROWS),
    "datasets": lambda: datasets.Dataset.from_list(ROWS),
    "datasets streamed": lambda: datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
    "a generator streamed": lambda: datasets.IterableDataset.from_generator(lambda: iter(ROWS)),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_table_gives_the_same_collection(kind: str) -> None:
    assert fingerprint(hardneg.load(SOURCES[kind]())) == fingerprint(hardneg.load(ROWS))


COLUMNS: dict[str, Callable[[], Any]] = {
    "pandas.Series": lambda: pd.Series(["a", "b"], name="query"),
    "polars.Series": lambda: pl.Series("query", ["a", "b"]),
    "pyarrow.ChunkedArray": lambda: pa.chunked_array([["a", "b"]]),
    "pyarrow.StringArray": lambda: pa.array(["a", "b"]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_alone_is_no_table(kind: str) -> None:
    why = "is one column, and no table; give a table (a Series becomes one by to_frame(NAME))"
    with pytest.raises(hardneg.InputError) as caught:
        hardneg.load(COLUMNS[kind]())
    assert str(caught.value) == f"{kind}: {why}"
    tables = {"corpus": COLUMNS[kind](), "queries": [{"_id": "q", "text": "x"}]}
    with pytest.raises(hardneg.InputError) as caught:
        hardneg.load({**tables, "qrels": [{"query-id": "q", "corpus-id": "d"}]})
    assert str(caught.value) == f"corpus: {why}"
    with pytest.raises(hardneg.InputError) as caught:
        hardneg.load([{"query": "q", "positive": "p"}], corpus=COLUMNS[kind]())
    assert str(caught.value) == f"corpus: {why}"


@pytest.mark.parametrize(
    "columns", [{"query": ["a"], "positive": ["b"]}, {"query": "a", "positive": "b"}], ids=["lists", "texts"]
)
def test_a_dict_of_columns_is_told_how_to_become_a_table(columns: dict[str, Any]) -> None:
    with pytest.raises(hardneg.InputError) as caught:
        hardneg.load(columns)
    assert str(caught.value) == (
        "dict: is a dict of other things than tables; give a list of dicts, one a row, a data frame, or "
        "datasets.Dataset.from_dict(columns)"
    )


def test_streams_may_be_the_tables_of_a_collection_and_a_pool() -> None:
    tables = {
        "corpus": Offering(pa.table({"_id": ["d1", "d2"], "text": ["one", "two"]})),
        "queries": pl.DataFrame({"_id": ["q1"], "text": ["which?"]}),
        "qrels": Offering(pa.table({"query-id": ["q1"], "corpus-id": ["d2"], "score": [1]})),
    }
    pool = Offering(pa.table({"_id": ["d3"], "text": ["three"]}))
    data = hardneg.load(tables, corpus=pool)
    assert data.corpus["doc_id"].to_pylist() == ["d1", "d2", "d3"]
    assert data.qrels.to_pylist() == [{"query_id": "q1", "doc_id": "d2", "relevance": 1.0}]


def test_a_bad_row_is_named_by_its_number_across_batches() -> None:
    rows = [*ROWS[:4999], {"query": "  ", "positive": "p", "negative": "n"}]
    reader = pa.Table.from_pylist(rows).to_reader(max_chunksize=700)
    with pytest.raises(hardneg.InputError) as caught:
        hardneg.load(reader)
    assert (caught.value.file, caught.value.line) == ("pyarrow.RecordBatchReader", 5000)


CONTRADICTING = [
    {"query_id": "q", "query": "one text", "positive": "p"},
    {"query_id": "q", "query": "another text", "positive": "p"},
    {"query_id": "r", "query": "a third", "positive": "p"},
]


def test_a_stream_that_can_be_read_again_is_where_ids_contradict_each_other() -> None:
    table = pa.Table.from_pylist(CONTRADICTING)
    again = hardneg.load(Offering(table), on_bad_row="skip")
    assert fingerprint(again) == fingerprint(hardneg.load(table, on_bad_row="skip"))
    assert len(again.report.refused) == 1


def test_one_that_cannot_says_what_to_do() -> None:
    reader = pa.Table.from_pylist(CONTRADICTING).to_reader()
    with pytest.raises(hardneg.InputError, match=r"can be read once.*give a table in its place"):
        hardneg.load(reader, on_bad_row="skip")


def test_what_breaks_off_while_it_is_read_is_said_in_a_line() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield TABLE.to_batches()[0]
        raise pa.ArrowInvalid("the connection\nwas lost")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, broken())
    with pytest.raises(hardneg.InputError, match=r"as an Arrow stream \(.*the connection was lost"):
        hardneg.load(reader)


@pytest.mark.usefixtures("local_hub")
class TestStreamedFromTheHub:
    @pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
    def test_the_same_as_with_a_copy(self, write: Write, tmp_path: Path, kind: str) -> None:
        rows = [{"query": f"{n:03d}", "positive": "NA" if n else "null", "n": str(n)} for n in range(9)]
        if kind == "jsonl":
            write("hub/train.jsonl", rows)
        elif kind == "csv":
            lines = "".join(",".join(row.values()) + "\n" for row in rows)
            write("hub/train.csv", "query,positive,n\n" + lines)
        else:
            (tmp_path / "hub").mkdir()
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / "hub" / "train.parquet")
        copied = hardneg.load(tmp_path / "hub")
        assert fingerprint(hardneg.load(tmp_path / "hub", streaming=True)) == fingerprint(copied)
        assert copied.queries["text"].to_pylist()[0] in {row["query"] for row in rows}

    def test_nothing_is_kept_on_this_disk(self, write: Write, tmp_path: Path) -> None:
        write("hub/train.jsonl", [{"query": "q", "positive": "p"}])
        hardneg.load(tmp_path / "hub", streaming=True)
        assert not list(tmp_path.rglob("*.arrow"))
        hardneg.load(tmp_path / "hub")
        assert list(tmp_path.rglob("*.arrow"))

    def test_a_corpus_with_judgments(self, write: Write, tmp_path: Path) -> None:
        write("hub/set/corpus/corpus.jsonl", [{"_id": "d1", "text": "one"}, {"_id": "d2", "text": "two"}])
        write("hub/set/queries/queries.jsonl", [{"_id": "q1", "text": "which?"}])
        write("hub/set-qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t1\n")
        configs = "".join(
            f"- config_name: {name}\n  data_files: {name}/{name}.jsonl\n" for name in ("corpus", "queries")
        )
        write("hub/set/README.md", f"---\nconfigs:\n{configs}---\n")
        streamed = hardneg.load(tmp_path / "hub/set", streaming=True)
        assert fingerprint(streamed) == fingerprint(hardneg.load(tmp_path / "hub/set"))

    def test_what_breaks_off_on_the_way_is_said_in_a_line(self, write: Write, tmp_path: Path) -> None:
        good = "".join(json.dumps({"query": f"q {n}", "positive": "p"}) + "\n" for n in range(3))
        write("hub/train.jsonl", good + "{broken\n")
        with pytest.raises(hardneg.InputError, match="cannot be loaded as a data set") as caught:
            hardneg.load(tmp_path / "hub", streaming=True)
        assert "\n" not in str(caught.value)


BOUNDED = """
import resource, sys
import datasets, pyarrow, hardneg

def rows():
    for n in range({rows}):
        yield {{"query": f"query {{n % 7}}", "positive": chr(97 + n % 7) * 100_000}}

source = datasets.IterableDataset.from_generator(rows)
if {as_arrow}:
    schema = pyarrow.schema([("query", pyarrow.string()), ("positive", pyarrow.string())])
    batches = (pyarrow.RecordBatch.from_pylist([row], schema) for row in rows())
    source = pyarrow.RecordBatchReader.from_batches(schema, batches)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = hardneg.load(source)
assert data.corpus.num_rows == 7, data.corpus.num_rows
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def grown(rows: int, as_arrow: bool) -> int:
    """Bytes of memory that a process takes to load so many rows of 100 kB, of which seven texts are kept."""
    code = BOUNDED.format(rows=rows, as_arrow=as_arrow)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(ended.stdout) * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("as_arrow", [False, True], ids=["datasets", "arrow"])
def test_memory_is_bounded_by_blocks(as_arrow: bool) -> None:
    assert grown(rows=1_500, as_arrow=as_arrow) < 75_000_000


@pytest.mark.slow
@pytest.mark.parametrize("as_arrow", [False, True], ids=["datasets", "arrow"])
def test_memory_is_bounded_by_blocks_however_much_passes_by(as_arrow: bool) -> None:
    assert grown(rows=20_000, as_arrow=as_arrow) < 75_000_000
