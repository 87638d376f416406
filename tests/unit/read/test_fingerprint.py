"""Equal content, equal fingerprint; anything else, another one."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

import hardneg
from hardneg.read import fingerprint
from hardneg.records import Collection

ROWS = [{"query": "q", "pos": ["ab", "c"], "neg": ["n"], "year": 1}, {"query": "r", "pos": ["d"]}]


@pytest.fixture
def data() -> Collection:
    return hardneg.load(ROWS)


def test_chunks_string_widths_and_the_report_do_not_count(data: Collection) -> None:
    corpus = pa.concat_tables([data.corpus.slice(0, 1), data.corpus.slice(1)])
    wider = corpus.set_column(0, "doc_id", corpus["doc_id"].cast(pa.large_string()))
    other = replace(data, corpus=wider, report=replace(data.report, source="elsewhere"))
    assert fingerprint(other) == fingerprint(data)


@pytest.mark.parametrize(
    "change",
    [
        {"pos": ["a", "bc"]},
        {"pos": ["ab", "c", "e"]},
        {"neg": ["m"]},
        {"neg": []},
        {"query": "s"},
        {"year": 2},
        {"year": None},
        {"year": "1"},
        {"prompt": "find: "},
    ],
)
def test_every_value_counts(data: Collection, change: dict[str, object]) -> None:
    assert fingerprint(hardneg.load([{**ROWS[0], **change}, ROWS[1]])) != fingerprint(data)


def test_a_relevance_counts(data: Collection) -> None:
    graded = data.qrels.set_column(2, "relevance", pa.array([1.0, 1.0, 2.0], pa.float32()))
    assert fingerprint(replace(data, qrels=graded)) != fingerprint(data)


def test_where_one_text_ends_counts(data: Collection) -> None:
    def with_texts(*texts: str | None) -> str:
        column = pa.array(texts, pa.large_string())
        return fingerprint(replace(data, corpus=data.corpus.slice(0, 2).set_column(2, "text", column)))

    assert (
        len({with_texts("ab", "c"), with_texts("a", "bc"), with_texts("abc", ""), with_texts("abc", None)})
        == 4
    )
