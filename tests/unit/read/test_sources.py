"""Every kind of source gives the collection that it holds."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg
from hardneg.records import Collection

Write = Callable[..., Path]
Judged = Callable[[Collection], set[tuple[str, str, float]]]
PairsOf = Callable[[Collection], set[tuple[str, str]]]

PAIRS = [
    {"query": "Hauptstadt?", "positive": "Berlin, the capital", "negative": "Bonn, once"},
    {"query": "首都は？", "positive": "東京です", "negative": "大阪です"},
    {"query": "Hauptstadt?", "positive": "Berlin on the Spree", "negative": "Hamburg"},
]
EXPECTED = {(row["query"], row["positive"]) for row in PAIRS}


class TestBeir:
    def test_ids_texts_and_judgments(self, beir: Path, judged: Judged) -> None:
        data = hardneg.load(beir)
        assert data.corpus["doc_id"].to_pylist() == ["d1", "d10", "d2"]  # by bytes
        assert data.corpus["title"].to_pylist()[::2] == ["One", "Two"]
        assert data.queries["query_id"].to_pylist() == ["q1", "q2"]
        assert judged(data) == {("q1", "d1", 1.0), ("q2", "d2", 2.0), ("q2", "d10", 0.0)}

    def test_a_split(self, beir: Path, judged: Judged) -> None:
        assert judged(hardneg.load(beir, split="test")) == {("q2", "d10", 1.0)}
        with pytest.raises(hardneg.HardnegError, match=r"tset.*did you mean 'test'"):
            hardneg.load(beir, split="tset")

    def test_queries_without_a_judgment_in_the_split_are_counted(self, beir: Path) -> None:
        data = hardneg.load(beir, split="test")
        assert data.queries["query_id"].to_pylist() == ["q2"]
        assert data.report.counts["queries outside the split"] == 1

    def test_judged_negatives_are_given_only_when_trusted(self, beir: Path) -> None:
        assert hardneg.load(beir).given.num_rows == 0
        given = hardneg.load(beir, trust_judged_negatives=True).given.to_pylist()
        assert [(row["query_id"], row["doc_id"]) for row in given] == [("q2", "d10")]

    def test_compressed(self, beir: Path, judged: Judged) -> None:
        plain = hardneg.load(beir)
        corpus = beir / "corpus.jsonl"
        (beir / "corpus.jsonl.gz").write_bytes(gzip.compress(corpus.read_bytes()))
        corpus.unlink()
        queries = beir / "queries.jsonl"
        with pa.output_stream(str(beir / "queries.jsonl.zst"), compression="zstd") as out:
            out.write(queries.read_bytes())
        queries.unlink()
        found = hardneg.load(beir)
        assert found.corpus.equals(plain.corpus) and found.queries.equals(plain.queries)
        assert judged(found) == judged(plain)

    def test_judgments_elsewhere(self, beir: Path, write: Write, judged: Judged) -> None:
        trec = write("other.qrels", "q1 0 d2 1\nq2 0 d1 -1\n")
        data = hardneg.load(beir, qrels=str(trec))
        assert judged(data) == {("q1", "d2", 1.0), ("q2", "d1", -1.0)}
        assert any("TREC qrels" in note for note in data.report.notes)

    def test_a_file_of_queries_with_qrels_and_corpus(self, beir: Path, judged: Judged) -> None:
        data = hardneg.load(
            beir / "queries.jsonl", qrels=str(beir / "qrels" / "train.tsv"), corpus=beir / "corpus.jsonl"
        )
        assert judged(data) == judged(hardneg.load(beir))

    def test_further_columns_are_kept(self, write: Write, beir: Path) -> None:
        write(
            "beir/corpus.jsonl",
            [{"_id": f"d{n}", "text": f"t{n}", "group": "g", "url": f"u{n}"} for n in (1, 2, 10)],
        )
        data = hardneg.load(beir)
        assert data.corpus["group"].to_pylist() == ["g"] * 3
        assert data.corpus["url"].to_pylist() == ["u1", "u10", "u2"]

    def test_twins_keep_their_ids(self, write: Write, beir: Path) -> None:
        write("beir/corpus.jsonl", [{"_id": f"d{n}", "text": "the same"} for n in (1, 2, 10)])
        assert hardneg.load(beir).corpus["doc_id"].to_pylist() == ["d1", "d10", "d2"]


class TestFlagEmbedding:
    def test_query_pos_neg(self, write: Write, pairs_of: PairsOf) -> None:
        rows = [{"query": "q", "pos": ["a", "b"], "neg": ["c"]}, {"query": "r", "pos": ["d"], "neg": []}]
        data = hardneg.load(write("train.jsonl", rows))
        assert pairs_of(data) == {("q", "a"), ("q", "b"), ("r", "d")}
        assert data.given.num_rows == 1

    def test_pos_as_a_string_is_one_positive(self, write: Write, pairs_of: PairsOf) -> None:
        """field.md: single characters are mined as negatives."""
        data = hardneg.load(
            write("train.jsonl", [{"query": "q", "pos": "one positive", "neg": "one negative"}])
        )
        assert pairs_of(data) == {("q", "one positive")}
        assert sorted(data.corpus["text"].to_pylist()) == ["one negative", "one positive"]

    def test_a_prompt_on_the_row(self, write: Write) -> None:
        data = hardneg.load(
            write("train.jsonl", [{"query": "q", "pos": ["a"], "neg": [], "prompt": "find: "}])
        )
        assert data.queries["prompt"].to_pylist() == ["find: "]


def as_csv(delimiter: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(PAIRS[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(PAIRS)
    return out.getvalue()


class Word(str):
    """Text of a class of its own."""


def itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


ODD_VALUES: dict[str, Any] = {
    "mixed keys": ({1: 2, "a": 3}, '{"1": 2, "a": 3}'),
    "pairs for keys": ({(1, 2): 3}, '{"(1, 2)": 3}'),
    "NaN for a key": ({math.nan: math.nan}, '{"nan": null}'),
    "a number beyond 64 bits": (2**70, str(2**70)),
    "half a surrogate pair": ("a\ud800", "a\ufffd"),
    "a set": ({1}, None),
    "numpy's number": (np.float32(1.5), 1.5),
    "numpy's array": (np.array([1, 2]), "[1, 2]"),
}


TEXTS: dict[str, Callable[[str], Any]] = {
    "numpy": np.str_,
    "subclass": Word,
    "array": lambda text: np.array([text]),
    "list": lambda text: [Word(text)],
}


class TestTablesInMemory:
    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    def test_texts_of_other_classes_are_texts(self, text: Callable[[str], Any], pairs_of: PairsOf) -> None:
        rows = [{"query": Word(row["query"]), "positive": text(row["positive"])} for row in PAIRS]
        assert pairs_of(hardneg.load(rows)) == EXPECTED

    def test_numbers_of_numpy_are_ids_and_grades(self) -> None:
        rows = [{"query": "a", "positive": "b", "query_id": np.int64(7), "relevance": np.float32(2)}]
        data = hardneg.load(rows)
        assert data.qrels.select(["query_id", "relevance"]).to_pylist() == [{"query_id": "7", "relevance": 2}]

    @pytest.mark.parametrize("frame", [False, True], ids=["list", "pandas"])
    @pytest.mark.parametrize(("value", "kept"), ODD_VALUES.values(), ids=ODD_VALUES)
    def test_a_column_of_odd_values_is_kept(self, frame: bool, value: Any, kept: Any) -> None:
        import pandas as pd

        rows = [{**row, "odd": value} for row in PAIRS]
        data = hardneg.load(pd.DataFrame(rows, dtype=object) if frame else rows)
        assert data.queries.num_rows == 2
        found = {str(one) for one in data.queries["odd"].to_pylist()}
        assert found == {str(kept)} or (kept is None and len(found) == 1)

    def test_a_value_without_an_end_is_refused(self) -> None:
        rows = [{**row, "odd": itself()} for row in PAIRS]
        with pytest.raises(hardneg.InputError, match="nested too deep, or holds itself; leave its column"):
            hardneg.load(rows)

    def test_a_sparse_column(self, pairs_of: PairsOf) -> None:
        import pandas as pd

        frame = pd.DataFrame(PAIRS).assign(odd=pd.arrays.SparseArray([0, 0, 1]))
        assert pairs_of(hardneg.load(frame)) == EXPECTED


class TestPairs:
    @pytest.fixture
    def sources(self, write: Write) -> dict[str, Any]:
        import datasets
        import pandas as pd
        import polars as pl

        table = pa.Table.from_pylist(PAIRS)
        parquet = write("pairs.parquet", "")
        pq.write_table(table, parquet)
        return {
            "jsonl": write("pairs.jsonl", PAIRS),
            "gz": write("pairs.jsonl.gz", gzip.compress(write("x.jsonl", PAIRS).read_bytes())),
            "csv": write("pairs.csv", as_csv(",")),
            "crlf and bom": write("bom.csv", b"\xef\xbb\xbf" + as_csv(",").encode()),
            "tsv": write("pairs.tsv", as_csv("\t")),
            "parquet": parquet,
            "list": PAIRS,
            "arrow": table,
            "dataset": datasets.Dataset.from_list(PAIRS),
            "dict of splits": datasets.DatasetDict({"train": datasets.Dataset.from_list(PAIRS)}),
            "pandas": pd.DataFrame(PAIRS),
            "polars": pl.DataFrame(PAIRS),
        }

    def test_all_give_the_same(self, sources: dict[str, Any], pairs_of: PairsOf) -> None:
        first = hardneg.load(PAIRS)
        assert pairs_of(first) == EXPECTED
        assert first.queries.num_rows == 2  # the same query on several rows is one, with all its positives
        assert first.given.num_rows == 3
        for name, source in sources.items():
            data = hardneg.load(source)
            for table in ("corpus", "queries", "qrels", "given"):
                assert getattr(data, table).equals(getattr(first, table)), (name, table)

    def test_columns_named_by_flags(self, write: Write, pairs_of: PairsOf) -> None:
        rows = [{"frage": r["query"], "gut": r["positive"], "schlecht": r["negative"]} for r in PAIRS]
        path = write("named.jsonl", rows)
        data = hardneg.load(path, query_column="frage", positive_column="gut", negative_column=("schlecht",))
        assert pairs_of(data) == EXPECTED
        assert data.given.num_rows == 3

    def test_a_misspelt_column_is_never_replaced(self, write: Write) -> None:
        """field.md: a misspelt column name silently takes column 0."""
        path = write("pairs.jsonl", PAIRS)
        with pytest.raises(hardneg.InputError, match=r"'positve'; did you mean 'positive'"):
            hardneg.load(path, positive_column="positve")
        unknown = write("unknown.csv", "left,right\na,b\n")
        with pytest.raises(hardneg.InputError, match="left.*right.*--query-column"):
            hardneg.load(unknown)

    def test_anchor_positive_negative_of_sentence_transformers(self, write: Write, pairs_of: PairsOf) -> None:
        rows = [{"anchor": "q", "positive": "p", "negative_2": "n2", "negative_1": "n1"}]
        data = hardneg.load(write("st.jsonl", rows))
        assert pairs_of(data) == {("q", "p")}
        assert data.given.num_rows == 2

    def test_one_text_has_one_id_whatever_stands_around_it(self, pairs_of: PairsOf) -> None:
        one = hardneg.load(PAIRS)
        other = hardneg.load([*reversed(PAIRS), {"query": "more", "positive": PAIRS[1]["positive"]}])
        ids = dict(zip(other.corpus["text"].to_pylist(), other.corpus["doc_id"].to_pylist(), strict=True))
        for row in one.corpus.to_pylist():
            assert ids[row["text"]] == row["doc_id"]

    def test_a_pool(self, write: Write, beir: Path) -> None:
        pool = write("pool.jsonl", [{"text": "a pool text"}, {"text": PAIRS[0]["positive"]}])
        data = hardneg.load(PAIRS, corpus=pool)
        texts = data.corpus["text"].to_pylist()
        assert "a pool text" in texts and texts.count(PAIRS[0]["positive"]) == 1
        parquet = pool.with_suffix(".parquet")
        pq.write_table(pa.table({"text": ["a pool text", PAIRS[0]["positive"]]}), parquet)
        assert hardneg.load(PAIRS, corpus=parquet).corpus.equals(data.corpus)
        in_memory = [{"text": "a pool text"}, {"text": PAIRS[0]["positive"]}]
        assert hardneg.load(PAIRS, corpus=in_memory).corpus.equals(data.corpus)
        whole = hardneg.load(PAIRS, corpus=beir)
        assert {"d1", "d2", "d10"} <= set(whole.corpus["doc_id"].to_pylist())


def card(**files: str) -> str:
    """A data set's README: configuration → where its rows lie; the split has the configuration's name."""
    parts = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: {name}\n    path: {path}\n"
        for name, path in files.items()
    )
    return f"---\nconfigs:\n{parts}---\n"


@pytest.mark.usefixtures("local_hub")
class TestHub:
    @pytest.fixture
    def collection(self, write: Write) -> Path:
        """A data set with the configurations corpus and queries, its judgments in another beside it."""
        documents = [{"_id": "d1", "title": "", "text": "one"}, {"_id": "d2", "title": "", "text": "two"}]
        write("hub/scifact/corpus/corpus.jsonl", documents)
        write("hub/scifact/queries/queries.jsonl", [{"_id": "q1", "title": "", "text": "which?"}])
        write("hub/scifact-qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t1\n")
        write("hub/scifact-qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n")
        files = card(corpus="corpus/corpus.jsonl", queries="queries/queries.jsonl")
        return write("hub/scifact/README.md", files).parent

    def test_judgments_in_a_data_set_beside_it(self, collection: Path, judged: Judged) -> None:
        assert judged(hardneg.load(collection)) == {("q1", "d2", 1.0)}
        assert judged(hardneg.load(collection, split="test")) == {("q1", "d1", 1.0)}
        with pytest.raises(hardneg.InputError, match="no split 'dev'.*there: train, test"):
            hardneg.load(collection, split="dev")

    def test_judgments_in_its_own_default_configuration(
        self, collection: Path, write: Write, judged: Judged
    ) -> None:
        write("hub/scifact/qrels/train.jsonl", [{"query-id": "q1", "corpus-id": "d1", "score": 1}])
        files = card(
            corpus="corpus/corpus.jsonl", queries="queries/queries.jsonl", default="qrels/train.jsonl"
        )
        write("hub/scifact/README.md", files.replace("split: default", "split: train"))
        assert judged(hardneg.load(collection)) == {("q1", "d1", 1.0)}

    def test_ids_keep_their_zeros_and_na_is_a_word(
        self, collection: Path, write: Write, judged: Judged
    ) -> None:
        write(
            "hub/scifact/corpus/corpus.jsonl", [{"_id": "007", "text": "one"}, {"_id": "NA", "text": "two"}]
        )
        write("hub/scifact-qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\t007\t1\nq1\tNA\t1\n")
        assert judged(hardneg.load(collection)) == {("q1", "007", 1.0), ("q1", "NA", 1.0)}

    def test_the_present_folder(
        self, collection: Path, judged: Judged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(collection)
        assert judged(hardneg.load(".")) == {("q1", "d2", 1.0)}

    def test_its_corpus_as_a_pool(self, collection: Path) -> None:
        data = hardneg.load(PAIRS, corpus=collection)
        assert {"d1", "d2"} < set(data.corpus["doc_id"].to_pylist())

    def test_pairs(self, write: Write, pairs_of: PairsOf) -> None:
        path = write("natural-questions/pair/train-00000-of-00001.parquet", "")
        pq.write_table(pa.table({"query": ["who?"], "answer": ["she"]}), path)
        folder = write(
            "natural-questions/README.md", card(pair="pair/train-*").replace("split: pair", "split: train")
        ).parent
        assert pairs_of(hardneg.load(folder)) == {("who?", "she")}
        with pytest.raises(hardneg.InputError, match="'pairs'; did you mean 'pair'"):
            hardneg.load(folder, subset="pairs")

    def test_what_save_to_disk_left(self, tmp_path: Path, pairs_of: PairsOf) -> None:
        import datasets

        rows = datasets.Dataset.from_list(PAIRS)
        rows.save_to_disk(str(tmp_path / "one"))
        datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "splits"))
        assert pairs_of(hardneg.load(tmp_path / "one")) == EXPECTED
        assert pairs_of(hardneg.load(tmp_path / "splits")) == EXPECTED

    def test_an_existing_path_wins_and_hf_forces_the_hub(
        self, write: Write, tmp_path: Path, pairs_of: PairsOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import datasets

        monkeypatch.chdir(tmp_path)
        write("owner/name/train.jsonl", [{"query": "q", "positive": "p"}])
        assert pairs_of(hardneg.load("owner/name")) == {("q", "p")}
        with pytest.raises(hardneg.InputError, match="owner/name: .*cannot be loaded from the Hub"):
            hardneg.load("hf:owner/name")
        asked: list[str] = []

        def configurations(name: str) -> list[str]:
            asked.append(name)
            return []

        monkeypatch.setattr(datasets, "get_dataset_config_names", configurations)
        for source in ("hf:owner/name", "hf:owner/other", "owner/other"):
            with pytest.raises(hardneg.InputError):
                hardneg.load(source)
        assert asked == ["hf://datasets/owner/name", "owner/other", "owner/other"]

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(hardneg.InputError, match="empty: is an empty folder"):
            hardneg.load(tmp_path / "empty")


class TestReport:
    def test_counts_first_row_and_columns(self) -> None:
        report = hardneg.load([*PAIRS, PAIRS[0]]).report
        assert report.counts["documents"] == 6 and report.counts["queries"] == 2
        assert report.counts["positives"] == 3
        assert report.first_row is not None and report.first_row["query"] == "Hauptstadt?"
        assert any("query ← query" in note and "positive ← positive" in note for note in report.notes)
        assert not report.refused

    def test_first_queries_for_a_first_look(self, beir: Path, judged: Judged) -> None:
        data = hardneg.load(beir, limit_queries=1)
        assert data.queries["query_id"].to_pylist() == ["q1"]
        assert judged(data) == {("q1", "d1", 1.0)}
        assert data.corpus.num_rows == 3  # the corpus stays whole
