"""What a run or the cache keeps is used again only where nothing that decides it has changed."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.errors import InputError
from hardneg.plan import mine, retrievers

ModelMaker = Callable[..., Path]
WORDS = "cell gene drug heart blood virus causes lowers raises".split()
RULES: dict[str, Any] = {"relative_margin": None, "num_negatives": 3, "depth": 10, "guard": "off"}
OUTRIGHT: dict[str, Any] = {"backend": "torch", "precision": "fp32", "device": "cpu"}


@pytest.fixture
def rows() -> list[dict[str, str]]:
    draw = random.Random(5)
    sentence = lambda: " ".join(draw.choices(WORDS, k=8))  # noqa: E731
    return [{"query": f"{sentence()} {i}", "positive": f"{sentence()} {i}"} for i in range(30)]


def test_another_checkpoint_at_the_same_place(
    rows: list[dict[str, str]], make_model: ModelMaker, make_cross_encoder: ModelMaker, tmp_path: Path
) -> None:
    """The same command, after its models were trained further: vectors and scores are the new models'."""
    model, scorer = tmp_path / "model", tmp_path / "scorer"

    def trained(seed: int) -> None:
        make_model(model, seed=seed)
        make_cross_encoder(seed=seed).rename(scorer)

    def mined(run: str, cache: str) -> Any:
        done = hardneg.mine(
            rows,
            model=str(model),
            cross_encoder=str(scorer),
            run_dir=tmp_path / run,
            cache_dir=str(tmp_path / cache),
            **RULES,
            **OUTRIGHT,
        )
        return done.candidates

    trained(1)
    first = mined("run", "cache")
    scorer.rename(tmp_path / "scorer before")
    trained(2)
    found, expected = mined("run", "cache"), mined("fresh run", "empty cache")
    assert found.equals(expected)
    assert found["score"] != first["score"] and found["cross_encoder"] != first["cross_encoder"]
    # Back to the first: what was kept of it is used.
    scorer.rename(tmp_path / "scorer after")
    (tmp_path / "scorer before").rename(scorer)
    make_model(model, seed=1)
    assert mined("run", "cache").equals(first)


SEARCHES = """
    import sys
    import numpy as np
    import hardneg
    from hardneg.records import Ranking

    import hardneg.plan.retrievers as retrievers

    run, first = sys.argv[1], int(sys.argv[2])
    retrievers.id = lambda thing: 4711  # by chance the same in every process

    class Nameless:
        name = "nameless"

        def search(self, query, depth, positives, progress):
            doc = np.tile((np.arange(depth) + first).astype(np.int32) % 30, (len(query), 1))
            score = np.tile(-np.arange(depth, dtype=np.float32), (len(query), 1))
            return Ranking(self.name, doc, score, np.full(positives.shape, 0.5, np.float32))

    rows = [{"query": f"what is {n}", "positive": f"it is {n}"} for n in range(30)]
    mined = hardneg.mine(
        rows, retriever=[Nameless()], run_dir=run, depth=10, relative_margin=None, guard="off"
    )
    print(mined.candidates["doc_id"].to_pylist())
"""


def test_a_retriever_that_does_not_say_what_it_is(tmp_path: Path) -> None:
    """Of another process: at the same place in memory, by chance, and yet another one."""

    def mined(run: str, first: int) -> str:
        code = [sys.executable, "-c", textwrap.dedent(SEARCHES), str(tmp_path / run), str(first)]
        return subprocess.run(code, capture_output=True, text=True, check=True).stdout

    assert mined("run", 0) != mined("run", 7)
    assert mined("run", 7) == mined("fresh", 7)


@pytest.mark.parametrize("module", ["texts", "words"])
def test_other_rules_of_reading_texts(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Another hardneg, or another Python with other Unicode tables."""
    rules = {**RULES, "guard": "prior", "retriever": "bm25", "max_p": 0.9}
    mined = hardneg.mine(rows, run_dir=tmp_path / "run", **rules)
    stages = ["text classes", "near duplicates", "lexical vectors"]
    before = [mined._run.stage(stage)["fingerprint"] for stage in stages]
    hardneg.mine(rows, run_dir=tmp_path / "run", **rules)
    assert [mined._run.stage(stage)["fingerprint"] for stage in stages] == before
    monkeypatch.setattr(f"hardneg.{module}.RULES", (99, "99.0"))
    hardneg.mine(rows, run_dir=tmp_path / "run", **{**rules, "num_negatives": 2})
    after = [mined._run.stage(stage)["fingerprint"] for stage in stages]
    assert all(one != other for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", ["run", "vectors"])
def test_a_file_that_changes_before_it_is_read(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Hours of encoding may lie between a file's digest and its being read: it is not the new one's."""
    collection = hardneg.load(rows)
    query_ids, doc_ids = (table.column(0).to_pylist() for table in (collection.queries, collection.corpus))
    folder = tmp_path / "given"
    folder.mkdir()

    def write(seed: int) -> None:
        draw = np.random.default_rng(seed)
        if kind == "run":
            lines = [
                f"{query} Q0 {doc_ids[doc]} {rank} {100 - rank} x\n"
                for query in query_ids
                for rank, doc in enumerate(draw.permutation(len(doc_ids))[:20].tolist(), 1)
            ]
            (folder / "found.trec").write_text("".join(lines))
        for name, ids in (("queries", query_ids), ("documents", doc_ids)):
            np.save(folder / f"{name}.npy", draw.normal(size=(len(ids), 8)).astype(np.float32))
            (folder / f"{name}.ids.txt").write_text("".join(f"{one}\n" for one in ids))

    target = folder / "found.trec" if kind == "run" else folder
    rules = {**RULES, "retriever": f"x={kind}:{target}", "missing_positive_score": 0.0}

    def mined(run: str) -> Any:
        return hardneg.mine(rows, run_dir=tmp_path / run, **rules).candidates

    write(1)
    first = mined("fresh")
    digests = retrievers.sources

    def sources(*arguments: Any) -> Any:
        found = digests(*arguments)
        write(2)
        return found

    with monkeypatch.context() as patch:
        patch.setattr("hardneg.plan.mine.sources", sources)
        with pytest.raises(InputError, match="changed since this command began; run it again"):
            mined("run")
    write(1)
    assert mined("run").equals(first)


def test_a_list_that_changes_while_it_is_used(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a selection by the new list would stand there as that by the old one."""
    listed = tmp_path / "docs.txt"
    rules = {**RULES, "retriever": "bm25", "exclude_docs": str(listed)}

    def mined(run: str) -> Any:
        return hardneg.mine(rows, run_dir=tmp_path / run, **rules).negatives

    ids = hardneg.load(rows).corpus["doc_id"].to_pylist()
    listed.write_text("".join(f"{one}\n" for one in ids[:5]))
    first, choose = mined("fresh"), mine.choose

    def changed(*arguments: Any) -> Any:
        found = choose(*arguments)
        listed.write_text("".join(f"{one}\n" for one in ids[5:9]))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(mine, "choose", changed)
        with pytest.raises(InputError, match=r"docs.txt: changed since this command began; run it again"):
            mined("run")
    with pytest.raises(InputError, match="no selection 'default'"):
        hardneg.open_run(tmp_path / "run").negatives  # noqa: B018  # reads it
    listed.write_text("".join(f"{one}\n" for one in ids[:5]))
    assert mined("run").equals(first)
