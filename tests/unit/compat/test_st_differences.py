"""What hardneg's `mine_hard_negatives` does otherwise than sentence-transformers', each beside theirs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import mine_hard_negatives as theirs

from hardneg.compat.sentence_transformers import mine_hard_negatives as ours
from hardneg.errors import InputError, UsageError


class Angles:
    """Texts are numbers: degrees on the circle. Scores are cosines, so every rank is known."""

    device = "cpu"
    model_card_data = SimpleNamespace(base_model="angles")

    def encode_query(self, texts: list[str], **settings: Any) -> Any:
        angle = np.radians([float(text) for text in texts], dtype=np.float32)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    encode_document = encode_query

    def similarity(self, left: Any, right: Any) -> Any:
        import torch

        return torch.as_tensor(left) @ torch.as_tensor(right).T

    def similarity_pairwise(self, left: Any, right: Any) -> Any:
        import torch

        return (torch.as_tensor(left) * torch.as_tensor(right)).sum(dim=1)


class Fixed:
    """A cross-encoder that scores a document by its number, and remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, pairs: Any, **settings: Any) -> Any:
        import torch

        self.asked += len(pairs)
        return torch.tensor([float(document) for _, document in pairs])


ONE = Dataset.from_dict({"query": ["0"], "positive": ["20"]})
POOL = [str(angle) for angle in range(2, 61, 2)]


def mined(function: Callable[..., Any], **settings: Any) -> list[str]:
    settings = {"model": Angles(), "corpus": POOL, "verbose": False, **settings}
    return list(function(ONE, **settings)["negative"])


def test_a_window_skips_ranks_and_not_what_is_left_after_a_margin() -> None:
    # Ranks without the positive: 2, 4, ..., 18, then 22, 24, ...; a margin of 0 leaves 22 and beyond.
    settings = {"range_min": 5, "range_max": 40, "absolute_margin": 0.0}
    assert mined(ours, **settings) == ["22", "24", "26"]
    assert mined(theirs, **settings) == ["32", "34", "36"]  # five valid ones are lost
    assert mined(ours, range_min=5) == mined(theirs, range_min=5) == ["12", "14", "16"]


def test_a_cross_encoder_without_a_threshold_scores_and_ranks() -> None:
    cross_encoder, unasked = Fixed(), Fixed()
    negatives = mined(ours, cross_encoder=cross_encoder, range_max=10)
    assert negatives == ["22", "18", "16"]  # of the eleven nearest to 0, the positive apart
    assert cross_encoder.asked > 0
    assert mined(theirs, cross_encoder=unasked, range_max=10) == ["2", "4", "6"]
    assert unasked.asked == 0


def test_a_misspelt_column_is_refused(model: SentenceTransformer) -> None:
    for name in ("anchor_column_name", "positive_column_name"):
        with pytest.raises(ValueError, match="no column 'positve'; did you mean 'positive'"):
            ours(ONE, model, **{name: "positve"}, verbose=False)
    assert theirs(ONE, Angles(), anchor_column_name="positve", corpus=POOL, verbose=False)["query"][0] == "0"


def test_one_column_for_both_is_refused() -> None:
    with pytest.raises(UsageError, match="'positive' would be both query and positive"):
        ours(ONE, Angles(), anchor_column_name="positive")


def test_texts_that_are_the_query_or_a_positive_but_for_case_and_spacing_are_no_negatives(
    model: SentenceTransformer, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = Dataset.from_dict({"q": ["gene drug", "virus"], "a": ["cell heart", "blood"]})
    corpus = ["gene drug", "Gene  Drug", "CELL heart", "heart cell", " "]
    found = ours(dataset, model, corpus=corpus, num_negatives=2, range_max=9)
    mine = {(row["q"], row["negative"]) for row in found}
    assert not {("gene drug", text) for text in ("gene drug", "Gene  Drug", "CELL heart")} & mine
    assert " " not in found["negative"]
    lines = capsys.readouterr().out
    assert "Skipped 1 potential negatives that have the text of a positive" in lines
    assert "Skipped 2 potential negatives that have the query's own text." in lines
    assert "Skipped 2 potential negatives that are empty." in lines
    other = theirs(dataset, model, corpus=corpus, num_negatives=5, range_max=9, verbose=False)
    assert "gene drug" in {row["negative"] for row in other if row["q"] == "gene drug"}


def test_texts_that_are_left_out_take_no_other_negatives_place() -> None:
    copies = [" 0", "0 ", "  0"]  # nearer to the query than any other
    assert mined(ours, corpus=copies + POOL) == mined(ours) == ["2", "4", "6"]
    assert mined(ours, corpus=copies + POOL, range_min=2, range_max=5) == ["6", "8", "10"]
    assert set(mined(theirs, corpus=copies + POOL)) == set(copies)


def test_one_of_two_documents_of_the_same_text_is_enough(model: SentenceTransformer) -> None:
    corpus = ["heart cell", "Heart  cell", "drug drug"]
    found = ours(
        Dataset.from_dict({"q": ["gene"], "a": ["blood"]}),
        model,
        corpus=corpus,
        num_negatives=3,
        range_max=3,
        verbose=False,
    )
    assert len(found) == 2


def test_what_a_score_rules_out_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    # Thirty documents and the positive's place; at 0.9 (25.8 degrees) 26 to 60 are too low: 18 of them.
    settings = {"min_score": 0.9, "range_max": 35, "corpus": POOL}
    ours(ONE, Angles(), **settings)
    assert "Skipped 18 potential negatives (50.00%) due to the min_score of 0.9." in capsys.readouterr().out
    theirs(ONE, Angles(), **settings)
    assert "Skipped 25 potential negatives" in capsys.readouterr().out  # the positive and six empty places


def test_a_repeated_pair_is_no_shortage(
    model: SentenceTransformer, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = Dataset.from_dict({"q": ["gene", "gene", "drug"], "a": ["cell", "cell", "heart"]})
    settings = {"corpus": ["blood", "virus"], "num_negatives": 1, "output_format": "labeled-pair"}
    assert len(ours(twice, model, **settings)) == len(theirs(twice, model, **settings)) == 4
    assert capsys.readouterr().out.count("Could not find enough") == 1  # theirs


@pytest.mark.parametrize("form", ["triplet", "n-tuple", "labeled-list"])
def test_a_result_without_rows_has_its_columns_and_types(form: str) -> None:
    settings = {"model": Angles(), "corpus": POOL, "output_format": form, "output_scores": True}
    found = ours(ONE, **settings, verbose=False, max_score=-0.5)
    assert len(found) == 0
    assert found.features == ours(ONE, **settings, verbose=False).features


def test_with_faiss_a_margin_compares_scores_of_one_kind(build: Callable[..., Any]) -> None:
    one = build(similarity="euclidean")
    dataset = Dataset.from_dict({"q": ["gene", "drug", "virus"], "a": ["cell", "heart", "blood"]})
    corpus = ["the", "of", "and", "in", "is", "not", "causes"]
    settings = {"absolute_margin": 0.0, "corpus": corpus, "output_scores": True, "verbose": False}
    with_faiss, without = (list(ours(dataset, one, use_faiss=yes, **settings)) for yes in (True, False))
    assert with_faiss == without == list(theirs(dataset, one, use_faiss=False, **settings))
    # Theirs compares the positives' negative distances with the candidates' dot products.
    assert list(theirs(dataset, one, use_faiss=True, **settings)) != without


# -- what cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "corpus", "message"),
    [
        ({"q": ["gene", None], "a": ["cell", "drug"]}, None, "column 'q': row 1 has no text"),
        ({"q": ["gene", "drug"], "a": [1, 2]}, None, "column 'a': holds int64; texts are needed"),
        ({"q": ["gene"], "a": ["cell"]}, ["drug", None], "column 'corpus': row 1 has no text"),
        ({"q": ["gene"], "a": ["cell"]}, ["drug", 7], "corpus: holds what is no text"),
    ],
    ids=["null", "numbers", "null in the corpus", "number in the corpus"],
)
def test_what_is_no_text_is_refused(
    model: SentenceTransformer, dataset: dict[str, Any], corpus: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ours(Dataset.from_dict(dataset), model, corpus=corpus, verbose=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corpus": "gene"}, "corpus: one text"),
        ({"sampling_strategy": "best"}, "sampling_strategy must be 'random' or 'top', got 'best'"),
        ({"dataset": [{"q": "gene", "a": "cell"}]}, "list is no datasets.Dataset"),
        ({"dataset": Dataset.from_dict({"q": ["gene"]})}, "must contain at least two columns"),
        ({"max_score": 0.1, "min_score": 0.2}, "min_score 0.2 is above max_score 0.1"),
    ],
    ids=["one text", "strategy", "rows", "one column", "scores"],
)
def test_calls_that_cannot_be_right_are_refused(
    model: SentenceTransformer, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ours(**{"dataset": ONE, "model": model, "verbose": False, **settings})


# -- what is kept -----------------------------------------------------------------------------------------


def lines_of_cache(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [" ".join(line.split()[:3]) for line in lines if line.startswith("[Cache]")]


def test_vectors_are_kept_and_told_apart_by_what_decides_them(
    build: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = build(seed=0), build(seed=1)
    dataset = Dataset.from_dict({"q": ["gene", "drug"], "a": ["cell", "heart"]})
    settings = {"cache_folder": str(tmp_path), "num_negatives": 1, "output_scores": True}

    def run(model: Any, **more: Any) -> tuple[list[str], list[Any]]:
        found = list(ours(dataset, model, **settings, **more))
        return lines_of_cache(capsys), found

    first = run(one)
    assert first[0] == ["[Cache] Saved 2", "[Cache] Saved 2"]
    assert run(one) == (["[Cache] Loaded 2", "[Cache] Loaded 2"], first[1])
    assert run(one, query_prompt="query ")[0] == ["[Cache] Loaded 2", "[Cache] Saved 2"]
    # Theirs knows a model by its name, and two of ours have none.
    assert run(other)[0] == ["[Cache] Saved 2", "[Cache] Saved 2"]
    one.max_seq_length = 3
    assert run(one)[0] == ["[Cache] Saved 2", "[Cache] Saved 2"]


def test_without_a_cache_folder_nothing_is_left(
    model: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    ours(Dataset.from_dict({"q": ["gene"], "a": ["cell"]}), model, corpus=["drug"], verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_vectors_of_an_unknown_kind_of_model_are_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        mined(ours, cache_folder=str(tmp_path))
    assert "cache_folder is not used" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_several_processes_give_the_same(model: SentenceTransformer, tiny_cross_encoder: Path) -> None:
    settings = {
        "dataset": Dataset.from_dict({"q": ["gene", "drug"], "a": ["cell", "heart"]}),
        "model": model,
        "cross_encoder": CrossEncoder(str(tiny_cross_encoder), device="cpu", max_length=64),
        "corpus": ["the", "of", "and", "in", "is"],
        "verbose": False,
    }
    assert list(ours(**settings, use_multi_process=["cpu", "cpu"])) == list(ours(**settings))


@pytest.fixture(scope="module")
def model(build: Callable[..., Any]) -> SentenceTransformer:
    return build()
