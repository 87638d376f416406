"""A scorer that only lets candidates pass sees few pairs, and nothing of what is chosen changes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hardneg
from hardneg.errors import HardnegError, UsageError
from hardneg.records import Float32
from hardneg.report.summary import render_summary

sys.path.insert(0, str(Path(__file__).parent))
from word_scorer import Alphabetical, Shared

WORDS = (
    "anchor basalt candle delta ember falcon granite harbor island juniper kettle lagoon meadow nectar "
    "orchid pebble quartz ridge saddle timber umber valley willow yarrow zephyr"
).split()


def tables(seed: int = 0, documents: int = 90, queries: int = 40, order: int = 0) -> dict[str, Any]:
    """Twins in other spelling, near-duplicates, several positives; rows shuffled by `order`."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choice(WORDS) for _ in range(draw.randint(8, 20))) for _ in range(documents)]
    corpus = [{"doc_id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    corpus += [{"doc_id": f"t{n}", "text": texts[n].upper()} for n in range(0, documents, 6)]
    corpus += [{"doc_id": f"n{n}", "text": f"{texts[n]} again"} for n in range(0, documents, 9)]
    asked, qrels = [], []
    for number in range(queries):
        others = draw.sample(range(documents), draw.randint(0, 2))
        positives = list(dict.fromkeys([number, *others]))  # no two queries of one text
        asked.append({"query_id": f"q{number}", "text": " ".join(texts[positives[0]].split()[:5])})
        qrels += [{"query_id": f"q{number}", "doc_id": f"d{n}", "relevance": 1.0} for n in positives]
    for rows in (corpus, asked, qrels):
        random.Random(order).shuffle(rows)
    return {"corpus": corpus, "queries": asked, "qrels": qrels}


BASE: dict[str, Any] = {"retriever": "bm25", "depth": 40, "num_negatives": 3, "guard": "off"}
TOP = {**BASE, "sampler": "top", "order_by": "bm25"}
RANDOM = {**BASE, "sampler": "random", "seed": 3}


def mine(source: Any, scorer: Any, **settings: Any) -> hardneg.Mined:
    return hardneg.mine(source, cross_encoder=scorer, **{**TOP, **settings})


def selection_bytes(mined: hardneg.Mined) -> dict[str, bytes]:
    folder = mined.run_dir / "selections" / mined.selection
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def stored_bytes(mined: hardneg.Mined) -> dict[str, bytes]:
    kinds = ("candidates", "positives")
    return {f"{k}/{p.name}": p.read_bytes() for k in kinds for p in (mined.run_dir / k).glob("*.parquet")}


def same_choice(one: hardneg.Mined, other: hardneg.Mined) -> None:
    assert one.negatives.equals(other.negatives)
    assert one.positives.equals(other.positives)
    kept = ["query_id", "outcome"]
    assert one.outcomes.select(kept).equals(other.outcomes.select(kept))
    pairs = ["query_id", "doc_id"]
    assert one.decisions.select(pairs).to_pylist() == other.decisions.select(pairs).to_pylist()


RULES: list[dict[str, Any]] = [
    {},
    {"sampler": "random", "order_by": None},
    {"window": "3:30"},
    {"retriever": ["bm25", Alphabetical()], "combine": "any", "quota": ("bm25=1", "alphabetical=1")},
    {"retriever": ["bm25", Alphabetical()], "sampler": "random", "order_by": None, "combine": "all"},
    {"reference": "each", "sampler": "random", "order_by": None},
    {"max_reuse": 2, "shortfall": "keep"},
    {"shortfall": "drop", "max_score": 2.0, "relative_margin": None},
    {"margin": 1.5, "relative_margin": None, "num_negatives": 10},
]


@pytest.mark.parametrize("rules", RULES, ids=[str(place) for place in range(len(RULES))])
def test_few_scores_choose_what_all_choose(rules: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from hardneg.plan import part_scores, retrieve

    every, few = Shared(), Shared()
    whole = mine(tables(), every, rescore="all", **rules)
    lazy = mine(tables(), few, **rules)
    same_choice(whole, lazy)
    assert 0 < len(few.asked) < len(every.asked)
    rescore = lazy.summary["rescore"]
    assert rescore["why_all"] is None and rescore["scored"] < rescore["every"]
    assert whole.summary["rescore"]["scored"] == whole.summary["rescore"]["every"] == rescore["every"]
    shuffled = mine(tables(order=5), Shared(), **rules)
    for table in ("negatives", "positives", "outcomes", "decisions"):
        assert getattr(shuffled, table).equals(getattr(lazy, table)), table
    # Nor do the sizes of parts and groups change anything.
    monkeypatch.setattr(part_scores, "PAIRS_KEPT_AT_ONCE", 7)
    monkeypatch.setattr(retrieve, "QUERIES_A_PART", 11)
    cut = mine(tables(), Shared(), **rules)
    same_choice(cut, lazy)
    if (
        "max_reuse" not in rules
    ):  # who is looked at hangs on the others of the part where documents are used up
        assert cut.outcomes.equals(lazy.outcomes)
        assert cut.decisions.to_pylist() == lazy.decisions.to_pylist()


def test_what_was_never_scored_is_accounted_for() -> None:
    scorer = Shared()
    lazy = mine(tables(), scorer)
    decisions, candidates = lazy.decisions.to_pylist(), lazy.candidates.to_pylist()
    unscored = {(row["query_id"], row["doc_id"]) for row in candidates if row["shared"] is None}
    told = {(row["query_id"], row["doc_id"]): row for row in decisions}
    assert {pair for pair, row in told.items() if row["reason"] == "not_scored"} <= unscored
    assert {row["decision"] for row in decisions if row["reason"] == "not_scored"} == {"left"}
    counts = lazy.summary["reasons"]
    assert (
        sum(counts.values())
        == len(decisions)
        == sum(value for row in lazy.outcomes.to_pylist() for value in row.values() if isinstance(value, int))
    )
    # The count of pairs is that of the pairs with a score, positives included.
    scored = {(row["query_id"], row["doc_id"]) for row in candidates if row["shared"] is not None}
    known = {(row["query_id"], row["doc_id"]) for row in tables()["qrels"]}
    every = {(row["query_id"], row["doc_id"]) for row in candidates}
    assert lazy.summary["rescore"]["scored"] == len(scored | known)
    assert lazy.summary["rescore"]["every"] == len(every | known)
    assert len(set(scorer.asked)) == len(scorer.asked)


NEEDS_ALL = [
    ({"order_by": None}, "they order the candidates"),
    ({"order_by": "shared"}, "they order the candidates"),
    ({"sampler": "softmax"}, "--sampler softmax"),
    ({"sampler": "stratified"}, "--sampler stratified"),
    ({"num_negatives": "all"}, "--num-negatives all"),
    ({"shortfall": "deepen"}, "--shortfall deepen"),
    ({"guard": "auto"}, "the guard looks at them"),
    ({"guard": "prior"}, "the guard looks at them"),
    ({"score_by": "bm25"}, "no rule of the selection goes by them"),
    ({"rescore": "all"}, "--rescore all"),
]


@pytest.mark.parametrize(("rules", "reason"), NEEDS_ALL, ids=str)
def test_where_a_rule_needs_all_scores_all_are_there(rules: dict[str, Any], reason: str) -> None:
    mined = mine(tables(), Shared(), **rules)
    assert mined.candidates["shared"].null_count == 0
    assert reason in mined.summary["rescore"]["why_all"]
    assert f"pairs with shared: {mined.summary['rescore']['why_all']}"[:40] in render_summary(mined.summary)
    assert mined.summary["rescore"]["scored"] == mined.summary["rescore"]["every"]


def test_lazy_is_refused_where_it_cannot_be() -> None:
    scorer = Shared()
    with pytest.raises(UsageError, match="--rescore lazy: all scores of shared are needed: they order"):
        mine(tables(), scorer, rescore="lazy", order_by=None)
    assert not scorer.asked


def test_lazy_keeps_the_scores_from_the_guard(tmp_path: Path) -> None:
    """It judges as in a run without a scorer, whether or not all scores are there."""
    settings = {"guard": "prior", "run_dir": tmp_path / "run"}
    lazy = mine(tables(), Shared(), rescore="lazy", **settings)
    assert lazy.candidates["shared"].null_count > 0
    judged = lazy.decisions["p_false_negative"]
    unscored = hardneg.mine(tables(), **{**BASE, "guard": "prior"}, sampler="top")
    assert judged.equals(unscored.decisions["p_false_negative"])
    whole = mine(tables(), Shared(), rescore="all", run_dir=tmp_path / "whole")
    again = whole.select(name="again", rescore="lazy", guard="prior")
    assert again.decisions["p_false_negative"].equals(judged)
    assert again.negatives.equals(lazy.negatives)


def test_a_later_selection_scores_only_what_is_missing(tmp_path: Path) -> None:
    scorer, run = Shared(), tmp_path / "run"
    lazy = mine(tables(), scorer, run_dir=run)
    first = list(scorer.asked)
    harder = lazy.select(name="harder", margin=2.0, relative_margin=None)
    drawn = lazy.select(name="drawn", **{k: RANDOM[k] for k in ("sampler", "seed")}, order_by=None)
    assert len(scorer.asked) > len(first)
    assert len(set(scorer.asked)) == len(scorer.asked), "no pair twice"
    # What a selection says does not hang on who was there before.
    for name, rules in (
        ("harder", {"margin": 2.0, "relative_margin": None}),
        ("drawn", {**RANDOM, "order_by": None}),
    ):
        alone = mine(tables(), Shared(), run_dir=tmp_path / name, name=name, **rules)
        assert selection_bytes({"harder": harder, "drawn": drawn}[name]) == selection_bytes(alone)
    every = lazy.select(name="every", rescore="all")
    assert every.candidates["shared"].null_count == 0
    assert len(set(scorer.asked)) == len(scorer.asked), "no pair twice"
    before = len(scorer.asked)
    once_more = lazy.select(name="more", seed=9)
    assert len(scorer.asked) == before
    assert once_more.summary["rescore"]["scored"] == lazy.summary["rescore"]["scored"]


def test_what_looks_at_all_candidates_has_all_scores(tmp_path: Path) -> None:
    for use in ("preview", "audit"):
        scorer = Shared()
        lazy = mine(tables(), scorer, run_dir=tmp_path / use)
        assert lazy.candidates["shared"].null_count > 0
        options: dict[str, Any] = {"repeats": 1} if use == "audit" else {}
        found = getattr(lazy, use)(**options)
        assert lazy.candidates["shared"].null_count == 0
        assert len(set(scorer.asked)) == len(scorer.asked)
        whole = mine(tables(), Shared(), run_dir=tmp_path / f"{use}-all", rescore="all")
        assert found == getattr(whole, use)(**options)


def test_a_guard_that_comes_later_never_sees_a_part_of_the_scores(tmp_path: Path) -> None:
    lazy = mine(tables(), Shared(), run_dir=tmp_path / "run")
    guarded = lazy.select(name="guarded", guard="prior")
    alone = mine(tables(), Shared(), run_dir=tmp_path / "alone", guard="prior")
    assert guarded.decisions.equals(alone.decisions)
    # Without the scorer, a run that holds a part of its scores is as one that holds none.
    mine(tables(), Shared(), run_dir=tmp_path / "part")
    without = {**BASE, "guard": "prior"}
    bare = hardneg.mine(tables(), run_dir=tmp_path / "part", name="bare", **without)
    assert bare.decisions.equals(hardneg.mine(tables(), **without).decisions)


def test_a_scorer_that_is_gone_or_another_is_named(tmp_path: Path) -> None:
    mine(tables(), Shared(), run_dir=tmp_path / "run")
    with pytest.raises(HardnegError, match="given as Python objects"):
        hardneg.open_run(tmp_path / "run").select(name="other", guard="prior")
    # What needs no further score needs no scorer.
    hardneg.open_run(tmp_path / "run").select(name="fewer", num_negatives=2)
    other = Shared(version=2)
    again = mine(tables(), other, run_dir=tmp_path / "run")
    assert again.summary["rescore"]["scored"] <= len(tables()["qrels"]) + len(other.asked)
    assert len(other.asked) > 100, "scores of another version count for nothing"


@pytest.mark.parametrize("rules", [{}, {"guard": "prior", "rescore": "lazy"}, {"score_by": None}], ids=str)
def test_a_later_selection_that_looks_at_no_score_has_none_computed(
    rules: dict[str, Any], tmp_path: Path
) -> None:
    scorer = Shared()
    lazy = mine(tables(), scorer, run_dir=tmp_path / "run")
    whole = mine(tables(), Shared(), run_dir=tmp_path / "whole", rescore="all")
    before = len(scorer.asked)
    settings = {"score_by": "bm25", "rescore": "auto", **rules}
    other, same = (one.select(name="other", **settings) for one in (lazy, whole))
    assert len(scorer.asked) == before
    assert selection_bytes(other) == selection_bytes(same)
    assert "rescore" not in other.summary and "rescore" not in same.summary


def test_another_scorer_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    """Not for the guard, and not for who names it: its scores were of some pairs only."""

    class Other(Shared):
        name = "other"

        def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
            return -super().score(pairs)

    lazy = mine(tables(), Shared(), run_dir=tmp_path / "run")
    assert lazy.candidates["shared"].null_count > 0
    guarded = mine(tables(), Other(), run_dir=tmp_path / "run", guard="prior", name="guarded")
    alone = mine(tables(), Other(), run_dir=tmp_path / "alone", guard="prior", name="guarded")
    assert selection_bytes(guarded) == selection_bytes(alone)
    with pytest.raises(UsageError, match=r"score_by: 'shared' is none of this run \(bm25, other\)"):
        guarded.select(name="first", score_by="shared")


def test_the_summary_and_the_flag(tmp_path: Path) -> None:
    lazy = mine(tables(), Shared(), run_dir=tmp_path / "run")
    found = lazy.summary["rescore"]
    share, saved = found["scored"] / found["every"], found["every"] - found["scored"]
    assert found["saved"] == saved > 0
    line = f"scored {found['scored']:,} of {found['every']:,} pairs with shared, {share:.1%}; {saved:,} saved"
    assert line in render_summary(lazy.summary)
    command = [sys.executable, "-m", "hardneg", "select", str(tmp_path / "run"), "--num-negatives", "2"]
    said = subprocess.run([*command, "--json", "--rescore", "auto"], capture_output=True, check=True)
    told = json.loads(said.stdout)["rescore"]
    assert told["scorer"] == "shared" and told["why_all"] is None and told["every"] == found["every"]
    assert told["scored"] < found["scored"]


KILLED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_lazy_rescoring import RANDOM, Shared, tables
import hardneg
from hardneg.plan import part_scores, retrieve
part_scores.PAIRS_KEPT_AT_ONCE, retrieve.QUERIES_A_PART = 40, 30
asked = open(sys.argv[3], "a", buffering=1)
class Slow(Shared):
    def score(self, pairs):
        time.sleep(0.01)
        asked.write(f"{len(pairs)}\\n")
        return super().score(pairs)
settings = {**RANDOM, "order_by": None, "depth": 60, "margin": 1.0, "relative_margin": None}
if sys.argv[4:]:
    settings["rescore"] = sys.argv[4]
hardneg.mine(tables(documents=200, queries=80), cross_encoder=Slow(), run_dir=sys.argv[2], **settings)
"""


SLOW = pytest.mark.slow


@pytest.mark.parametrize("groups", [pytest.param(1, marks=SLOW), 6, pytest.param(20, marks=SLOW)])
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, groups: int) -> None:
    """Scores in the parts included; and of what was kept nothing is scored again."""
    here = str(Path(__file__).parent)

    def command(name: str, *more: str) -> list[str]:
        return [
            sys.executable,
            "-c",
            KILLED,
            here,
            str(tmp_path / name),
            str(tmp_path / f"{name}.log"),
            *more,
        ]

    def asked(name: str) -> int:
        log = tmp_path / f"{name}.log"
        return sum(map(int, log.read_text().split())) if log.exists() else 0

    subprocess.run(command("whole"), check=True)
    process = subprocess.Popen(command("killed"))
    log = tmp_path / "killed.log"
    while process.poll() is None and (not log.exists() or len(log.read_text().split()) < groups):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it was at work when it was killed"
    subprocess.run(command("killed"), check=True)
    one, other = (hardneg.open_run(tmp_path / name) for name in ("killed", "whole"))
    assert selection_bytes(one) == selection_bytes(other)
    assert stored_bytes(one) == stored_bytes(other)
    assert asked("whole") <= asked("killed") <= asked("whole") + 2 * 40
    assert not list((tmp_path / "killed").rglob(".tmp-*"))
    assert not list((tmp_path / "killed" / "rescoring").glob("*/*"))


def test_what_a_crash_behind_the_last_part_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(BaseException):
        pass

    def cut(*_: Any, **__: Any) -> None:
        raise Cut

    with monkeypatch.context() as patched, pytest.raises(Cut):
        patched.setattr("hardneg.plan.part_scores.shutil", SimpleNamespace(rmtree=cut))
        mine(tables(), Shared(), run_dir=tmp_path / "run", rescore="all")
    assert list((tmp_path / "run" / "rescoring").glob("*/*"))
    scorer = Shared()
    mine(tables(), scorer, run_dir=tmp_path / "run", rescore="all")
    assert not scorer.asked
    assert not list((tmp_path / "run" / "rescoring").glob("*/*"))


def test_what_a_killed_walk_kept_serves_another_selection(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLED, here, str(tmp_path / "run"), str(tmp_path / "log")]
    process = subprocess.Popen(command)
    log = tmp_path / "log"
    while process.poll() is None and (not log.exists() or len(log.read_text().split()) < 6):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "all"], check=True)
    mined = hardneg.open_run(tmp_path / "run")
    assert mined.candidates["shared"].null_count == 0
    every = mined.summary["rescore"]["every"]
    assert sum(map(int, log.read_text().split())) <= every + 40
