"""Lexical vectors: the same text is the same direction, other words another, and order decides nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from hardneg.guard.fitted.grid import GRID, on_grid
from hardneg.guard.fitted.lexical import Lexical, project_all
from hardneg.progress import Silent

TEXTS = [
    "the river bends around the old mill",
    "the river bends around the new mill",
    "violins are built of spruce and maple",
    "",
    "Der Fluss fließt um die Mühle",
]


def chunked(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.string())])


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    left, right = on_grid(np.stack([one, other]).astype(np.float32))
    return float(left @ right) / GRID**2


def test_more_shared_words_are_nearer() -> None:
    documents, queries = project_all(chunked(TEXTS), chunked(["RIVER mill", "unheard words"]))
    assert cosine(documents[0], documents[0]) > 0.99
    assert cosine(documents[0], documents[1]) > 0.5 > cosine(documents[0], documents[2])
    assert cosine(queries[0], documents[0]) > 0.3
    assert not documents[3].any() and not queries[1].any()


def test_the_order_of_documents_changes_no_vector() -> None:
    turned = [4, 2, 0, 3, 1]
    one, _ = project_all(chunked(TEXTS), chunked(["mill"]))
    other, _ = project_all(chunked([TEXTS[n] for n in turned]), chunked(["mill"]))
    assert (one[turned] == other).all()


def test_written_and_opened(tmp_path: Path) -> None:
    documents, queries = project_all(chunked(TEXTS), chunked(["mill"]))
    assert not Lexical.written(tmp_path)
    Lexical.write(chunked(TEXTS), chunked(["mill"]), tmp_path, Silent())
    opened = Lexical.open(tmp_path)
    assert Lexical.written(tmp_path)
    rows = np.arange(5, dtype=np.int32)
    assert (opened.document(rows) == documents).all() and (opened.query(rows[:1]) == queries).all()
