"""What is written for a trainer and read back are the same groups, whatever the texts, ids and scores."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg.export import ExportOptions
from hardneg.export.examples import examples_of
from hardneg.export.formats import find_format
from hardneg.export.writing import write_examples
from hardneg.read.training import ReadOptions, find_reader
from hardneg.records import GROUPS

Row = dict[str, Any]

NASTY = (
    "two\nlines", "\r\n", "a\tb", " ahead", "behind ", "  ", 'say "so"', "it's", "\\n", "a,b;c", "=1+1",
    "'=1", "NUL \0 in it",
    "👩‍👩‍👧 🇩🇪", "\u202egnp.exe\u202c", "\u2066mixed\u2069", "\u2028", "\u0085", "\ufeffmark",
    "\u200b", "e\u0301", "007",
    "1e5", "-0", "null", "NaN", "None", "true", "[1, 2]", '{"a": 1}', "[A] > [B]", "Search Query: x.",
    "x" * 5000,
)  # fmt: skip
"""What files, their readers and spreadsheets take for something else."""
NASTY_IDS = ("0", "007", "1.0", "-1", "1e5", "nan", "null", "None", "a/b", "\\", "d#1", "ä", "👍", "i" * 3000)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(NASTY)
ID = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4) | (
    st.sampled_from((*NASTY_IDS, " ", "a b", "a\tb", "two\nlines", "\u202ea"))
)
SCORE = st.floats(-1e6, 1e6, width=32)
LINE = TEXT.map(lambda text: " ".join(text.split()))  # RankLLM's prompts have single spaces


NAMES = st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters='"')  # also of qrels' lines


@st.composite
def groups(
    draw: st.DrawFn,
    *,
    text: st.SearchStrategy[str],
    titles: bool,
    pos: int | None,
    neg: int | None,
    named: bool,
) -> Row:
    """One group: ids all different, a score each; so many positives and negatives, or some."""
    identifier = st.text(NAMES, min_size=1, max_size=4) | st.sampled_from(NASTY_IDS) if named else ID
    counts = [draw(st.integers(1, 3)) if fixed is None else fixed for fixed in (pos, neg)]
    ids = draw(st.lists(identifier, min_size=sum(counts), max_size=sum(counts), unique=True))
    row: Row = {"query_id": draw(identifier), "query": draw(text), "prompt": draw(TEXT) or None}
    for side, count, begin in (("pos", counts[0], 0), ("neg", counts[1], counts[0])):
        heads = draw(st.lists(TEXT if titles else st.just(""), min_size=count, max_size=count))
        bodies = draw(st.lists(text, min_size=count, max_size=count))
        pairs = zip(heads, bodies, strict=True)
        row[side] = [f"{head} {body}" if head and body else head or body for head, body in pairs]
        row[f"{side}_title"] = heads if any(heads) else None
        row[f"{side}_id"] = ids[begin : begin + count]
        row[f"{side}_score"] = draw(st.lists(SCORE, min_size=count, max_size=count))
    return row


def told_apart(rows: list[Row]) -> list[Row]:
    """With ids and a query that no other group has: texts by ids have one text an id, and what says the same
    as the row before it belongs to its group."""
    ids = ("pos_id", "neg_id")
    return [
        {
            **row,
            "query": f"{place}{row['query']}",
            "query_id": f"{row['query_id']}-{place}",
            **{side: [f"{one}-{place}" for one in row[side]] for side in ids},
        }
        for place, row in enumerate(rows)
    ]


def round_trip(to: str, rows: list[Row], **options: Any) -> list[Row]:
    """Written as the format has it, and read back; without the lines."""
    table = pa.Table.from_pylist([{**row, "line": 0} for row in rows], GROUPS)
    asked = ExportOptions(**options)
    found = find_format(to, asked)
    suffix, kind = next(iter(found.kinds.items()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"train{suffix}".removesuffix("/")
        write_examples([examples_of(table, prompts=asked.prompts)], found, kind, path, asked)
        read = pa.concat_tables(find_reader(to).groups(path, ReadOptions())).to_pylist()
    return [{key: value for key, value in row.items() if value is not None and key != "line"} for row in read]


def kept(rows: list[Row], *columns: str) -> list[Row]:
    """What of the groups has a place in the format."""
    return [
        {key: row[key] for key in GROUPS.names if key in columns and row.get(key) is not None} for row in rows
    ]


QUERY, TEXTS = ("query",), ("pos", "neg")
IDS, SCORES, TITLES = ("query_id", "pos_id", "neg_id"), ("pos_score", "neg_score"), ("pos_title", "neg_title")

FORMS: dict[str, tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]] = {
    "flagembedding": (
        (*QUERY, *TEXTS, *IDS, *SCORES, "prompt"), {"ids": True, "scores": True, "prompts": True}, {}
    ),
    "tevatron": ((*QUERY, *TEXTS, *IDS, *SCORES, *TITLES), {"scores": True}, {"titles": True}),
    "dpr": ((*QUERY, *TEXTS, *IDS, *SCORES, *TITLES), {"ids": True, "scores": True}, {"titles": True}),
    "ms-swift-embedding": ((*QUERY, *TEXTS, "prompt"), {"prompts": True}, {"pos": 1}),
    "ms-swift-reranker": ((*QUERY, *TEXTS, "prompt"), {"prompts": True}, {}),
    "nemo-inline": ((*QUERY, *TEXTS, *IDS, *SCORES), {"ids": True, "scores": True}, {}),
    "pylate-triplet": ((*QUERY, *TEXTS, *IDS), {"ids": True}, {"named": True}),
    "pylate-n-tuple": ((*QUERY, *TEXTS, *IDS), {"ids": True}, {"named": True, "neg": 3}),
    "rankllm": ((*QUERY, *TEXTS, *IDS), {"ids": True}, {"text": LINE}),
    "tevatron-ids": ((*QUERY, *TEXTS, *IDS), {}, {"named": True}),
    "nemo": ((*QUERY, *TEXTS, *IDS, *SCORES), {"scores": True}, {"named": True}),
    "gpl": ((*QUERY, *TEXTS, *IDS, *TITLES), {}, {"named": True, "titles": True}),
    "arctic": ((*QUERY, *TEXTS, *IDS), {"ids": True}, {"named": True}),
    "pylate-distillation": ((*QUERY, *TEXTS, *IDS, *SCORES), {}, {"named": True, "neg": 2}),
}  # fmt: skip
"""What of a group has a place there, how that is asked for, and what groups there are."""


@pytest.mark.parametrize("to", FORMS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_written_and_read_back_groups_are_the_same(to: str, data: st.DataObject) -> None:
    columns, options, shape = FORMS[to]
    named = shape.get("named", False)
    one = groups(**{"text": TEXT, "titles": False, "pos": None, "neg": None, "named": False, **shape})
    rows = data.draw(st.lists(one, min_size=1, max_size=4))
    if named or to == "ms-swift-embedding":
        rows = told_apart(rows)
    expected = kept(rows, *columns)
    if to == "flagembedding":  # where a query without a prompt has an empty one
        expected = [{**row, "prompt": row.get("prompt", "")} for row in expected]
    assert round_trip(to, rows, **options) == [
        {key: row[key] for key in GROUPS.names if key in row} for row in expected
    ]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(groups(text=LINE, titles=False, pos=None, neg=None, named=False), min_size=1, max_size=3)
)
def test_rankllm_with_scores_keeps_them_with_their_passages(rows: list[Row]) -> None:
    for read, row in zip(round_trip("rankllm", rows, ids=True, scores=True), rows, strict=True):
        for side in ("pos", "neg"):
            order = np.argsort(-np.float32(row[f"{side}_score"]), kind="stable")
            for column in (side, f"{side}_id", f"{side}_score"):
                assert read[column] == [row[column][place] for place in order]
