"""Runs with models: encoders, cross-encoders and vectors of one's own, through the whole plan."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.errors import OutOfMemoryError
from hardneg.records import Collection, Float32

WORDS = "cell gene drug heart blood virus causes lowers raises".split()
ModelMaker = Callable[..., Path]


class Said:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def track(self, *arguments: Any) -> Any:
        from hardneg.progress import Silent

        return Silent().track(*arguments)

    def about(self, word: str) -> list[str]:
        return [line for line in self.lines if word in line]


@pytest.fixture
def rows() -> list[dict[str, str]]:
    draw = random.Random(5)
    sentence = lambda: " ".join(draw.choices(WORDS, k=8))  # noqa: E731
    return [{"query": f"{sentence()} {i}", "positive": f"{sentence()} {i}"} for i in range(40)]


@pytest.fixture
def data(rows: list[dict[str, str]]) -> Collection:
    return hardneg.load(rows)


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))


RULES: dict[str, Any] = {"relative_margin": None, "num_negatives": 3, "depth": 10}


def scores(mined: hardneg.Mined, column: str) -> dict[tuple[str, str], float]:
    return {(r["query_id"], r["doc_id"]): r[column] for r in mined.candidates.to_pylist()}


def test_dense_scores_are_the_models_own_cosines(tiny: Path, data: Collection, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    mined = hardneg.mine(data, model=str(tiny), precision="fp32", run_dir=tmp_path / "run", **RULES)
    model = SentenceTransformer(str(tiny), device="cpu")
    texts = dict(zip(data.corpus["doc_id"].to_pylist(), data.corpus["text"].to_pylist(), strict=True))
    asked = dict(zip(data.queries["query_id"].to_pylist(), data.queries["text"].to_pylist(), strict=True))
    for (query, doc), score in list(scores(mined, "score").items())[:50]:
        expected = model.similarity(model.encode_query([asked[query]]), model.encode_document([texts[doc]]))
        assert score == pytest.approx(float(expected), abs=1e-5)


def test_a_model_given_as_an_object_and_by_its_path_are_the_same(
    tiny: Path, data: Collection, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    by_path = hardneg.mine(data, model=str(tiny), **RULES)
    said = Said()
    by_object = hardneg.mine(
        data,
        model=SentenceTransformer(str(tiny), device="cpu"),
        progress=said,
        run_dir=tmp_path / "o",
        **RULES,
    )
    assert by_object.negatives.equals(by_path.negatives)
    # ... and can be searched deeper as long as the object is at hand
    deeper = by_object.select(window=(0, 30), name="deeper")
    assert deeper.candidates["rank"].to_numpy().max() == 30
    again = hardneg.open_run(tmp_path / "o")
    assert again.select(sampler="random", name="other").negatives.num_rows == 120
    with pytest.raises(hardneg.HardnegError, match="given as Python objects"):
        again.select(window=(0, 40), name="deepest")


def test_several_devices_encode_and_the_first_searches(
    tiny: Path, data: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hardneg.plan import retrievers
    from hardneg.search.choice import finders

    asked: list[str | None] = []

    def noted(index: Any, device: str | None) -> Any:
        asked.append(device)
        return finders(index, device)

    monkeypatch.setattr(retrievers, "finders", noted)
    one, two = (
        hardneg.mine(data, model=str(tiny), run_dir=tmp_path / device, device=device, **RULES)
        for device in ("cpu", "cpu, cpu")
    )
    assert asked == ["cpu", "cpu"]
    assert one.negatives.equals(two.negatives)


def test_choosing_again_needs_neither_the_model_nor_what_runs_it(
    make_model: ModelMaker, data: Collection, tmp_path: Path
) -> None:
    """No torch, no weights to hash, no vectors, no index: of all that there is only the run left."""
    model, run, out = make_model(tmp_path / "model"), tmp_path / "run", tmp_path / "out.jsonl"
    rules = ("--window", "2:", "--sampler", "random", "--seed", "4", "--relative-margin", "0.1")
    mined = hardneg.mine(data, model=str(model), run_dir=run, **RULES)
    expected = mined.select(
        name="before", window="2:", sampler="random", seed=4, relative_margin=0.1, max_p=0.5
    )
    shutil.rmtree(model)
    shutil.rmtree(tmp_path / "cache")
    code = (
        "import sys\n"
        "for name in 'torch sentence_transformers transformers tokenizers faiss bm25s'.split():\n"
        "    sys.modules[name] = None\n"  # importing it fails
        "from hardneg.cli import main; main()"
    )
    for command in (
        ["select", str(run), "--name", "after", *rules, "--max-p", "0.5"],
        ["export", str(run), "--selection", "after", "--to", "st-triplet", "--output", str(out)],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert hardneg.open_run(run, selection="after").negatives.equals(expected.negatives)
    assert out.stat().st_size


def test_mining_again_with_other_rules_imports_no_torch(
    tiny: Path, tiny_cross_encoder: Path, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    """Nor any other library that runs a model or searches: vectors, candidates and scores are stored."""
    source, run = tmp_path / "rows.jsonl", tmp_path / "run"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = {"model": str(tiny), "cross_encoder": str(tiny_cross_encoder)}
    before = hardneg.mine(str(source), run_dir=run, rescore="all", depth=10, **named).negatives
    code = (
        "import sys\n"
        "for name in 'torch sentence_transformers transformers openvino faiss'.split():\n"
        "    sys.modules[name] = None\n"  # importing it fails
        "from hardneg.cli import main; main()"
    )
    command = ["mine", str(source), "--run-dir", str(run), "--model", str(tiny), "--depth", "10"]
    command += ["--cross-encoder", str(tiny_cross_encoder), "--sampler", "random", "--seed", "3"]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not hardneg.open_run(run).negatives.equals(before)


def test_several_retrievers_each_with_its_model_and_prompt(make_model: ModelMaker, data: Collection) -> None:
    first, second = make_model(seed=1), make_model(seed=2)
    said = Said()
    mined = hardneg.mine(
        data,
        retriever=(f"one=dense:{first}", f"two=dense:{second}", "bm25"),
        prompt=("two:query=query : ",),
        progress=said,
        **RULES,
    )
    found = mined.candidates
    assert set(found["retriever"].to_pylist()) == {"one", "two", "bm25"}
    assert [line for line in said.about("encode two") if "'query : '" in line]
    assert not [line for line in said.about("encode one") if "'query : '" in line]
    ranks: dict[tuple[str, str], list[int]] = {}
    for row in found.to_pylist():
        ranks.setdefault((row["query_id"], row["retriever"]), []).append(row["rank"])
    assert all(sorted(r) == list(range(1, len(r) + 1)) for r in ranks.values())


def test_a_cross_encoder_that_is_named_is_used_and_said(
    tiny: Path, tiny_cross_encoder: Path, data: Collection
) -> None:
    """field.md: a cross-encoder with no threshold is never called, and nothing says so."""
    said = Said()
    mined = hardneg.mine(data, model=str(tiny), cross_encoder=str(tiny_cross_encoder), progress=said, **RULES)
    assert said.about("use the scores of cross_encoder")
    of_pair = scores(mined, "cross_encoder")
    chosen = mined.negatives.to_pylist()
    assert all(row["score"] == of_pair[row["query_id"], row["doc_id"]] for row in chosen)
    by_query: dict[str, list[float]] = {}
    for row in chosen:
        by_query.setdefault(row["query_id"], []).append(row["score"])
    assert all(values == sorted(values, reverse=True) for values in by_query.values())
    assert not mined.positives.column("score").null_count if "score" in mined.positives.column_names else True
    # the same run by the retriever's scores: nothing is scored again
    said.lines.clear()
    other = mined.select(score_by="dense", name="other")
    assert not said.about("rescore")
    assert other.negatives["score"].to_pylist() != mined.negatives["score"].to_pylist()


def test_a_cross_encoder_that_gates_scores_few_and_the_same_is_chosen(
    tiny: Path, tiny_cross_encoder: Path, data: Collection
) -> None:
    """Its scores may differ in the last bits with the pairs of a batch, so they are compared nearly."""
    settings: dict[str, Any] = {
        "model": str(tiny),
        "cross_encoder": str(tiny_cross_encoder),
        "guard": "off",
        "num_negatives": 3,
        "order_by": "dense",
    }
    lazy = hardneg.mine(data, **settings)
    whole = hardneg.mine(data, rescore="all", **settings)
    assert lazy.candidates["cross_encoder"].null_count > 0 == whole.candidates["cross_encoder"].null_count
    chosen = ["query_id", "doc_id", "rank"]
    assert lazy.negatives.select(chosen).equals(whole.negatives.select(chosen))
    for name in ("score", "margin"):
        np.testing.assert_allclose(lazy.negatives[name], whole.negatives[name], atol=1e-6)


def test_searching_deeper_scores_only_the_new(
    tiny: Path, tiny_cross_encoder: Path, data: Collection, tmp_path: Path
) -> None:
    mined = hardneg.mine(
        data,
        model=str(tiny),
        cross_encoder=str(tiny_cross_encoder),
        run_dir=tmp_path / "run",
        relative_margin=None,
        num_negatives=15,
        depth=10,
        shortfall="deepen",
    )
    assert set(mined.outcomes["outcome"].to_pylist()) == {"full"}
    assert mined.candidates["cross_encoder"].null_count == 0


class Counting:
    """A scorer of one's own: the number of words that both texts have; it dies when told to."""

    name = "overlap"
    die_after = 10**9

    def __init__(self) -> None:
        self.pairs = 0

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": "overlap"}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        if self.pairs >= self.die_after:
            raise MemoryError("out of memory")
        self.pairs += len(pairs)
        return np.array([len(set(q.split()) & set(d.split())) for q, d in pairs], np.float32)


def test_rescoring_goes_on_where_it_was(
    tmp_path: Path, data: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hardneg.plan import part_scores

    monkeypatch.setattr(part_scores, "PAIRS_KEPT_AT_ONCE", 50)
    settings = {"retriever": "bm25", **RULES}
    whole = Counting()
    expected = hardneg.mine(data, cross_encoder=whole, **settings)
    broken = Counting()
    broken.die_after = whole.pairs // 2
    with pytest.raises(OutOfMemoryError):
        hardneg.mine(data, cross_encoder=broken, run_dir=tmp_path / "run", **settings)
    rest = Counting()
    mined = hardneg.mine(data, cross_encoder=rest, run_dir=tmp_path / "run", **settings)
    assert 0 < rest.pairs <= whole.pairs - broken.pairs
    assert mined.negatives.equals(expected.negatives)
    unused = Counting()
    hardneg.mine(data, cross_encoder=unused, run_dir=tmp_path / "run", **settings)
    assert unused.pairs == 0


def test_vectors_of_ones_own(data: Collection, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    folder = tmp_path / "vectors"
    folder.mkdir()
    vectors = {}
    for kind, ids in (("queries", data.queries["query_id"]), ("documents", data.corpus["doc_id"])):
        shuffled = draw.permutation(ids.to_pylist())
        values = draw.standard_normal((len(ids), 8)).astype(np.float32)
        np.save(folder / f"{kind}.npy", values)
        (folder / f"{kind}.ids.txt").write_text("".join(f"{name}\n" for name in shuffled))
        vectors[kind] = dict(zip(shuffled, values, strict=True))
    mined = hardneg.mine(data, retriever=f"vectors:{folder}", **RULES)
    for row in mined.candidates.to_pylist():
        query, doc = vectors["queries"][row["query_id"]], vectors["documents"][row["doc_id"]]
        assert row["score"] == np.float32(query.astype(np.float64) @ doc.astype(np.float64))
    diverse = mined.select(sampler="diverse", name="diverse")
    assert diverse.negatives.num_rows == 120


@pytest.mark.slow
def test_killed_while_encoding_loses_one_shard_at_most(
    make_model: ModelMaker, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    """field.md: eight hours of encoding lost to a crash."""
    script = tmp_path / "mine.py"
    script.write_text(
        "import sys, time, json, hardneg, hardneg.encode.plan as plan, hardneg.encode.dense as dense\n"
        "plan.TEXTS_A_SHARD = 4\n"
        "rows = json.load(open(sys.argv[1]))\n"
        "real = dense.DenseEncoder.encode_calls\n"
        "count = 0\n"
        "def slow(self, calls, kind):\n"
        "    global count\n"
        "    count += sum(len(texts) for texts, _ in calls)\n"
        "    time.sleep(float(sys.argv[4]))\n"
        "    return real(self, calls, kind)\n"
        "dense.DenseEncoder.encode_calls = slow\n"
        "mined = hardneg.mine(rows, model=sys.argv[2], run_dir=sys.argv[3], relative_margin=None, depth=10)\n"
        "print(count)\n"
    )
    import json

    source = tmp_path / "rows.json"
    source.write_text(json.dumps(rows))
    model = make_model(seed=3)

    def start(run: str, pause: float) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(source), str(model), str(tmp_path / run), str(pause)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})

    store = tmp_path / "cache"
    killed = start("killed", 0.3)
    deadline = time.monotonic() + 60
    while len(list(store.rglob("*.npy"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    shards = len(list(store.rglob("*.npy")))
    assert 5 <= shards < 20
    out, _ = start("killed", 0.0).communicate()
    # A shard counts when its keys are written too, which is just after its vectors.
    assert 80 - 4 * shards <= int(out) <= 80 - 4 * (shards - 1)
    found = hardneg.open_run(tmp_path / "killed")
    assert set(found.outcomes["outcome"].to_pylist()) == {"full"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retriever": "bm52"}, "did you mean 'bm25'"),
        ({"retriever": "run:absent.trec"}, "absent.trec: is no file"),
        ({"score_by": "densee"}, "score_by: 'densee' is none of this run (dense); did you mean 'dense'"),
        ({"quota": ("bm25=2",)}, "quota: 'bm25' is none of this run"),
        ({"prompt": ("other:query=x",)}, "prompt 'other:query=x'"),
        ({"exclude_docs": "absent.txt"}, "absent.txt: is no file; give --exclude-docs"),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_is_read(
    data: Collection, settings: dict[str, Any], message: str
) -> None:
    said = Said()
    with pytest.raises(hardneg.HardnegError) as raised:
        hardneg.mine(data, progress=said, **settings)
    assert message in str(raised.value)
    assert not said.lines


class Backwards:
    """An engine that runs the parts at the same time, the last ones first."""

    def __init__(self) -> None:
        self.parts = 0

    def each(self, work: Callable[[Any], None], parts: Sequence[Any]) -> None:
        self.parts += len(parts)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, reversed(parts)))


def test_an_engine_of_ones_own_gives_the_same_bytes(
    tiny: Path, data: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hardneg.encode import plan
    from hardneg.plan import retrieve

    monkeypatch.setattr(plan, "TEXTS_A_SHARD", 16)
    monkeypatch.setattr(retrieve, "QUERIES_A_PART", 8)
    settings = {**RULES, "cross_encoder": Counting()}
    hardneg.mine(data, run_dir=tmp_path / "here", model=str(tiny), **settings)
    engine = Backwards()
    hardneg.mine(data, run_dir=tmp_path / "there", model=str(tiny), engine=engine, **settings)
    assert engine.parts == 5 + 5, "the store has the vectors already: parts of search and rescore"
    for table in ("candidates", "positives", "selections/default"):
        here, there = tmp_path / "here" / table, tmp_path / "there" / table
        names = sorted(path.name for path in here.glob("*.parquet"))
        assert names
        for name in names:
            assert (there / name).read_bytes() == (here / name).read_bytes()
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "another"))
    encoding = Backwards()
    mined = hardneg.mine(data, model=str(tiny), engine=encoding, **RULES)
    assert encoding.parts == 3 + 3 + 5, "shards of queries, shards of documents, parts of search"
    assert mined.negatives.num_rows


def test_an_error_in_an_engine_ends_the_run(tiny: Path, data: Collection, tmp_path: Path) -> None:
    class Broken:
        def each(self, work: Callable[[Any], None], parts: Sequence[Any]) -> None:
            raise hardneg.HardnegError("the cluster is gone")

    with pytest.raises(hardneg.HardnegError, match="cluster"):
        hardneg.mine(data, run_dir=tmp_path / "run", model=str(tiny), engine=Broken(), **RULES)
    hardneg.mine(data, run_dir=tmp_path / "run", model=str(tiny), **RULES)
