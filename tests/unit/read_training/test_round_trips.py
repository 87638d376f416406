"""write → read → write gives the same bytes, whatever the groups hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardneg.config import Format, TrainingFileOptions
from hardneg.export.examples import examples_of
from hardneg.export.formats import format_named
from hardneg.export.options import ExportOptions
from hardneg.export.writing import check_output, write_examples
from hardneg.read.training import ReadOptions, find_reader, recognised
from hardneg.records import GROUPS
from hardneg.trainers import MODULES

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    [
        "",
        "=1",
        "'=1",
        "''-x",
        "a,b",
        'say "so"',
        "two\nlines",
        "\r\n",
        "\u2028",
        "\ufeff",
        "NA",
        "null",
        "\x00",
    ]
)
SCORES = st.floats(width=32, allow_nan=False, allow_infinity=False)


def sides(draw: st.DrawFn, name: str, number: int, *, holes: bool) -> dict[str, Any]:
    score = SCORES | st.none() if holes else SCORES
    return {
        name: draw(st.lists(TEXTS, min_size=number, max_size=number)),
        f"{name}_id": draw(st.lists(st.text("abc1", min_size=1), min_size=number, max_size=number)),
        f"{name}_score": draw(st.lists(score, min_size=number, max_size=number)),
    }


@st.composite
def groups(draw: st.DrawFn, *, width: int | None = None, holes: bool = True) -> pa.Table:
    """Ragged unless there is a width; texts may be empty, equal, and formulas; scores may be missing."""
    rows = []
    for place in range(draw(st.integers(1, 5))):
        negatives = width or draw(st.integers(1, 4))
        rows.append(
            {
                "query_id": f"q{place}",
                "query": draw(TEXTS),
                "prompt": draw(st.text("xy ", max_size=3)),
                "line": place + 1,
                **sides(draw, "pos", draw(st.integers(1, 3)), holes=holes),
                **sides(draw, "neg", negatives, holes=holes),
            }
        )
    return pa.Table.from_pylist(rows, GROUPS)


def written(table: pa.Table, to: str, path: Path, options: ExportOptions) -> bytes:
    found, kind = check_output(to, path, options)
    write_examples([examples_of(table, prompts=options.prompts)], found, kind, path, options)
    return path.read_bytes()


def read(path: Path, name: str, **file: Any) -> pa.Table:
    options = ReadOptions(file=TrainingFileOptions(**file))
    return pa.concat_tables(find_reader(name).groups(path, options))


SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".parquet", ".csv")
CASES = [
    pytest.param(to, suffix, scores, id=f"{to}{suffix}{'-scores' * scores}")
    for to in ("flagembedding", "st-triplet", "st-n-tuple", "st-labeled-pair", "st-labeled-list")
    for suffix in format_named(to).kinds
    for scores in (False, True)
    # Scores in the place of labels do not say what is a positive; CSV holds no lists.
    if not (scores and ("labeled" in to or suffix == ".csv")) and (to, suffix) != ("st-labeled-list", ".csv")
]


@pytest.mark.parametrize(("to", "suffix", "scores"), CASES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_the_same_bytes_again(
    to: str, suffix: str, scores: bool, data: st.DataObject, tmp_path: Path
) -> None:
    table = data.draw(groups(width=data.draw(st.integers(1, 3)) if to == "st-n-tuple" else None))
    full = to == "flagembedding"
    options = ExportOptions(scores=scores, ids=full, prompts=full)
    first = written(table, to, tmp_path / f"one{suffix}", options)
    again = written(read(tmp_path / f"one{suffix}", to), to, tmp_path / f"two{suffix}", options)
    assert again == first


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=groups())
def test_flagembedding_gives_the_groups_themselves(table: pa.Table, tmp_path: Path) -> None:
    written(table, "flagembedding", tmp_path / "a.jsonl", ExportOptions(scores=True, ids=True, prompts=True))
    assert read(tmp_path / "a.jsonl", "flagembedding").to_pylist() == table.to_pylist()


@pytest.mark.parametrize("to", ["st-triplet", "st-n-tuple", "st-labeled-pair", "st-labeled-list"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_through_another_format_the_texts_come_back_as_they_were(
    to: str, data: st.DataObject, tmp_path: Path
) -> None:
    """Of groups that a format cannot take for one: neither of one query, nor repeated."""
    table = data.draw(groups(width=2))
    words = iter(f"word {number}" for number in range(10_000))
    rows = [
        {**row, "query": f"{row['query']} {row['line']}", "pos": [next(words) for _ in row["pos"]]}
        for row in table.to_pylist()
    ]
    table = pa.Table.from_pylist(rows, GROUPS)
    scores = to in ("st-triplet", "st-n-tuple")
    written(table, to, tmp_path / "a.jsonl", ExportOptions(scores=scores))
    back = read(tmp_path / "a.jsonl", to)
    names = ["query", "pos", "neg", *(["pos_score", "neg_score"] if scores else [])]
    assert back.select(names).to_pylist() == table.select(names).to_pylist()


@pytest.mark.parametrize("to", ["st-labeled-pair", "st-labeled-list"])
def test_soft_labels_come_back_where_the_threshold_is_named(to: str, tmp_path: Path) -> None:
    row = {
        "query": "q", "line": 1, "pos": ["a", "b"], "pos_label": [1.0, 0.75], "neg": ["c", "d"],
        "neg_label": [0.25, 0.0],
    }  # fmt: skip
    table, options = pa.Table.from_pylist([row], GROUPS), ExportOptions(soft_labels=True)
    first = written(table, to, tmp_path / "a.jsonl", options)
    back = read(tmp_path / "a.jsonl", to, min_relevance=0.5)
    assert (back["pos"].to_pylist(), back["neg"].to_pylist()) == ([row["pos"]], [row["neg"]])
    assert examples_of(back).label.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert written(back, to, tmp_path / "b.jsonl", options) == first


def id_texts(folder: Path, table: pa.Table) -> dict[str, str]:
    """Corpus and queries of a table, named by options of these names."""
    docs = {doc: f"text of {doc}" for row in table.to_pylist() for doc in (*row["pos_id"], *row["neg_id"])}
    queries = {row["query_id"]: f"query {row['query_id']}" for row in table.to_pylist()}
    for name, texts in (("corpus", docs), ("queries", queries)):
        lines = [json.dumps({"_id": one, "text": text}) + "\n" for one, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return {name: str(folder / f"{name}.jsonl") for name in ("corpus", "queries")}


@pytest.mark.parametrize(("to", "suffix"), [("beir", ".tsv"), ("beir", ".parquet"), ("trec", ".run")])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=groups(holes=False), positives=st.booleans())
def test_ids_come_back_with_the_texts_of_corpus_and_queries(
    to: str, suffix: str, table: pa.Table, positives: bool, tmp_path: Path
) -> None:
    named = id_texts(tmp_path, table)
    options = ExportOptions(positives=positives and to == "beir")
    first = written(table, to, tmp_path / f"one{suffix}", options)
    back = read(tmp_path / f"one{suffix}", to, **named)
    assert back["query"].to_pylist() == [f"query q{place}" for place in range(len(table))]
    assert all(
        text == f"text of {doc}"
        for row in back.to_pylist()
        for text, doc in zip(row["neg"], row["neg_id"], strict=True)
    )
    assert written(back, to, tmp_path / f"two{suffix}", options) == first


def test_every_format_that_is_written_is_read() -> None:
    assert sorted(MODULES) == sorted(get_args(Format))
    for name in MODULES:
        assert format_named(name).kinds
        assert find_reader(name).kinds


@pytest.mark.parametrize(("to", "suffix", "scores"), CASES)
def test_what_is_written_is_recognised(to: str, suffix: str, scores: bool, tmp_path: Path) -> None:
    row = {"query_id": "q", "query": "q", "line": 1, "pos": ["a"], "neg": ["b", "c"]}
    row |= {"pos_score": [0.5], "neg_score": [0.25, 0.125]}
    path = tmp_path / f"train{suffix}"
    written(pa.Table.from_pylist([row], GROUPS), to, path, ExportOptions(scores=scores))
    assert recognised(path) == to
