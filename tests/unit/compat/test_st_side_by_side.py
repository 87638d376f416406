"""hardneg's `mine_hard_negatives` beside sentence-transformers' own: the same rows, columns and lines."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from datasets import Dataset
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import mine_hard_negatives as theirs

from hardneg.compat.sentence_transformers import mine_hard_negatives as ours

WORDS = "cell gene drug heart blood virus the of and in is not causes lowers raises a b c d e".split()


def made(count: int, seed: int) -> list[str]:
    """Distinct texts of three to eight words."""
    draw = random.Random(seed)
    texts = (" ".join(draw.choices(WORDS, k=draw.randint(3, 8))) for _ in range(10 * count))
    return list(dict.fromkeys(texts))[:count]


TEXTS = made(260, seed=1)
QUERIES, POOL = TEXTS[:60], TEXTS[120:]
ANSWERS = [f"{query} {more.split()[0]}" for query, more in zip(QUERIES, TEXTS[60:], strict=False)]
PAIRS = Dataset.from_dict({"question": QUERIES, "answer": ANSWERS})
# Queries with one to three positives, some shared with others, one pair twice; not in the order of queries.
SEVERAL = Dataset.from_dict(
    {
        "question": QUERIES[:30] + QUERIES[8:18] + QUERIES[10:20] + QUERIES[:1],
        "answer": ANSWERS[:30]
        + [f"{text} {word}" for word in ("a", "b") for text in ANSWERS[10:20]]
        + ANSWERS[:1],
    }
)
DATA = {"pairs": (PAIRS, None), "several": (SEVERAL, None), "pool": (SEVERAL, POOL + ANSWERS[20:40])}


@pytest.fixture(scope="module")
def model(build: Callable[..., Any]) -> SentenceTransformer:
    return build()


@pytest.fixture(scope="module")
def cross_encoder(tiny_cross_encoder: Any) -> CrossEncoder:
    return CrossEncoder(str(tiny_cross_encoder), device="cpu", max_length=64)


def assert_same(mine: Dataset, other: Dataset) -> None:
    """The same columns, types and rows in order; scores to float32's last bits."""
    assert mine.column_names == other.column_names
    assert mine.features == other.features
    assert len(mine) == len(other) > 0
    for name in mine.column_names:
        if "score" in name:
            assert list(mine[name]) == [pytest.approx(one, abs=2e-6) for one in other[name]]
        else:
            assert list(mine[name]) == list(other[name])


def test_the_signature_is_theirs() -> None:
    ours_, theirs_ = (inspect.signature(function).parameters for function in (ours, theirs))
    assert [(p.name, p.kind, p.default) for p in ours_.values()] == [
        (p.name, p.kind, p.default) for p in theirs_.values()
    ]


RULES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "more": {"num_negatives": 7},
    "window": {"range_min": 4, "range_max": 12},
    "long window": {"range_min": 2, "range_max": 500, "num_negatives": 9},
    "absolute margin": {"absolute_margin": 0.05},
    "no margin": {"absolute_margin": 0.0},
    "negative margin": {"absolute_margin": -0.2},
    "relative margin": {"relative_margin": 0.1},
    "max score": {"max_score": 0.85},
    "min score": {"min_score": 0.6},
    "all rules": {"absolute_margin": 0.01, "relative_margin": 0.02, "max_score": 0.9, "min_score": 0.2},
    "short window and a margin": {"range_max": 5, "relative_margin": 0.05},
    "faiss": {"use_faiss": True, "range_max": 20, "relative_margin": 0.05},
    "blocks of queries": {"faiss_batch_size": 7, "max_score": 0.8},
    "batches": {"batch_size": 3},
    "prompts": {"query_prompt": "query ", "corpus_prompt": "passage "},
    "deprecated margin": {"margin": 0.1},
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("form", ["triplet", "n-tuple", "labeled-pair", "labeled-list"])
def test_rows_are_theirs(model: SentenceTransformer, data: str, rules: str, form: str) -> None:
    dataset, corpus = DATA[data]
    settings = {"corpus": corpus, "output_format": form, "output_scores": True, "verbose": False}
    settings |= RULES[rules]
    assert_same(ours(dataset, model, **settings), theirs(dataset, model, **settings))


@pytest.mark.parametrize("form", ["triplet", "n-tuple", "labeled-pair", "labeled-list", "n-tuple-scores"])
def test_formats_without_scores_are_theirs(model: SentenceTransformer, form: str) -> None:
    settings = {"output_format": form, "relative_margin": 0.05, "verbose": False}
    assert_same(ours(SEVERAL, model, **settings), theirs(SEVERAL, model, **settings))


@pytest.mark.parametrize("as_triplets", [True, False])
def test_the_old_name_of_the_format_is_taken(model: SentenceTransformer, as_triplets: bool) -> None:
    settings = {"as_triplets": as_triplets, "verbose": False}
    assert_same(ours(PAIRS, model, **settings), theirs(PAIRS, model, **settings))


@pytest.mark.parametrize("rules", [{}, {"range_max": 30, "num_negatives": 20}, {"max_score": 0.8}])
def test_positives_stay_in_the_ranking_as_in_theirs(
    model: SentenceTransformer, rules: dict[str, Any]
) -> None:
    settings = {"include_positives": True, "output_scores": True, "verbose": False, **rules}
    mine = ours(SEVERAL, model, **settings)
    assert_same(mine, theirs(SEVERAL, model, **settings))
    if not rules:
        assert any(row["answer"] in (row["negative_1"], row["negative_2"]) for row in mine)


CROSS: dict[str, dict[str, Any]] = {
    "max score": {"max_score": 0.6},
    "min score": {"min_score": 0.4},
    "margin": {"absolute_margin": 0.001},
    "relative margin, several positives": {"relative_margin": 0.0, "num_negatives": 2},
    "any margin, a window": {"absolute_margin": -10.0, "range_min": 3, "range_max": 9},
}


@pytest.mark.parametrize("rules", CROSS)
@pytest.mark.parametrize("form", ["triplet", "labeled-list"])
def test_a_cross_encoder_scores_and_ranks_as_theirs(
    model: SentenceTransformer, cross_encoder: CrossEncoder, rules: str, form: str
) -> None:
    settings = {"cross_encoder": cross_encoder, "output_format": form, "output_scores": True}
    settings |= {"verbose": False, "corpus": POOL, **CROSS[rules]}
    assert_same(ours(SEVERAL, model, **settings), theirs(SEVERAL, model, **settings))


@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_other_similarities_are_theirs(build: Callable[..., Any], similarity: str) -> None:
    settings = {"relative_margin": 0.05, "output_scores": True, "verbose": False}
    one = build(similarity=similarity)
    assert_same(ours(SEVERAL, one, **settings), theirs(SEVERAL, one, **settings))


def test_declared_prompts_are_theirs(build: Callable[..., Any]) -> None:
    one = build(prompts={"query": "query : ", "document": "passage : ", "other": "virus virus "})
    for names in ({}, {"query_prompt_name": "other"}, {"corpus_prompt_name": "other", "query_prompt": ""}):
        settings = {"output_scores": True, "verbose": False, **names}
        assert_same(ours(PAIRS, one, **settings), theirs(PAIRS, one, **settings))


def test_a_default_prompt_goes_where_theirs_goes(build: Callable[..., Any]) -> None:
    one = build(prompts={"other": "virus virus "})
    one.default_prompt_name = "other"
    one.prompts = {"other": "virus virus "}  # neither `query` nor `document`
    settings = {"output_scores": True, "verbose": False}
    assert_same(ours(PAIRS, one, **settings), theirs(PAIRS, one, **settings))


def test_a_model_that_encodes_in_its_own_way_is_asked_in_that_way(build: Callable[..., Any]) -> None:
    class Backwards(SentenceTransformer):
        def encode(self, inputs: Any, **settings: Any) -> Any:
            return super().encode([" ".join(reversed(text.split())) for text in inputs], **settings)

    one = Backwards(modules=list(build()), device="cpu")
    settings = {"output_scores": True, "verbose": False}
    mine = ours(PAIRS, one, **settings)
    assert_same(mine, theirs(PAIRS, one, **settings))
    assert list(mine["scores"]) != list(ours(PAIRS, build(), **settings)["scores"])


@pytest.mark.parametrize("rules", [{}, {"range_min": 5, "range_max": 15}, {"relative_margin": 0.1}])
def test_random_draws_come_from_the_ranks_that_theirs_come_from(
    model: SentenceTransformer, rules: dict[str, Any]
) -> None:
    few = PAIRS.select(range(12))
    settings = {"range_max": 12, "corpus": ANSWERS, "output_scores": True, "verbose": False, **rules}
    window = settings["range_max"] - settings.get("range_min", 0)
    pool = theirs(few, model, num_negatives=window, **settings)
    allowed = {(row["question"], row["negative"]) for row in pool}
    settings |= {"num_negatives": 8, "sampling_strategy": "random"}
    drawn, counts = set(), set()
    for seed in range(6):
        random.seed(seed)
        rows = ours(few, model, **settings)
        drawn |= {(row["question"], row["negative"]) for row in rows}
        counts.add(len(rows))
        by_query = [(QUERIES.index(row["question"]), -row["scores"][1]) for row in rows]
        assert by_query == sorted(by_query)  # the highest score first, as in theirs
    assert drawn == allowed
    assert counts == {len(theirs(few, model, **settings))}


def test_random_draws_follow_the_seed_of_random(model: SentenceTransformer) -> None:
    settings = {"sampling_strategy": "random", "range_max": 30, "verbose": False}

    def drawn(seed: int, dataset: Dataset = PAIRS) -> list[Any]:
        random.seed(seed)
        rows = list(ours(dataset, model, corpus=ANSWERS, **settings))
        return [row for row in rows if row["question"] == QUERIES[3]]

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1, PAIRS.select([9, 3, 4])) == drawn(1)  # whatever queries are beside it


# -- what is printed ------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], mining: Callable[..., Any], **settings: Any) -> list[str]:
    mining(SEVERAL, **settings)
    return capsys.readouterr().out.splitlines()


def skipped_by_min_score(line: str) -> bool:
    return "due to the min_score" in line


@pytest.mark.parametrize("rules", [name for name in RULES if name != "min score"])
@pytest.mark.parametrize("form", ["triplet", "n-tuple", "labeled-pair", "labeled-list"])
def test_lines_are_theirs(
    model: SentenceTransformer, capsys: pytest.CaptureFixture[str], rules: str, form: str
) -> None:
    settings = {"model": model, "output_format": form, **RULES[rules]}
    mine, other = (printed(capsys, mining, **settings) for mining in (ours, theirs))
    mine, other = ([line for line in lines if not skipped_by_min_score(line)] for lines in (mine, other))
    if form == "labeled-pair":  # theirs counts the pair that stands there twice as one that is missing
        mine, other = ([one for one in lines if "not find enough" not in one] for lines in (mine, other))
    assert len(mine) == len(other)
    for line, expected in zip(mine, other, strict=True):
        assert words(line) == [pytest.approx(word, abs=1.01e-4) for word in words(expected)]


def words(line: str) -> list[Any]:
    """Numbers as numbers."""
    return [as_number(word.strip("(%).").replace(",", "")) for word in line.split()]


def as_number(word: str) -> Any:
    try:
        return float(word) if word not in ("nan", "inf", "-inf") else word
    except ValueError:
        return word


def test_nothing_is_printed_unless_asked(
    model: SentenceTransformer, capsys: pytest.CaptureFixture[str]
) -> None:
    ours(SEVERAL, model, max_score=0.0, verbose=False)
    assert capsys.readouterr().out == ""


# -- errors ---------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no negatives": ({"num_negatives": 0}, "num_negatives must be at least 1, got num_negatives=0"),
    "no room": (
        {"num_negatives": 10, "range_max": 3},
        "Cannot mine 10 negatives per query: only 3 candidates remain after",
    ),
    "negative range_min": (
        {"range_min": -1, "range_max": 8},
        "range_min must be non-negative, got range_min=-1",
    ),
    "empty range": (
        {"range_min": 5, "range_max": 5},
        "range_min must be smaller than range_max, got range_min=5 and range_max=5",
    ),
    "no batch": ({"faiss_batch_size": 0}, "faiss_batch_size must be a positive integer, got 0"),
    "unknown format": ({"output_format": "tuple"}, "Invalid output_format: tuple"),
    "unknown prompt": ({"query_prompt_name": "nothing"}, "'nothing'"),
    "no rows": ({"dataset": Dataset.from_dict({"q": [], "a": []})}, "The dataset is empty"),
    "one column": ({"dataset": Dataset.from_dict({"q": ["gene"]})}, "must contain at least two columns"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_theirs_refuses_ours_refuses_in_the_same_words(model: SentenceTransformer, wrong: str) -> None:
    settings, words = WRONG[wrong]
    for mining in (theirs, ours):
        with pytest.raises(ValueError, match=re.escape(words)):
            mining(**{"dataset": PAIRS, "model": model, "verbose": False, **settings})


@pytest.fixture(autouse=True)
def _same_seed() -> Iterator[None]:
    """Theirs draws from Python's own generator."""
    state = random.getstate()
    random.seed(0)
    yield
    random.setstate(state)
