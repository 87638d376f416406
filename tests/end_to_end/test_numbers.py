"""What is no number never reaches a table: it is refused where it comes in, and named."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import hardneg
from hardneg.config import LARGEST_SCORE, Config
from hardneg.errors import HardnegError, InputError, ModelError, StoreError, UsageError
from hardneg.records import Int32, Ranking
from hardneg.report.summary import render_summary

Tally = Callable[..., None]

IDS = [f"d{number:02d}" for number in range(40)]
SOURCE: dict[str, pa.Table] = {
    "corpus": pa.table({"doc_id": IDS, "text": [f"word{n % 7} text{n}" for n in range(40)]}),
    "queries": pa.table({"query_id": ["q1", "q2"], "text": ["word1", "word2"]}),
    "qrels": pa.table({"query_id": ["q1", "q2"], "doc_id": ["d01", "d02"]}),
}
RULES: dict[str, Any] = {"relative_margin": None, "guard": "off", "depth": 10}


class Found:
    """A retriever that finds the first documents, changed by `change`."""

    name = "found"

    def __init__(self, change: Callable[[Any, Any], None]) -> None:
        self.change = change

    def search(self, query: Int32, depth: int, positives: Int32, progress: Any) -> Ranking:
        doc = np.tile(np.arange(depth, dtype=np.int32), (len(query), 1))
        score = np.tile(-np.arange(depth, dtype=np.float32), (len(query), 1))
        self.change(doc, score)
        return Ranking(self.name, doc, score, np.zeros(positives.shape, np.float32))


def beyond(doc: Any, score: Any) -> None:
    doc[1, 2] = 1000


def not_a_number(doc: Any, score: Any) -> None:
    score[1, 2] = math.nan


@pytest.mark.parametrize(
    ("change", "said"), [(beyond, "document row 1000"), (not_a_number, "a score of document row 2")]
)
def test_a_retriever_object_is_named_with_query_and_rank(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(ModelError, match=f"retriever 'found', query 'q2', rank 3: {said}"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", retriever=Found(change), **RULES)
    assert not list((tmp_path / "run" / "candidates").glob("*.parquet"))


class Vectors:
    """An encoder that gives NaN for one text."""

    name = "vectors"
    similarity = "dot"
    dimension = 4

    def __init__(self, bad: str) -> None:
        self.bad = bad

    def fingerprint(self, kind: str) -> dict[str, str]:
        return {"encoder": "vectors"}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Any:
        return np.array([[math.nan if text == self.bad else len(text)] * 4 for text in texts], np.float32)


def test_a_vector_that_is_no_number_is_named_by_the_texts_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="vectors: returned NaN or infinity for document 'd09'"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", model=Vectors("word2 text9"), **RULES)
    hardneg.mine(SOURCE, run_dir=tmp_path / "run", model=Vectors(""), **RULES)
    grown = {**SOURCE, "corpus": pa.table({"doc_id": [*IDS, "new"], "text": [*texts(), "a new text"]})}
    with pytest.raises(ModelError, match="returned NaN or infinity for document 'new'"):
        hardneg.mine(grown, run_dir=tmp_path / "run", model=Vectors("a new text"), **RULES)


def texts() -> list[str]:
    return SOURCE["corpus"]["text"].to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types


class Scores:
    name = "scores"

    def __init__(self, value: Any) -> None:
        self.value = value

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": "scores"}

    def score(self, pairs: list[tuple[str, str]]) -> list[Any]:
        return [self.value] * len(pairs)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39, "many", None])
def test_a_scorer_that_gives_no_number_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ModelError, match="scorer 'scores' gave"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", retriever="bm25", cross_encoder=Scores(value), **RULES)


def test_kept_columns_lose_what_is_no_number_and_it_is_told(tmp_path: Path) -> None:
    prices = [math.nan, math.inf, *range(38)]
    source = {**SOURCE, "corpus": SOURCE["corpus"].append_column("price", pa.array(prices, pa.float64()))}
    loaded = hardneg.load(source)
    assert loaded.corpus["price"].to_pylist()[:4] == [None, None, 0, 1]
    assert "column 'price': 2 values are NaN or infinite, and became null" in loaded.report.notes
    mined = hardneg.mine(source, run_dir=tmp_path / "run", retriever="bm25", **RULES)
    assert mined.collection.corpus["price"].to_pylist()[:4] == [None, None, 0, 1]


# -- whatever a caller's own parts give -----------------------------------------------------------------


class Gives:
    """An encoder, a scorer or a retriever that gives one thing, whatever it is asked."""

    name, similarity, dimension = "gives", "dot", 4

    def __init__(self, value: Callable[[int], Any]) -> None:
        self.value = value

    def fingerprint(self, kind: str = "") -> dict[str, str]:
        return {"gives": kind}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Any:
        return self.value(len(texts))

    def score(self, pairs: list[tuple[str, str]]) -> Any:
        return self.value(len(pairs))


class Searches:
    name = "searches"

    def __init__(self, value: Callable[[int, int], Any]) -> None:
        self.value = value

    def search(self, query: Int32, depth: int, positives: Int32, progress: Any) -> Any:
        return self.value(len(query), depth)


VECTORS: dict[str, Callable[[int], Any]] = {
    "None": lambda n: None,
    "one too few": lambda n: np.ones((n - 1, 4)),
    "one for all": lambda n: np.ones(4),
    "no dimension": lambda n: np.ones((n, 0)),
    "of unlike lengths": lambda n: [[1.0] * (1 + place % 2) for place in range(n)],
    "texts": lambda n: np.full((n, 4), "1.0"),
    "complex": lambda n: np.ones((n, 4), complex),
    "objects": lambda n: np.full((n, 4), None),
    "truth values": lambda n: np.ones((n, 4), bool),
    "beyond float32": lambda n: np.full((n, 4), 1e39),
    "infinite": lambda n: np.full((n, 4), -np.inf, np.float16),
}
SCORES: dict[str, Callable[[int], Any]] = {
    "None": lambda n: None,
    "one too few": lambda n: np.ones(n - 1),
    "one for all": lambda n: 1.0,
    "a column": lambda n: np.ones((n, 1)),
    "texts": lambda n: ["1.0"] * n,
    "complex": lambda n: np.ones(n, complex),
    "objects": lambda n: [1.0] * (n - 1) + [None],
    "beyond float32": lambda n: np.full(n, -1e39),
}


@pytest.mark.reliability
@pytest.mark.parametrize("given", VECTORS)
def test_what_is_no_vector_is_refused(tmp_path: Path, tally: Tally, given: str) -> None:
    with pytest.raises(ModelError, match="gives: returned"):
        hardneg.mine(
            SOURCE, run_dir=tmp_path / "run", model=Gives(VECTORS[given]), cache_dir=str(tmp_path), **RULES
        )
    tally("wrong numbers given, kept", tried=1, failed=len([*tmp_path.rglob("*.npy")]))
    assert not [*tmp_path.rglob("*.npy")]


@pytest.mark.reliability
@pytest.mark.parametrize("given", SCORES)
def test_what_is_no_score_is_refused(tmp_path: Path, tally: Tally, given: str) -> None:
    with pytest.raises(ModelError, match="scorer 'gives' gave"):
        hardneg.mine(
            SOURCE, run_dir=tmp_path / "run", retriever="bm25", cross_encoder=Gives(SCORES[given]), **RULES
        )
    tally("wrong numbers given, kept", tried=1, failed=len(selections(tmp_path)))
    assert not selections(tmp_path)


def ranked(doc: Any = None, score: Any = None, positive: Any = None) -> Callable[[int, int], Ranking]:
    """What `Searches` gives: the first documents, or what is given in their place."""

    def give(queries: int, depth: int) -> Ranking:
        rows = np.tile(np.arange(depth, dtype=np.int32), (queries, 1))
        values = -rows.astype(np.float32)
        zeros = np.zeros((queries, 1), np.float32)
        return Ranking(
            "searches",
            rows if doc is None else doc(rows),
            values if score is None else score(values),
            zeros if positive is None else positive(zeros),
        )

    return give


RANKINGS: dict[str, Callable[[int, int], Any]] = {
    "None": lambda queries, depth: None,
    "a list": lambda queries, depth: [[0] * depth] * queries,
    "one query too few": ranked(lambda doc: doc[:-1], lambda score: score[:-1]),
    "too deep": ranked(lambda doc: np.tile(doc, 2), lambda score: np.tile(score, 2)),
    "rows as floats": ranked(lambda doc: doc.astype(np.float32)),
    "rows below none": ranked(lambda doc: doc - 2),
    "twice": ranked(lambda doc: doc // 2),
    "of unlike lengths": ranked(lambda doc: [[0], [0, 1]]),
    "texts for scores": ranked(score=lambda score: score.astype(str)),
    "NaN": ranked(score=lambda score: score * np.nan),
    "infinite": ranked(score=lambda score: score - np.inf),
    "beyond float32": ranked(score=lambda score: score.astype(np.float64) - 1e39),
    "increasing": ranked(score=lambda score: -score),
    "infinite for positives": ranked(positive=lambda score: score + np.inf),
    "positives of another shape": ranked(positive=lambda score: score[:, :0]),
}


@pytest.mark.reliability
@pytest.mark.parametrize("given", RANKINGS)
def test_what_is_no_ranking_is_refused(tmp_path: Path, tally: Tally, given: str) -> None:
    with pytest.raises(ModelError, match="retriever 'searches'"):
        hardneg.mine(SOURCE, run_dir=tmp_path / "run", retriever=Searches(RANKINGS[given]), **RULES)
    kept = [*(tmp_path / "run" / "candidates").glob("*.parquet")]
    tally("wrong numbers given, kept", tried=1, failed=len(kept))
    assert not kept


# -- files ------------------------------------------------------------------------------------------------


def run_line(score: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        lines = [f"q1 Q0 d{n:02d} {n} {score if n == 3 else -n} x\n" for n in range(9)]
        (folder / "x.run").write_text("".join(lines))
        return {"source": SOURCE, "retriever": f"run:{folder / 'x.run'}"}

    return write


def own_vectors(change: Callable[[Any], Any], **settings: Any) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        vectors = np.random.default_rng(0).standard_normal((40, 4))
        np.save(folder / "documents.npy", change(vectors))
        np.save(folder / "queries.npy", np.ones((2, 4), np.float32))
        (folder / "documents.ids.txt").write_text("\n".join(IDS))
        (folder / "queries.ids.txt").write_text("q1\nq2")
        return {"source": SOURCE, "retriever": f"vectors:{folder}", **settings}

    return write


def relevance(value: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        for name in ("corpus", "queries"):
            rows = SOURCE[name].rename_columns(["_id", "text"]).to_pylist()
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\nq1\td01\t1\nq2\td02\t{value}\n")
        return {"source": str(folder), "retriever": "bm25"}

    return write


def table_relevance(value: Any) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        return {
            "source": {**SOURCE, "qrels": SOURCE["qrels"].append_column("score", pa.array([1.0, value]))},
            "retriever": "bm25",
        }

    return write


def teacher(field: str, value: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        given = {"pos": "1", "neg": "0", field: value}
        rows = [
            f'{{"query": "q{n}", "pos": ["p{n}"], "neg": ["n{n}"], '
            f'"pos_scores": [{given["pos"]}], "neg_scores": [{given["neg"]}]}}'
            for n in range(3)
        ]
        (folder / "rows.jsonl").write_text("\n".join(rows))
        return {"source": str(folder / "rows.jsonl"), "retriever": "bm25"}

    return write


def labels(column: str, value: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        row = {
            "query_id": "q1",
            "doc_id": "d08",
            "relevant": "false",
            "selection": "default",
            "selection_size": "8",
            "stratum": "random",
            "stratum_size": "8",
            "inclusion_probability": "0.5",
        }
        row[column] = value
        (folder / "labels.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
        return {"source": SOURCE, "retriever": "bm25", "labels": str(folder / "labels.csv")}

    return write


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    **{
        f"run score {text}": (run_line(text), "line 4, column 'score'")
        for text in ("nan", "inf", "-inf", "1e39", "NaN", "Infinity", "", "x")
        if text
    },
    **{
        f"relevance {text}": (relevance(text), "line 3, column 'score'")
        for text in ("nan", "inf", "1e39", "-Infinity")
    },
    **{
        f"table's relevance {value}": (table_relevance(value), "finite")
        for value in (math.nan, math.inf, 1e39)
    },
    **{
        f"teacher's {field} {text}": (teacher(field, text), "line 1")
        for field in ("pos", "neg")
        for text in ("NaN", "Infinity", "1e999", '"nan"', "1e39", "null, 1")
    },
    **{
        f"label's {column} {text}": (labels(column, text), f"line 2, column '{column}'")
        for column, texts_ in {
            "relevant": ("nan?", "2", "maybe"),
            "inclusion_probability": ("nan", "inf", "0", "-1", "1.5", "1e-320"),
            "selection_size": ("nan", "inf", "0", "1.5", "1e300", "1e30"),
            "stratum_size": ("nan", "-1", "1e30"),
        }.items()
        for text in texts_
    },
    "vectors NaN": (own_vectors(lambda v: np.where(v == v[3], np.nan, v)), "'d03'.*NaN or infinite"),
    "vectors infinite": (own_vectors(lambda v: np.where(v == v[3], np.inf, v)), "'d03'.*NaN or infinite"),
    "vectors beyond float32": (own_vectors(lambda v: np.where(v == v[3], 1e39, v)), "'d03'.*NaN or infinite"),
    "vectors beyond float64's squares": (own_vectors(lambda v: v * 1e300), "40 ids.*NaN or infinite"),
    "vectors below float32": (
        own_vectors(lambda v: np.where(v == v[3], 1e-60, v), vectors_similarity="cosine"),
        "'d03'.*are zero",
    ),
    "vectors of whole numbers": (own_vectors(lambda v: v.astype(int)), "int64 of shape"),
    "vectors complex": (own_vectors(lambda v: v.astype(complex)), "complex128 of shape"),
    "vectors flat": (own_vectors(lambda v: v.ravel()), r"shape \(160,\)"),
    "vectors too few": (own_vectors(lambda v: v[:-1]), "40 ids for 39 vectors"),
    "vectors of another dimension": (own_vectors(lambda v: v[:, :3]), "numbers a vector"),
}


@pytest.mark.reliability
@pytest.mark.parametrize("wrong", WRONG)
def test_a_number_that_is_none_is_refused_where_it_stands(tmp_path: Path, tally: Tally, wrong: str) -> None:
    write, said = WRONG[wrong]
    folder = tmp_path / "given"
    folder.mkdir()
    settings = write(folder)
    with pytest.raises(InputError, match=said) as raised:
        hardneg.mine(settings.pop("source"), run_dir=tmp_path / "run", **{**RULES, **settings})
    tally("wrong numbers given, kept", tried=1, failed=len(selections(tmp_path)))
    assert "\n" not in str(raised.value)
    assert not selections(tmp_path)


def selections(folder: Path) -> list[Path]:
    return [*folder.rglob("selections/*/*.parquet")]


@pytest.mark.parametrize(
    ("store", "value", "said"), [("float16", 1e5, "float16"), ("float16", 1e-9, "float16")]
)
def test_vectors_that_a_store_cannot_hold_are_refused(
    tmp_path: Path, store: str, value: float, said: str
) -> None:
    """65,504 is float16's largest, 6e-8 its smallest."""
    settings = {"store_dtype": store, "cache_dir": str(tmp_path / "cache"), **RULES}
    with pytest.raises(StoreError, match=f"{said}.*use --store-dtype float32"):
        hardneg.mine(
            SOURCE, run_dir=tmp_path / "run", model=Gives(lambda n: np.full((n, 4), value)), **settings
        )
    assert not [*(tmp_path / "cache").rglob("*.npy")]


# -- the largest and the smallest that are numbers -----------------------------------------------------------

LARGEST = LARGEST_SCORE
EXTREMES = {
    "largest": [LARGEST * (1 - n / 100) for n in range(40)],
    "both ends": [LARGEST if n < 20 else -LARGEST for n in range(40)],
    "smallest": [1e-45 * (40 - n) for n in range(40)],
    "equal": [0.0] * 40,
    "one far off": [LARGEST, *[1e-30 * (40 - n) for n in range(39)]],
}
SAMPLED: dict[str, dict[str, Any]] = {
    "top": {},
    "margin": {"relative_margin": 0.05, "reference": "max"},
    "huge margin": {"margin": LARGEST_SCORE, "reference": "mean"},
    "each": {"relative_margin": -LARGEST_SCORE, "reference": "each"},
    "softmax": {"sampler": "softmax", "temperature": 1 / LARGEST_SCORE},
    "simans": {"sampler": "simans", "simans_a": LARGEST_SCORE, "simans_b": -LARGEST_SCORE},
    "stratified": {"sampler": "stratified"},
    "prior": {"guard": "prior"},
    "likely ones dropped": {"guard": "prior", "max_p": 0.5, "promote": 0.9},
}


@pytest.mark.reliability
@pytest.mark.parametrize("rules", SAMPLED)
@pytest.mark.parametrize("scores", EXTREMES)
def test_extreme_scores_give_finite_tables(tmp_path: Path, tally: Tally, scores: str, rules: str) -> None:
    """Every number that is stored, written or told is one; and numpy has nothing to warn of."""
    lines = [
        f"{query} Q0 {doc} {rank} {score!r} x\n"
        for query in ("q1", "q2")
        for rank, (doc, score) in enumerate(zip(IDS, EXTREMES[scores], strict=True), 1)
    ]
    (tmp_path / "x.run").write_text("".join(lines))
    settings = {**RULES, "depth": 40, "retriever": f"run:{tmp_path / 'x.run'}", **SAMPLED[rules]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        mined = hardneg.mine(SOURCE, run_dir=tmp_path / "run", **settings)
        mined.preview()
        with suppress(InputError):  # where no negative is left to be judged
            mined.suspects(4, output=tmp_path / "run" / "suspects.jsonl")
        for to, options in EXPORTS.items():
            with suppress(HardnegError):  # nor any to be written
                mined.to(to, tmp_path / "run" / f"{to}.jsonl", **options)
    wrong = [f"{path}: {said}" for path in sorted((tmp_path / "run").rglob("*")) for said in not_finite(path)]
    tally(
        "files written, with NaN or infinity", tried=len([*(tmp_path / "run").rglob("*")]), failed=len(wrong)
    )
    assert not wrong


EXPORTS: dict[str, dict[str, Any]] = {
    "flagembedding": {"scores": True},
    "st-labeled-list": {"soft_labels": False},
    "trec": {},
}


def not_finite(path: Path) -> list[str]:
    """What is no number in a table or a JSON file."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return [
            name
            for name in table.column_names
            if pa.types.is_floating(table[name].type) and pc.all(pc.is_finite(table[name])).as_py() is False
        ]
    if path.suffix in (".json", ".jsonl") and "trec" not in path.name:
        constants: list[str] = []
        for line in [path.read_text("utf-8")] if path.suffix == ".json" else path.open(encoding="utf-8"):
            json.loads(line, parse_constant=constants.append)
        return constants
    if "trec" in path.name:
        return [line for line in path.open() if not math.isfinite(float(line.split()[4]))]
    return []


def test_every_writer_of_json_refuses_what_json_has_not() -> None:
    """`allow_nan=False` wherever JSON is made, but for what is only hashed."""
    for path in Path(hardneg.__file__).parent.rglob("*.py"):
        if path.name == "model_object.py":
            continue
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in (
                "json.dump",
                "json.dumps",
                "json.JSONEncoder",
            ):
                told = {key.arg: ast.unparse(key.value) for key in call.keywords}
                assert told.get("allow_nan") == "False", f"{path}:{call.lineno}"


@pytest.mark.parametrize(
    "key", ["margin", "relative_margin", "max_score", "min_score", "temperature", "simans_a"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39, "nan", "1e400"])
def test_settings_are_numbers_that_scores_can_be(key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^{key}: "):
        Config.from_flat({key: value})


class Silenced:
    """An encoder of the lengths of words that has nothing to say of some."""

    name = "silenced"
    similarity = "dot"
    dimension = 2

    def fingerprint(self, kind: str) -> dict[str, str]:
        return {"encoder": "silenced"}

    def prompt(self, kind: str) -> str:
        return ""

    def encode(self, texts: list[str], kind: str, prompt: str) -> Any:
        known = np.array([[text[0] not in "m?"] for text in texts])
        return known * np.array([[len(text), 1.0] for text in texts], np.float32)


def test_zeros_of_a_model_stand_in_the_summary(tmp_path: Path) -> None:
    """Of texts with words, again on every run; one without has nothing to say."""
    texts = [*SOURCE["corpus"]["text"].to_pylist(), "mute", "?!"]
    corpus = pa.table({"doc_id": [*IDS, "m", "n"], "text": texts})
    for seed in (1, 2):
        mined = hardneg.mine(
            {**SOURCE, "corpus": corpus}, run_dir=tmp_path / "run", model=Silenced(), seed=seed, **RULES
        )
        assert mined.summary["zero_vectors"] == {"dense document": {"texts": 1, "first": ["m"]}}
        shown = render_summary(mined.summary)
        assert re.search(r"zero vectors +1 dense document text: m", shown), shown
