"""Texts that differ in Unicode form, case or spacing are one; all others are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hardneg.files import read_parquet, write_parquet
from hardneg.guard import TextClasses
from hardneg.texts import normalise


def corpus(*rows: tuple[str | None, str | None]) -> pa.Table:
    """Documents from (title, text)."""
    return pa.table(
        {
            "doc_id": [f"d{place}" for place in range(len(rows))],
            "title": pa.array([title for title, _ in rows], pa.large_string()),
            "text": pa.array([text for _, text in rows], pa.large_string()),
        }
    )


def queries(*texts: str) -> pa.Table:
    return pa.table(
        {"query_id": [f"q{place}" for place in range(len(texts))], "text": pa.array(texts, pa.large_string())}
    )


@pytest.mark.parametrize(
    "variant",
    ["The cat  sat", " the CAT sat\n", "the\u00a0cat\tsat", "ｔｈｅ　ｃａｔ　ｓａｔ", "the cat sat\u3000"],
)
def test_form_case_and_spacing_make_no_difference(variant: str) -> None:
    classes = TextClasses.build(corpus((None, "the cat sat"), (None, variant)), queries(variant))
    assert classes.document[0] == classes.document[1] == classes.query[0]


@pytest.mark.parametrize("other", ["the cat sat.", "the cats at", "a cat sat", ""])
def test_other_texts_are_apart(other: str) -> None:
    classes = TextClasses.build(corpus((None, "the cat sat"), (None, other)), queries("q"))
    assert classes.document[0] != classes.document[1]


def test_the_title_counts_as_it_is_encoded() -> None:
    table = corpus(("A cat", "sat"), (None, "a cat sat"), ("Another", "sat"), ("", "sat"))
    joined = TextClasses.build(table, queries("a cat sat", "sat"))
    assert joined.document[0] == joined.document[1] == joined.query[0]
    assert joined.document[3] == joined.query[1]
    assert len(set(joined.document.tolist())) == 3
    assert set(joined.document_text_only[[0, 2, 3]].tolist()) == {int(joined.query[1])}
    alone = TextClasses.build(table, queries("a cat sat", "sat"), join_title=False)
    assert alone.document.tolist() == alone.document_text_only.tolist()
    assert alone.document[0] == alone.document[2] == alone.query[1]


def test_characters_are_those_of_the_encoded_text() -> None:
    table = corpus(("ab", "cde"), (None, "  日本 "), (None, ""), (None, None), (None, "\x1c"), ("t", ""))
    # "ab cde", "日本", and three texts of white space only; a title alone is a text.
    assert TextClasses.build(table, queries("q")).characters.tolist() == [6, 2, 0, 0, 0, 1]


def test_large_tables_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(None if place % 3 else "t", f"text {place % 7}") for place in range(23)]
    whole = TextClasses.build(corpus(*rows), queries("text 1", "t text 2"))
    monkeypatch.setattr("hardneg.guard.text_classes._ROWS", 4)
    chunked = pa.concat_tables([corpus(*rows[:10]), corpus(*rows[10:])])
    parts = TextClasses.build(chunked, queries("text 1", "t text 2"))
    for name in ("document", "document_text_only", "query", "characters", "keys"):
        assert getattr(parts, name).tolist() == getattr(whole, name).tolist()
        assert getattr(parts, name).dtype == getattr(whole, name).dtype
    texts = [normalise(f"{title or ''} {text}") for title, text in rows]
    equal = np.equal.outer(whole.document, whole.document)
    assert equal.tolist() == [[one == other for other in texts] for one in texts]
    assert whole.representatives.tolist() == [texts.index(text) for text in dict.fromkeys(texts)]


def test_the_classes_of_other_texts() -> None:
    classes = TextClasses.build(corpus((None, "one"), (None, "two")), queries("three"))
    found = classes.of(["TWO ", "four", "three"])
    assert found.tolist() == [classes.document[1], -1, classes.query[0]]
    assert TextClasses.build(corpus(), queries()).of(["x"]).tolist() == [-1]


def test_they_are_stored_and_read_back(tmp_path: Path) -> None:
    classes = TextClasses.build(corpus(("t", "one"), (None, "two")), queries("three"))
    write_parquet(classes.to_table(), tmp_path / "classes.parquet")
    again = TextClasses.from_table(read_parquet(tmp_path / "classes.parquet"))
    for name in ("document", "document_text_only", "query", "characters", "keys"):
        assert getattr(again, name).tolist() == getattr(classes, name).tolist()
        assert getattr(again, name).dtype == getattr(classes, name).dtype
