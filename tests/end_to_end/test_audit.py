"""hardneg audit: what it says is what mining with fewer labels gives, and nothing of the run changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg import cli
from hardneg.config import Config
from hardneg.errors import InputError, UsageError
from hardneg.plan.audit import hidden_positives
from hardneg.plan.guarding import text_classes
from hardneg.plan.judging import learned
from hardneg.plan.prepare import reopen
from hardneg.progress import Silent
from hardneg.run_directory import RunDirectory

BM25: dict[str, Any] = {"retriever": "bm25", "relative_margin": None, "depth": 40, "num_negatives": 3}


def tables(topics: int = 20, known: int = 5, order: int = 0) -> dict[str, Any]:
    """Topics of six answers each, and six texts that share a query's words. Two queries ask for each topic,
    `known` of the answers labelled for either: what is labelled for one says something of the other."""
    draw = np.random.default_rng(3)
    words = np.array([f"word{number}" for number in range(900)])
    corpus, queries, qrels = [], [], []
    for topic in range(topics):
        asked, own = draw.choice(words, 4, replace=False), draw.choice(words, 10, replace=False)
        for twin in (0, 1):
            query_id = f"q{2 * topic + twin:02d}"
            queries.append({"query_id": query_id, "text": " ".join([*asked[twin : twin + 3], own[twin]])})
            qrels += [
                {"query_id": query_id, "doc_id": f"d{topic:02d}-{number:02d}", "relevance": 1.0}
                for number in range(twin, twin + known)
            ]
        for number in range(12):
            rest = draw.choice(own if number < 6 else words, 6)
            text = [*draw.choice(asked, 2, replace=False), *rest, *draw.choice(words[:30], 4)]
            corpus.append({"doc_id": f"d{topic:02d}-{number:02d}", "title": None, "text": " ".join(text)})
    turn = np.random.default_rng(order)
    return {
        name: [rows[place] for place in (turn.permutation(len(rows)) if order else range(len(rows)))]
        for name, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels))
    }


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No chart, which takes a second, but where a test wants one."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setitem(sys.modules, "vl_convert", None)


@pytest.fixture
def drawn() -> None:
    """Asked for where a chart is wanted."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit") / "run"
    hardneg.mine(tables(), run_dir=folder, **{**BM25, "relative_margin": 0.1})
    return folder


@pytest.fixture(scope="module")
def found(run: Path) -> dict[str, Any]:
    return hardneg.audit(run, repeats=1, seed=4)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["hardneg", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def hidden_pairs(run: Path, seed: int, repeat: int = 0, share: float = 0.3) -> set[tuple[str, str]]:
    config = Config.from_flat(RunDirectory(run).manifest()["config"])
    prepared = reopen(RunDirectory(run), config, Silent())
    _, hidden = hidden_positives(prepared, text_classes(prepared, config), share, seed, repeat)
    query_ids = prepared.collection.queries["query_id"].to_pylist()
    doc_ids = prepared.collection.corpus["doc_id"].to_pylist()
    rows = np.repeat(np.arange(len(query_ids)), hidden.counts)
    return {(query_ids[row], doc_ids[doc]) for row, doc in zip(rows, hidden.doc, strict=True)}


def point(found: Mapping[str, Any], rule: str, **settings: Any) -> dict[str, Any]:
    rows = [row for row in found["points"] if row["rule"] == rule and row["settings"] == settings]
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        ("shift", {"window": "3:"}),
        ("window", {"window": "0:10", "sampler": "random"}),
        ("relative margin", {"relative_margin": 0.2}),
        ("guard", {"max_p": 0.1}),
        ("own", {}),
    ],
)
def test_a_point_is_what_mining_without_the_hidden_labels_gives(
    run: Path, found: dict[str, Any], rule: str, settings: dict[str, Any]
) -> None:
    hidden = hidden_pairs(run, seed=4)
    less = tables()
    less["qrels"] = [row for row in less["qrels"] if (row["query_id"], row["doc_id"]) not in hidden]
    assert len(less["qrels"]) == 200 - len(hidden) and 50 <= len(hidden) <= 70
    used = {"relative_margin": 0.1} if rule == "own" else settings
    guard = "auto" if rule == "guard" else "off"
    mined = hardneg.mine(less, guard=guard, **{**BM25, "seed": 4, **used}).negatives
    pairs = list(zip(mined["query_id"].to_pylist(), mined["doc_id"].to_pylist(), strict=True))
    said = point(found, rule, **settings)
    assert said["negatives"] == len(pairs) > 60
    assert said["hidden"] == sum(pair in hidden for pair in pairs)
    assert said["contamination"]["share"] == pytest.approx(said["hidden"] / len(pairs), abs=1e-6)
    assert said["hardness"]["mean_score"] == pytest.approx(np.mean(mined["score"].to_numpy()), rel=1e-5)
    assert said["mean_rank"] == pytest.approx(np.mean(mined["rank"].to_numpy()), rel=1e-5)
    assert said["yield"] == pytest.approx(len(pairs) / (3 * 40), abs=1e-6)


def test_what_the_guard_catches_and_would_promote_is_what_mining_with_it_says(
    run: Path, found: dict[str, Any]
) -> None:
    hidden = hidden_pairs(run, seed=4)
    less = tables()
    less["qrels"] = [row for row in less["qrels"] if (row["query_id"], row["doc_id"]) not in hidden]
    mined = hardneg.mine(less, **{**BM25, "seed": 4, "max_miss_rate": 0.5}).decisions.to_pylist()
    judged = [row for row in mined if row["p_false_negative"] is not None]
    back = [row for row in judged if (row["query_id"], row["doc_id"]) in hidden]
    passed = sum(row["reason"] != "likely_positive" for row in back)
    said = next(row["passed"] for row in found["miss_rates"] if row["asked"] == 0.5)
    assert 0 < passed < len(back) and said["share"] == pytest.approx(passed / len(back), abs=1e-6)
    assert found["hidden"]["positives"] == len(hidden) and found["hidden"]["in_reach"] == len(back)
    bars = {row["promoted"]: row for row in found["promotion"]}
    likely = [row for row in judged if row["p_false_negative"] >= np.float32(0.5)]
    right = sum((row["query_id"], row["doc_id"]) in hidden for row in likely)
    bar = bars["p from 0.5 on"]
    assert bar["candidates"] == len(likely) > right > 0
    assert bar["right"]["share"] == pytest.approx(right / len(likely), abs=1e-6)
    assert bar["said"] == pytest.approx(np.mean([row["p_false_negative"] for row in likely]), rel=1e-5)


def test_promoted_candidates_are_positives_in_an_audit_too(run: Path) -> None:
    hidden = hidden_pairs(run, seed=4)
    less = tables()
    less["qrels"] = [row for row in less["qrels"] if (row["query_id"], row["doc_id"]) not in hidden]
    settings = {"relative_margin": 0.3, "promote": 0.5}
    mined = hardneg.mine(less, **{**BM25, "seed": 4, **settings})
    assert "promoted" in mined.positives["source"].to_pylist()
    pairs = list(zip(*(mined.negatives[name].to_pylist() for name in ("query_id", "doc_id")), strict=True))
    said = point(hardneg.audit(run, repeats=1, seed=4, **settings), "own")
    assert (said["negatives"], said["hidden"]) == (len(pairs), sum(pair in hidden for pair in pairs))
    assert said["hardness"]["mean_score"] == pytest.approx(
        np.mean(mined.negatives["score"].to_numpy()), rel=1e-5
    )


def test_queries_with_too_few_negatives_are_measured_whatever_would_become_of_them(run: Path) -> None:
    settings = {"repeats": 1, "guard": "off", "relative_margin": 0.5}
    kept, dropped = (
        point(hardneg.audit(run, **settings, shortfall=shortfall), "own") for shortfall in ("keep", "drop")
    )
    assert kept == dropped and 0 < kept["yield"] < 1


def test_margins_are_laid_out_by_the_size_of_a_positives_score(run: Path, found: dict[str, Any]) -> None:
    size = np.median(np.abs(hardneg.open_run(run).positives["score"].to_numpy()))
    levels = point_levels(found)
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (float(f"{-size:.2g}"), float(f"{size / 2:.2g}"))


def test_queries_that_are_left_out_are_not_measured(tmp_path: Path) -> None:
    (tmp_path / "left-out.txt").write_text("q03\nq10\n")
    settings = {**BM25, "guard": "off", "exclude_queries": str(tmp_path / "left-out.txt")}
    mined = hardneg.mine(tables(), run_dir=tmp_path / "run", **settings)
    asked = set(mined.negatives["query_id"].to_pylist())
    assert not {"q03", "q10"} & asked and len(asked) > 30
    queries = hardneg.audit(tmp_path / "run", repeats=1)["queries"]
    assert (queries["several_positives"], queries["measured"]) == (len(asked), len(asked))


def test_what_a_hard_exclusion_speaks_of_is_not_in_reach(tmp_path: Path) -> None:
    (tmp_path / "left-out.txt").write_text("".join(f"d{topic:02d}-02\n" for topic in range(20)))
    settings = {**BM25, "guard": "off", "exclude_docs": str(tmp_path / "left-out.txt")}
    mined = hardneg.mine(tables(), run_dir=tmp_path / "run", **settings)
    hidden = hidden_pairs(tmp_path / "run", seed=0)
    there = set(zip(*(mined.candidates[name].to_pylist() for name in ("query_id", "doc_id")), strict=True))
    left = {pair for pair in hidden & there if not pair[1].endswith("-02")}
    assert len(left) < len(hidden & there)
    assert hardneg.audit(tmp_path / "run", repeats=1)["hidden"]["in_reach"] == len(left)


def test_what_a_rule_does_not_find_lowers_its_yield(run: Path, found: dict[str, Any]) -> None:
    strict = point(found, "relative margin", relative_margin=0.5)
    assert 0 < strict["negatives"] < 3 * 40
    assert strict["yield"] == pytest.approx(strict["negatives"] / (3 * 40), abs=1e-6)


def test_the_guard_is_told_how_many_labels_are_left(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def seen(config: Any, *rest: Any) -> Any:
        asked.append(config.label_completeness)
        return learned(config, *rest)

    monkeypatch.setattr("hardneg.plan.audit.learned", seen)
    found = hardneg.audit(run, repeats=1, seed=4, label_completeness=0.8)
    assert asked == [pytest.approx(0.8 * (200 - found["hidden"]["positives"]) / 200)]


def test_each_repeat_hides_others_and_looks_at_others(run: Path) -> None:
    found = hardneg.audit(run, repeats=2, max_queries=20, guard="off")
    hidden = {repeat: hidden_pairs(run, 0, repeat) for repeat in (0, 1)}
    assert found["queries"]["measured"] == 40
    of_query = [len([p for p in hidden[0] if p[0] == q]) for q in {p[0] for p in hidden[0]}]
    assert set(of_query) == {1, 2}  # 0.3 of five is one and a half: one or two by a draw
    assert len(hidden[0] & hidden[1]) < 0.7 * len(hidden[0])
    assert found["hidden"]["positives"] < 0.7 * (len(hidden[0]) + len(hidden[1]))


def test_the_guard_lets_fewer_pass_at_equal_hardness(found: dict[str, Any]) -> None:
    assert point(found, "shift", window="0:")["contamination"]["share"] > 0.1
    skip = next(part for part in found["equal_hardness"] if part["reference"] == "skip 5")
    share = {row["rule"]: row["contamination"] for row in skip["rules"]}
    assert share["guard"]["share"] < 0.5 * share["shift"]["share"]
    assert share["guard"]["high"] < share["shift"]["low"]
    best = found["promotion"][0]["right"]
    assert best["low"] <= best["share"] <= best["high"]
    assert "lower bound" in found["notes"][0]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_nothing_of_the_run_changes_and_quiet_is_quiet(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ("candidates", "positives", "selections", "guard")
    before = [files(run / name) for name in kept]
    selections = RunDirectory(run).manifest()["selections"]
    flags = ["--repeats", 1, "--hide", 0.5, "--max-queries", 20, "--quiet"]
    assert call(monkeypatch, "audit", run, *flags) == 0
    assert capsys.readouterr() == ("", "")
    assert [files(run / name) for name in kept] == before
    assert RunDirectory(run).manifest()["selections"] == selections


def test_the_same_again_is_the_same_bytes_and_so_is_another_order(tmp_path: Path, drawn: None) -> None:
    for name, order in (("one", 0), ("two", 7)):
        hardneg.mine(tables(topics=12, order=order), run_dir=tmp_path / name, **BM25)
        hardneg.audit(tmp_path / name, repeats=2, max_queries=12)
    bytes_of = {name: [*files(tmp_path / name / "audit").values()] for name in ("one", "two")}
    assert len(bytes_of["one"]) == 3 and bytes_of["one"] == bytes_of["two"]
    hardneg.audit(tmp_path / "two", repeats=1, max_queries=12, seed=1)
    assert [*files(tmp_path / "two" / "audit").values()] != bytes_of["one"]


def test_other_queries_change_nothing_of_what_is_hidden(tmp_path: Path) -> None:
    hardneg.mine(tables(), run_dir=tmp_path / "all", guard="off", **BM25)
    fewer = tables()
    gone = {"q00", "q11", "q12"}
    for name in ("queries", "qrels"):
        fewer[name] = [row for row in fewer[name] if row["query_id"] not in gone]
    hardneg.mine(fewer, run_dir=tmp_path / "fewer", guard="off", **BM25)
    every = hidden_pairs(tmp_path / "all", seed=2, repeat=3)
    assert hidden_pairs(tmp_path / "fewer", seed=2, repeat=3) == {p for p in every if p[0] not in gone}
    assert hidden_pairs(tmp_path / "all", seed=2, repeat=1) != every != hidden_pairs(tmp_path / "all", 3, 3)


def test_the_command_prints_and_writes(
    run: Path, drawn: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "audit", run, "--repeats", 1, "--json", "--max-queries", 25) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((run / "audit" / "audit.json").read_text("utf-8"))
    assert printed["queries"] == {
        "total": 40, "one_positive": 0, "several_positives": 40, "measured": 25,
    }  # fmt: skip
    assert call(monkeypatch, "audit", run, "--repeats", 1, "--max-queries", 25) == 0
    shown = capsys.readouterr().out
    for text in ("skip 5", "selection default", "relative margin", "promoted", "lower bound", "audit.svg"):
        assert text in shown


def test_a_source_is_mined_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"query": query["text"], "positive": [d["text"] for d in tables()["corpus"][12 * n : 12 * n + 4]]}
        for n, query in enumerate(tables()["queries"][::2])
    ]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    flags = ["--retriever", "bm25", "--depth", 30, "--repeats", 1, "--guard", "off"]
    assert call(monkeypatch, "audit", "pairs.jsonl", "--run-dir", "runs/a", *flags) == 0
    assert "--guard auto measures it too" in capsys.readouterr().out
    assert hardneg.open_run("runs/a").config["depth"] == 30
    found = json.loads(Path("runs/a/audit/audit.json").read_text("utf-8"))
    assert found["promotion"] == [] and not any(row["rule"] == "guard" for row in found["points"])
    assert call(monkeypatch, "audit", "runs/a", "--run-dir", "runs/b") == 2
    assert "is a run directory itself" in capsys.readouterr().err


def test_queries_of_one_positive_are_counted_and_not_measured(tmp_path: Path) -> None:
    mixed = tables()
    single = {f"q{number:02d}" for number in range(30)}
    mixed["qrels"] = [
        row for row in mixed["qrels"] if row["query_id"] not in single or row["doc_id"].endswith("-01")
    ]
    hardneg.mine(mixed, run_dir=tmp_path / "run", **BM25)
    found = hardneg.audit(tmp_path / "run", repeats=2)
    assert found["queries"] == {"total": 40, "one_positive": 30, "several_positives": 10, "measured": 10}
    assert found["judged_by"] == {"fit": 0, "prior": 2}
    notes = "\n".join(found["notes"])
    for text in (
        "30 of 40 queries have one positive",
        "only 10 queries could be measured",
        "shipped weights judged",
        "--max-miss-rate 0.1",
    ):
        assert text in notes
    assert found["miss_rates"] == []


def test_where_nothing_can_be_hidden_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hardneg.mine(tables(known=1), run_dir=tmp_path / "run", **BM25)
    assert call(monkeypatch, "audit", tmp_path / "run") == 2
    assert "error: nothing can be hidden: no query has two positives" in capsys.readouterr().err
    assert not (tmp_path / "run" / "audit").exists()


def test_given_rankings_without_vectors_or_positives_scores(tmp_path: Path) -> None:
    mined = hardneg.mine(tables(), run_dir=tmp_path / "bm25", guard="off", **BM25)
    lines = [
        f"{row['query_id']} Q0 {row['doc_id']} {row['rank']} {row['score']} own\n"
        for row in mined.candidates.to_pylist()
        if row["rank"] <= 12
    ]
    (tmp_path / "own.run").write_text("".join(lines), "utf-8")
    settings = {**BM25, "retriever": f"run:{tmp_path / 'own.run'}"}
    hardneg.mine(tables(), run_dir=tmp_path / "run", **settings)
    found = hardneg.audit(tmp_path / "run", repeats=1)
    assert found["judged_by"]["fit"] == 1
    assert point(found, "shift", window="0:")["yield"] == 1.0
    # Queries of whose known positives none has a score get nothing by a margin.
    assert point(found, "margin", margin=point_levels(found)[0])["negatives"] < 3 * 40


def point_levels(found: Mapping[str, Any]) -> list[float]:
    return [row["settings"]["margin"] for row in found["points"] if "margin" in row["settings"]]


def test_scores_of_several_retrievers_are_put_on_one_scale(tmp_path: Path) -> None:
    mined = hardneg.mine(tables(), run_dir=tmp_path / "bm25", guard="off", **BM25)
    lines = [
        f"{row['query_id']} Q0 {row['doc_id']} {row['rank']} {1000 + row['score'] / 9} own\n"
        for row in mined.candidates.to_pylist()
    ]
    (tmp_path / "own.run").write_text("".join(lines), "utf-8")
    settings = {**BM25, "retriever": ["bm25", f"own=run:{tmp_path / 'own.run'}"]}
    hardneg.mine(tables(), run_dir=tmp_path / "run", guard="off", **settings)
    found = hardneg.audit(tmp_path / "run", repeats=1)
    assert found["hardness_by"] == "standardised"
    # Both rank alike, so the shifts are those of BM25 alone, as hard but for the scale.
    alone = hardneg.audit(tmp_path / "bm25", repeats=1)
    for window in ("0:", "5:"):
        both, one = (point(which, "shift", window=window) for which in (found, alone))
        assert both["contamination"] == one["contamination"]
    scores = np.array([row["score"] for row in mined.candidates.to_pylist()], np.float64)
    wanted = (point(alone, "shift", window="0:")["hardness"]["mean_score"] - scores.mean()) / scores.std()
    assert point(found, "shift", window="0:")["hardness"]["mean_score"] == pytest.approx(wanted, rel=1e-4)


def test_without_the_chart_libraries_the_numbers_are_there(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "audit").mkdir(exist_ok=True)
    (run / "audit" / "audit.png").write_bytes(b"of an earlier audit")
    assert call(monkeypatch, "audit", run, "--repeats", 1, "--max-queries", 20) == 0
    output = capsys.readouterr()
    assert "pip install 'hardneg[charts]'" in output.err and "audit.json" in output.out
    assert [path.name for path in (run / "audit").iterdir()] == ["audit.json"]


def test_what_cannot_be_right_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'depth' is no setting of selection"):
        hardneg.audit(run, depth=10)
    with pytest.raises(InputError, match="no selection 'guarded'"):
        hardneg.audit(run, selection="guarded")
    with pytest.raises(UsageError, match="hide: must be below 1"):
        hardneg.audit(run, hide=1.5)
    with pytest.raises(UsageError, match="beyond the run's depth of 40"):
        hardneg.audit(run, window="10:90")
    with pytest.raises(UsageError, match="hide: "):
        hardneg.audit(tables(), run_dir=tmp_path / "new", hide=0)
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError):
        hardneg.audit(tmp_path / "nowhere")
