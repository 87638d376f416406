"""Whatever the rows: their order changes nothing, none is lost, and every kind of file gives the same."""

from __future__ import annotations

import csv
import io
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg
from hardneg.read import fingerprint
from hardneg.records import Collection

TABLES = ("corpus", "queries", "qrels", "given")
# Line ends and NUL are left out: CSV cannot carry them back unchanged. So are two characters that show
# nothing: a text of them alone is empty.
UNSEEN = "\r\x00\n\ufeff\u200b"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters=UNSEEN), min_size=1, max_size=12).filter(
    str.strip
)
ROWS = st.lists(st.fixed_dictionaries({"query": TEXT, "positive": TEXT}), min_size=1, max_size=12)
ODD = st.one_of(st.just(""), st.just("   "), st.none(), st.integers())


def same(one: Collection, other: Collection) -> bool:
    return all(getattr(one, name).equals(getattr(other, name)) for name in TABLES)


def pairs_of(data: Collection) -> set[tuple[str, str]]:
    query = dict(zip(data.queries["query_id"].to_pylist(), data.queries["text"].to_pylist(), strict=True))
    text = dict(zip(data.corpus["doc_id"].to_pylist(), data.corpus["text"].to_pylist(), strict=True))
    return {(query[row["query_id"]], text[row["doc_id"]]) for row in data.qrels.to_pylist()}


@settings(max_examples=60)
@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing(rows: list[dict[str, str]], draw: random.Random) -> None:
    mixed = [*rows, *rows[:3]]
    draw.shuffle(mixed)
    data = hardneg.load(rows)
    assert same(data, hardneg.load(mixed))
    assert pairs_of(data) == {(row["query"], row["positive"]) for row in rows}


@settings(max_examples=40)
@given(ROWS)
def test_every_kind_of_file_gives_the_same(rows: list[dict[str, str]]) -> None:
    expected = hardneg.load(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        pq.write_table(pa.Table.from_pylist(rows), path / "b.parquet")
        for name, delimiter in (("c.csv", ","), ("d.tsv", "\t")):
            out = io.StringIO()
            writer = csv.DictWriter(out, ["query", "positive"], delimiter=delimiter, quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
            (path / name).write_text(out.getvalue(), "utf-8", newline="")
        for one in sorted(path.iterdir()):
            assert same(hardneg.load(one), expected), one.name


@settings(max_examples=60)
@given(
    st.lists(st.fixed_dictionaries({"query": TEXT | ODD, "positive": TEXT | ODD}), min_size=1, max_size=12)
)
def test_rows_in_are_rows_kept_and_rows_told(rows: list[dict[str, object]]) -> None:
    good = [row for row in rows if all(isinstance(v, str) and v.strip() for v in row.values())]
    if not good:
        return
    data = hardneg.load(rows, on_bad_row="skip")
    assert pairs_of(data) == {(row["query"], row["positive"]) for row in good}
    assert len(data.report.refused) == len(rows) - len(good)


WORD = st.sampled_from(["a", "b", "c", "d"])
LABELLED = st.lists(
    st.fixed_dictionaries(
        {"query": WORD, "pos": st.lists(WORD, min_size=1, max_size=3)},
        optional={
            "query_id": st.sampled_from(["1", "2"]),
            "neg": st.lists(WORD, max_size=3),
            "prompt": st.sampled_from(["find: ", "say: "]),
            "year": st.integers(0, 3),
            "note": st.one_of(WORD, st.lists(WORD, max_size=2)),
        },
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=100)
@given(LABELLED, st.randoms(use_true_random=False))
def test_order_changes_nothing_with_ids_prompts_and_given_negatives(
    rows: list[dict[str, Any]], draw: random.Random
) -> None:
    named = {row["query_id"]: row["query"] for row in rows if "query_id" in row}
    rows = [{**row, "query": named.get(row.get("query_id", ""), row["query"])} for row in rows]
    mixed = list(rows)
    draw.shuffle(mixed)
    one, other = hardneg.load(rows), hardneg.load(mixed)
    assert same(one, other)
    assert fingerprint(one) == fingerprint(other)


@settings(max_examples=60)
@given(LABELLED)
def test_every_label_is_kept_or_told(rows: list[dict[str, Any]]) -> None:
    data = hardneg.load([{key: row[key] for key in ("query", "pos", "neg") if key in row} for row in rows])
    counts = data.report.counts
    positives = {(row["query"], text) for row in rows for text in row["pos"]}
    negatives = {(row["query"], text) for row in rows for text in row.get("neg", [])}
    assert pairs_of(data) == positives
    assert data.given.num_rows == len(negatives - positives)
    assert counts["positives"] + counts["duplicate judgments merged"] == sum(len(row["pos"]) for row in rows)
    assert counts["queries"] + counts["duplicate queries merged"] == len(rows)
    texts = sum(len(row["pos"]) + len(row.get("neg", [])) for row in rows)
    assert counts["documents"] + counts["duplicate documents merged"] == texts


@settings(max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "query_id": st.sampled_from("ab"),
                "query": st.sampled_from("xyz"),
                "positive": st.sampled_from("pqr"),
            }
        ),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_of_an_ids_two_texts_the_same_one_stays(rows: list[dict[str, str]], draw: random.Random) -> None:
    mixed = list(rows)
    draw.shuffle(mixed)
    one, other = (hardneg.load(order, on_bad_row="skip") for order in (rows, mixed))
    assert same(one, other)
    assert len(one.report.refused) == len(other.report.refused)
    text = dict(zip(one.queries["query_id"].to_pylist(), one.queries["text"].to_pylist(), strict=True))
    assert len(one.report.refused) == sum(text.get(row["query_id"]) != row["query"] for row in rows)
