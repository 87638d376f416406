"""Lexical vectors: the same text is the same direction, other words another, and order decides nothing."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hardneg.guard.fitted.grid import GRID, on_grid
from hardneg.guard.fitted.lexical import DIMENSION, Lexical, project_all
from hardneg.progress import Silent
from hardneg.words import words

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
    Lexical.write(chunked(TEXTS), chunked(["mill"]), tmp_path, "mark", Silent())
    opened = Lexical.open(tmp_path, "mark")
    assert Lexical.written(tmp_path)
    rows = np.arange(5, dtype=np.int32)
    assert (opened.document(rows) == documents).all() and (opened.query(rows[:1]) == queries).all()


def by_hand(text: str, documents: list[str]) -> np.ndarray:
    """The direction of a text: its words' BM25 weights, each on the signs that are the bits of its hash."""
    out = np.zeros(DIMENSION)
    for word, count in Counter(words(text)).items():
        holding = sum(word in words(document) for document in documents)
        if holding:
            idf = np.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            bits = hashlib.blake2b(word.encode(), digest_size=DIMENSION // 8).digest()
            signs = 2.0 * np.unpackbits(np.frombuffer(bits, np.uint8)) - 1
            out += count * (1.2 + 1) / (count + 1.2) * idf * signs
    return out / max(np.linalg.norm(out), 1e-12)


def test_a_vector_is_its_words_weights_on_their_signs() -> None:
    texts = [*TEXTS, "mill mill mill and the river river", "the mill of the mill, the old one"]
    documents, queries = project_all(chunked(texts), chunked(["the the old mill", "unheard"]))
    for text, found in zip([*texts, "the the old mill", "unheard"], [*documents, *queries], strict=True):
        # One length of all, about 127 / 4.5 in each coordinate, and few that are cut off.
        wanted = np.clip(by_hand(text, texts) * 127 / 4.5 * np.sqrt(DIMENSION), -127, 127)
        assert np.abs(found - wanted).max() <= 0.5 + 1e-6


def test_written_in_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = project_all(chunked(TEXTS), chunked(["mill"]))
    monkeypatch.setattr("hardneg.guard.fitted.lexical.STEP", 2)
    Lexical.write(chunked(TEXTS), chunked(["mill"]), tmp_path, "mark", Silent())
    assert (Lexical.open(tmp_path, "mark").document(np.arange(5, dtype=np.int32)) == whole).all()
