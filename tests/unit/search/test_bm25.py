"""BM25: the formula by hand, no candidate without a shared word, ties by row, other scripts."""

from __future__ import annotations

from math import log

import numpy as np
import pyarrow as pa
import pytest

from hardneg.progress import Silent
from hardneg.records import NO_DOC, Ranking
from hardneg.search.bm25 import Bm25Retriever


def search(
    queries: list[str], documents: list[str], depth: int, positives: list[list[int]] | None = None
) -> Ranking:
    rows = np.arange(len(queries), dtype=np.int32)
    wanted = np.array(positives if positives is not None else [[]] * len(queries), np.int32)
    return Bm25Retriever("bm25", queries, documents).search(rows, depth, wanted, Silent())


def test_scores_are_lucenes_formula() -> None:
    documents = ["apple apple pear", "pear", "plum plum"]
    ranking = search(["apple plum", "pear"], documents, 3)
    # idf = ln(1 + (N - df + 0.5) / (df + 0.5)); score = idf tf / (tf + k1 (1 - b + b length / average))
    once, twice = log(1 + (3 - 1 + 0.5) / 1.5), log(1 + (3 - 2 + 0.5) / 2.5)
    apple = once * 2 / (2 + 1.5 * (0.25 + 0.75 * 3 / 2))
    plum = once * 2 / (2 + 1.5 * (0.25 + 0.75 * 2 / 2))
    pear_0 = twice * 1 / (1 + 1.5 * (0.25 + 0.75 * 3 / 2))
    pear_1 = twice * 1 / (1 + 1.5 * (0.25 + 0.75 * 1 / 2))
    assert ranking.doc.tolist() == [[2, 0, NO_DOC], [1, 0, NO_DOC]]
    expected = np.array([[plum, apple, np.nan], [pear_1, pear_0, np.nan]])
    np.testing.assert_allclose(ranking.score, expected, rtol=1e-6)


def test_a_document_without_a_shared_word_is_no_candidate() -> None:
    """bm25s itself fills up with documents of score 0."""
    ranking = search(["zebra", "apple"], ["apple", "pear", "apple pie"], 3)
    assert ranking.doc.tolist() == [[NO_DOC] * 3, [0, 2, NO_DOC]]
    assert np.isnan(ranking.score[0]).all()


def test_a_positive_without_a_shared_word_has_score_zero() -> None:
    ranking = search(["zebra", "apple"], ["apple", "pear"], 1, [[1, NO_DOC], [1, 0]])
    np.testing.assert_array_equal(ranking.positive_score, [[0, np.nan], [0, ranking.score[1, 0]]])


def test_ties_at_the_boundary_go_by_row() -> None:
    documents = ["filler"] * 50 + ["apple"] * 40 + ["apple apple"]
    ranking = search(["apple"], documents, 6)
    assert ranking.doc.tolist() == [[90, 50, 51, 52, 53, 54]]
    assert len(set(ranking.score[0, 1:].tolist())) == 1


def test_a_word_counts_as_often_as_the_query_has_it() -> None:
    ranking = search(["apple", "apple apple"], ["apple", "pear"], 1)
    assert ranking.score[1, 0] == 2 * ranking.score[0, 0]


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("机器学习模型", 0),
        ("機械学習のモデル", 1),
        ("기계학습을 위한 모델", 2),
        ("modèles d'apprentissage", 3),
        ("машинное обучение", 4),
        ("ÜBERSETZUNG MASCHINELLE", 5),
    ],
)
def test_every_script_finds_its_document(query: str, right: int) -> None:
    documents = [
        "深度机器学习的模型训练",
        "機械学習モデルを訓練する",
        "기계학습은 모델을 훈련한다",
        "Un modèle d’apprentissage automatique; des modèles",
        "Машинное обучение моделей",
        "Die maschinelle Übersetzung",
        "something else entirely",
    ]
    assert search([query], documents, 1).doc.tolist() == [[right]]


def test_arrow_texts_parts_of_queries_and_blocks_give_the_same() -> None:
    rng = np.random.default_rng(0)
    vocabulary = [f"w{i}" for i in range(60)]
    texts = [" ".join(rng.choice(vocabulary, rng.integers(1, 12))) for _ in range(300)]
    queries = [" ".join(rng.choice(vocabulary, 4)) for _ in range(20)]
    whole = search(queries, texts, 15)
    chunks = pa.chunked_array([texts[:100], texts[100:]], pa.large_string())
    retriever = Bm25Retriever("bm25", pa.chunked_array([queries]), chunks)
    for row in (7, 3):
        part = retriever.search(np.array([row], np.int32), 15, np.zeros((1, 0), np.int32), Silent())
        np.testing.assert_array_equal(part.doc[0], whole.doc[row])
        np.testing.assert_array_equal(part.score[0], whole.score[row])


@pytest.mark.parametrize("documents", [[], ["", "..."]])
def test_a_corpus_without_words_gives_nothing(documents: list[str]) -> None:
    assert (search(["apple"], documents, 2_000_000_000).doc == NO_DOC).all()


def test_documents_without_words_do_no_harm() -> None:
    assert search(["apple"], ["", "apple", "!!"], 2).doc.tolist() == [[1, NO_DOC]]
