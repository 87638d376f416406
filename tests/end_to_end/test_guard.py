"""The fitted guard in a run: it finds hidden positives, keeps to its promises, and says what it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.errors import UsageError
from hardneg.progress import Silent
from hardneg.report.summary import render_summary

BM25: dict[str, Any] = {"retriever": "bm25", "relative_margin": None, "depth": 60}


def collection(
    seed: int = 0, known: int = 3, topics: int = 60, order: int = 0
) -> tuple[dict[str, Any], set[Any]]:
    """Tables, and the pairs that are positives without a label.

    Topics of seven answers each, of which `known` are labelled, and seven texts that share the query's words
    but not the answers'.
    """
    draw = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(1500)]
    common = [f"common{number}" for number in range(40)]
    corpus, queries, qrels, hidden = [], [], [], set()
    for topic in range(topics):
        asked, own = draw.choice(words, 4, replace=False), draw.choice(words, 12, replace=False)
        queries.append({"query_id": f"q{topic}", "text": " ".join(asked)})
        for number in range(14):
            answer = number < 7
            of_topic = draw.choice(own, 7, replace=False) if answer else draw.choice(words, 7)
            text = [*draw.choice(asked, 2, replace=False), *of_topic, *draw.choice(common, 4)]
            name = f"d{topic:02d}-{number:02d}"
            corpus.append({"doc_id": name, "title": None, "text": " ".join(text)})
            if number < known:
                qrels.append({"query_id": f"q{topic}", "doc_id": name, "relevance": 1.0})
            elif answer:
                hidden.add((f"q{topic}", name))
    turn = np.random.default_rng(order)
    tables = {
        name: [rows[place] for place in (turn.permutation(len(rows)) if order else range(len(rows)))]
        for name, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels))
    }
    return tables, hidden


def share_hidden(mined: hardneg.Mined, hidden: set[Any]) -> float:
    rows = mined.negatives.select(["query_id", "doc_id"]).to_pylist()
    return sum((row["query_id"], row["doc_id"]) in hidden for row in rows) / len(rows)


def test_it_finds_what_the_margin_lets_pass(tmp_path: Path) -> None:
    tables, hidden = collection()
    # Not filled up: random documents would thin out what each rule lets pass.
    mined = hardneg.mine(tables, run_dir=tmp_path / "run", shortfall="keep", **BM25)
    before = share_hidden(mined, hidden)
    margin = share_hidden(mined.select(name="margin", relative_margin=0.05), hidden)
    guarded = mined.select(name="guarded", max_miss_rate=0.1)
    assert before > 0.3 and margin > 0.1
    assert share_hidden(guarded, hidden) < 0.3 * margin
    summary = guarded.summary
    assert summary["reasons"]["likely_positive"] > 100
    assert summary["guard"]["judged_by"] == "fit"
    assert summary["guard"]["hardness_without"]["mean_score"] > summary["hardness"]["mean_score"]


def test_at_most_the_asked_share_of_hidden_positives_passes(tmp_path: Path) -> None:
    passed, there = 0, 0
    for seed in range(3):
        tables, hidden = collection(seed)
        mined = hardneg.mine(tables, max_miss_rate=0.2, **BM25)
        for row in mined.decisions.to_pylist():
            if (row["query_id"], row["doc_id"]) in hidden:
                there += 1
                passed += row["reason"] != "likely_positive"
    assert there > 500 and passed / there <= 0.22


def test_the_estimate_is_near_the_truth(tmp_path: Path) -> None:
    tables, hidden = collection()
    mined = hardneg.mine(tables, **BM25)
    said, true = mined.summary["guard"]["false_negatives"], share_hidden(mined, hidden)
    assert said["low"] <= true <= said["high"]
    assert abs(said["share"] - true) <= true / 3


def test_every_candidate_has_its_probability(tmp_path: Path) -> None:
    tables, hidden = collection()
    mined = hardneg.mine(tables, **BM25)
    rows = mined.decisions.to_pylist()
    judged = [row for row in rows if row["reason"] not in ("positive", "near_duplicate")]
    assert all(0 <= row["p_false_negative"] <= 1 for row in judged)
    assert all(row["p_false_negative"] is None for row in rows if row["reason"] == "positive")
    chance = np.array([row["p_false_negative"] for row in judged])
    truth = np.array([(row["query_id"], row["doc_id"]) in hidden for row in judged])
    assert chance[truth].mean() > 3 * chance[~truth].mean()
    inspected = mined.inspect("q0")["candidates"]
    assert any(row["p_false_negative"] is not None for row in inspected)


def test_max_p_drops_from_there_on(tmp_path: Path) -> None:
    tables, _ = collection()
    mined = hardneg.mine(tables, run_dir=tmp_path / "run", max_p=0.25, **BM25)
    for row in mined.decisions.to_pylist():
        if row["p_false_negative"] is not None:
            assert (row["reason"] == "likely_positive") == (row["p_false_negative"] >= np.float32(0.25))


def test_single_positives_are_judged_by_the_shipped_weights(tmp_path: Path) -> None:
    tables, hidden = collection(known=1)
    mined = hardneg.mine(tables, run_dir=tmp_path / "run", **BM25)
    assert mined.summary["guard"]["judged_by"] == "prior"
    guarded = mined.select(name="guarded", max_p=0.03)
    assert share_hidden(guarded, hidden) < 0.6 * share_hidden(mined, hidden)
    with pytest.raises(UsageError, match="--max-miss-rate needs labels.*or --guard fit"):
        mined.select(name="none", max_miss_rate=0.1)
    with pytest.raises(UsageError, match="positives, one of them found; use --max-p$"):
        mined.select(name="none", max_miss_rate=0.1, guard="fit")


def test_shipped_weights_that_were_asked_for_are_not_blamed_on_the_labels(tmp_path: Path) -> None:
    lines: list[str] = []

    class Said(Silent):
        def say(self, line: str) -> None:
            lines.append(line)

    mined = hardneg.mine(collection()[0], progress=Said(), guard="prior", **BM25)
    assert "guard: shipped weights" in lines
    with pytest.raises(UsageError, match="--guard prior looks at none of them"):
        mined.select(name="none", max_miss_rate=0.1)
    notes = mined.audit(repeats=1)["notes"]
    assert any(note.startswith("not measured, for shipped weights keep to no miss rate") for note in notes)


def test_it_says_by_what_likely_positives_are_told() -> None:
    lines: list[str] = []

    class Said(Silent):
        def say(self, line: str) -> None:
            lines.append(line)

    mined = hardneg.mine(collection()[0], progress=Said(), **BM25)
    start = next(n for n, line in enumerate(lines) if line.startswith("guard: fitted on the labels"))
    weights = mined.summary["guard"]["weights"]
    weighty = sorted((-abs(weight), name) for name, weight in weights.items() if abs(weight) >= 0.1)
    table = lines[start + 1 : start + 1 + len(weighty)]
    assert [line.split("  ")[1] for line in table] == [name for _, name in weighty]
    assert [float(line.split()[-1]) for line in table] == [round(weights[name], 2) for _, name in weighty]
    assert weights["nearest positive, words"] > 0.1


def test_few_labels_are_fitted_on_where_that_is_asked_for(tmp_path: Path) -> None:
    tables, _ = collection(topics=12)
    by = {
        mode: hardneg.mine(tables, guard=mode, **BM25).summary["guard"]["judged_by"]
        for mode in ("auto", "fit", "prior")
    }
    assert by == {"auto": "prior", "fit": "fit", "prior": "prior"}


def test_the_given_completeness_is_believed(tmp_path: Path) -> None:
    tables, _ = collection()
    sums = {}
    for share in (0.25, 0.8):
        mined = hardneg.mine(tables, label_completeness=share, **BM25)
        assert mined.summary["guard"]["label_completeness"] == pytest.approx(share)
        rows = mined.decisions.to_pylist()
        known = sum(row["reason"] == "positive" for row in rows)
        # positives without a label: (1 - share) / share for each known one that was found
        sums[share] = sum(row["p_false_negative"] or 0.0 for row in rows) / known
        assert sums[share] == pytest.approx((1 - share) / share, rel=0.02)


@pytest.mark.parametrize(("known", "mode"), [(1, "auto"), (3, "prior")])
def test_the_given_completeness_is_believed_of_shipped_weights_too(known: int, mode: str) -> None:
    tables, _ = collection(known=known)
    for share in (0.25, 0.8):
        mined = hardneg.mine(tables, guard=mode, label_completeness=share, **BM25)
        assert mined.summary["guard"]["judged_by"] == "prior"
        assert mined.summary["guard"]["label_completeness"] == pytest.approx(share)
        rows = mined.decisions.to_pylist()
        found = sum(row["reason"] == "positive" for row in rows)
        total = sum(row["p_false_negative"] or 0.0 for row in rows)
        assert total / found == pytest.approx((1 - share) / share, rel=0.02)


def test_what_is_judged_at_one_depth_is_not_taken_for_another(tmp_path: Path) -> None:
    tables, _ = collection()
    hardneg.mine(tables, run_dir=tmp_path / "both", **BM25)
    shallow = {**BM25, "depth": 25}
    one = hardneg.mine(tables, run_dir=tmp_path / "both", **shallow)
    other = hardneg.mine(tables, run_dir=tmp_path / "fresh", **shallow)
    assert one.decisions.to_pylist() == other.decisions.to_pylist()


def test_what_one_setting_judged_is_not_taken_for_anothers(tmp_path: Path) -> None:
    tables, _ = collection(topics=25)
    (tmp_path / "left-out.txt").write_text("".join(f"d{topic:02d}-05\n" for topic in range(25)))
    mined = hardneg.mine(tables, run_dir=tmp_path / "one", **BM25)
    before = mined.decisions["p_false_negative"]
    for number, settings in enumerate(
        (
            {"guard": "prior"},
            {"label_completeness": 0.2},
            {"exclude_docs": str(tmp_path / "left-out.txt")},
        )
    ):
        again = mined.select(name=f"other-{number}", **settings)
        fresh = hardneg.mine(tables, run_dir=tmp_path / f"fresh-{number}", **BM25, **settings)
        assert again.decisions.to_pylist() == fresh.decisions.to_pylist()
        assert again.decisions["p_false_negative"] != before
    # The list's file is the same one, with other documents in it.
    (tmp_path / "left-out.txt").write_text("".join(f"d{topic:02d}-06\n" for topic in range(25)))
    again = mined.select(name="changed", exclude_docs=str(tmp_path / "left-out.txt"))
    fresh = hardneg.mine(
        tables, run_dir=tmp_path / "fresh", **BM25, exclude_docs=str(tmp_path / "left-out.txt")
    )
    assert again.decisions.to_pylist() == fresh.decisions.to_pylist()


def test_titles_that_are_joined_are_looked_at(tmp_path: Path) -> None:
    tables, _ = collection()
    for number, row in enumerate(tables["corpus"]):
        row["title"] = f"word{number % 3}"
    lines = [
        f"q{topic} Q0 d{topic:02d}-{number:02d} {number + 1} {20 - number} bm25"
        for topic in range(60)
        for number in range(14)
    ]
    (tmp_path / "given.trec").write_text("\n".join(lines) + "\n")
    given = {**BM25, "retriever": f"run:{tmp_path / 'given.trec'}", "run_dir": tmp_path / "run"}
    joined = hardneg.mine(tables, **given).decisions
    apart = hardneg.mine(tables, join_title=False, **given).decisions
    assert joined["p_false_negative"] != apart["p_false_negative"]


def test_off_is_off(tmp_path: Path) -> None:
    tables, _ = collection()
    mined = hardneg.mine(tables, run_dir=tmp_path / "run", guard="off", **BM25)
    assert mined.decisions["p_false_negative"].null_count == mined.decisions.num_rows
    assert "guard" not in mined.summary
    assert not (tmp_path / "run" / "guard" / "judged").exists()


def selection(run: Path, name: str = "default") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "selections" / name).iterdir())}


def test_order_parts_and_blocks_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**BM25, "max_miss_rate": 0.2}
    hardneg.mine(collection()[0], run_dir=tmp_path / "one", **settings)
    monkeypatch.setattr("hardneg.guard.fitted.judge.AT_ONCE", 3)
    monkeypatch.setattr("hardneg.plan.judging.QUERIES_AT_ONCE", 11)
    two = hardneg.mine(collection(order=5)[0], run_dir=tmp_path / "two", **settings)
    assert selection(tmp_path / "one") == selection(tmp_path / "two")
    monkeypatch.setattr("hardneg.plan.retrieve.QUERIES_A_PART", 7)
    parts = hardneg.mine(collection()[0], run_dir=tmp_path / "parts", **settings)
    assert parts.decisions.to_pylist() == two.decisions.to_pylist()


def test_choosing_again_judges_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mined = hardneg.mine(collection()[0], run_dir=tmp_path / "run", **BM25)

    def no_more(*_: object, **__: object) -> None:
        raise AssertionError("judged again")

    monkeypatch.setattr("hardneg.plan.judging.learn", no_more)
    monkeypatch.setattr("hardneg.plan.judging.Judge", no_more)
    again = mined.select(name="again", max_p=0.3, num_negatives=2)
    assert again.summary["guard"]["judged_by"] == "fit"
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["selections"]["again"]["config"]["max_p"] == 0.3


def test_a_text_of_two_queries_is_judged_by_weights_that_saw_neither(tmp_path: Path) -> None:
    from hardneg.config import Config
    from hardneg.plan.guarding import text_classes
    from hardneg.plan.judging import folds_of
    from hardneg.plan.prepare import reopen
    from hardneg.run_directory import RunDirectory

    rows = [
        {"query_id": str(n), "query": text, "positive": f"answer {n}"}
        for n, text in enumerate(["Same Text", "same  text", "another", "ＳＡＭＥ text"])
    ]
    mined = hardneg.mine(rows, run_dir=tmp_path / "run", **BM25)
    prepared = reopen(RunDirectory(mined.run_dir), Config(), Silent())
    fold = folds_of(text_classes(prepared, Config()))
    assert fold[0] == fold[1] == fold[3]


def test_queries_asked_twice_teach_nothing_of_their_own_labels(tmp_path: Path) -> None:
    tables, hidden = collection()
    once = hardneg.mine(tables, run_dir=tmp_path / "once", max_miss_rate=0.2, **BM25)
    for name in ("queries", "qrels"):
        again = [{**row, "query_id": f"z{row['query_id']}"} for row in tables[name]]
        tables[name] = [*tables[name], *again]
    for row in tables["queries"][60:]:
        row["text"] = row["text"].upper()
    twice = hardneg.mine(tables, run_dir=tmp_path / "twice", max_miss_rate=0.2, **BM25)
    rows = [row for row in twice.decisions.to_pylist() if (row["query_id"], row["doc_id"]) in hidden]
    assert np.mean([row["reason"] != "likely_positive" for row in rows]) < 0.22
    said, alone = (mined.summary["guard"] for mined in (twice, once))
    assert said["label_completeness"] == pytest.approx(alone["label_completeness"], abs=0.1)
    for name in ("near queries", "company", "popularity"):
        assert said["weights"][name] == pytest.approx(alone["weights"][name], abs=0.15)


def test_promoted_candidates_become_positives_marked_as_such(tmp_path: Path) -> None:
    tables, hidden = collection()
    mined = hardneg.mine(tables, run_dir=tmp_path / "run", **BM25)
    chosen = mined.select(name="more", promote_precision=0.8, max_p=0.3)
    promoted = [row for row in chosen.positives.to_pylist() if row["source"] == "promoted"]
    right = [(row["query_id"], row["doc_id"]) in hidden for row in promoted]
    assert len(promoted) > 100 and np.mean(right) > 0.7
    said = chosen.summary["guard"]["promoted"]
    assert said["total"] == len(promoted)
    # Asked for 0.8 and cut there; what is really right may be more, hardly less.
    assert (
        said["precision"] == pytest.approx(0.8, abs=0.02)
        and -0.05 < np.mean(right) - said["precision"] < 0.25
    )
    reasons = {(row["query_id"], row["doc_id"]): row for row in chosen.decisions.to_pylist()}
    for row in promoted:
        decision = reasons[row["query_id"], row["doc_id"]]
        assert decision["reason"] == "promoted"
        assert decision["p_false_negative"] == row["p_false_negative"]
    labelled = [row for row in chosen.positives.to_pylist() if row["source"] == "labelled"]
    assert {(row["query_id"], row["doc_id"]) for row in labelled} <= {
        (row["query_id"], row["doc_id"]) for row in tables["qrels"]
    }
    assert all(row["p_false_negative"] is None for row in labelled)
    chosen.to("flagembedding", tmp_path / "train.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert sum(len(line["pos"]) for line in lines) == len(promoted) + len(labelled)
    chosen.to("st-labeled-pair", tmp_path / "soft.jsonl", soft_labels=True)
    text = {row["text"]: row["doc_id"] for row in tables["corpus"]}
    asked = {row["text"]: row["query_id"] for row in tables["queries"]}
    soft = {
        (asked[row["query"]], text[row["document"]]): row["label"]
        for row in map(json.loads, (tmp_path / "soft.jsonl").read_text().splitlines())
    }
    for row in [*promoted, *chosen.negatives.to_pylist()]:
        assert soft[row["query_id"], row["doc_id"]] == pytest.approx(row["p_false_negative"], abs=1e-6)
    assert all(soft[row["query_id"], row["doc_id"]] == 1.0 for row in labelled)
    with pytest.raises(UsageError, match="no place for soft-labels"):
        chosen.to("flagembedding", soft_labels=True)
    with pytest.raises(UsageError, match="give one of them"):
        chosen.to("st-labeled-pair", soft_labels=True, scores=True)
    # What both cost: without the guard the selection would be the first one.
    assert chosen.summary["guard"]["hardness_without"] == mined.summary["hardness"]
    alone = mined.select(name="alone", promote=0.3)
    assert alone.summary["guard"]["hardness_without"] == mined.summary["hardness"]
    none = mined.select(name="none", promote=1.0)
    assert none.summary["guard"]["promoted"] == {"total": 0, "precision": None}
    assert "0 candidates made positives" in render_summary(none.summary)
    # Another selection of the run knows nothing of it.
    assert mined.positives["p_false_negative"].null_count == mined.positives.num_rows


def test_documents_of_one_text_have_one_probability(tmp_path: Path) -> None:
    tables, _ = collection()
    copies = [{**row, "doc_id": f"copy-{row['doc_id']}"} for row in tables["corpus"]]
    # What is a positive of one query is judged for another that asks for the same, by its label alone.
    again = [{**row, "query_id": f"again-{row['query_id']}"} for row in tables["queries"]]
    for row in again:
        row["text"] = f"{row['text']} common1"
    labels = [{**row, "query_id": f"again-{row['query_id']}"} for row in tables["qrels"][::3]]
    twice = {
        "corpus": [*tables["corpus"], *copies],
        "queries": [*tables["queries"], *again],
        "qrels": [*tables["qrels"], *labels],
    }
    mined = hardneg.mine(twice, run_dir=tmp_path / "run", promote=0.3, **BM25)
    chances: dict[Any, set[Any]] = {}
    for row in mined.decisions.to_pylist():
        if row["p_false_negative"] is not None:
            pair = row["query_id"], row["doc_id"].removeprefix("copy-")
            chances.setdefault(pair, set()).add(row["p_false_negative"])
    assert len(chances) > 1000 and all(len(found) == 1 for found in chances.values())
    texts = {
        table: {
            (row["query_id"], row["doc_id"].removeprefix("copy-"))
            for row in getattr(mined, table).to_pylist()
        }
        for table in ("positives", "negatives")
    }
    assert not texts["positives"] & texts["negatives"]


def test_a_given_negative_is_never_promoted(tmp_path: Path) -> None:
    tables, hidden = collection()
    text = {row["doc_id"]: row["text"] for row in tables["corpus"]}
    known: dict[str, list[str]] = {}
    for row in tables["qrels"]:
        known.setdefault(row["query_id"], []).append(text[row["doc_id"]])
    given = {query: text[doc] for query, doc in sorted(hidden)}
    rows = [
        {
            "query": row["text"],
            "positive": known[row["query_id"]],
            "negative": [given[row["query_id"]], text[f"d{number:02d}-13"]],
        }
        for number, row in enumerate(tables["queries"])
    ]
    pool = tmp_path / "corpus.jsonl"
    pool.write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in tables["corpus"]))
    mined = hardneg.mine(rows, corpus=str(pool), run_dir=tmp_path / "run", promote=0.3, **BM25)
    pairs = {
        table: {(row["query_id"], row["doc_id"]) for row in getattr(mined, table).to_pylist()}
        for table in ("positives", "negatives")
    }
    assert mined.summary["guard"]["promoted"]["total"] > 50
    assert mined.summary["negatives"]["sources"]["given"] == 120
    assert not pairs["positives"] & pairs["negatives"]
    mined.to("flagembedding", tmp_path / "train.jsonl")


def test_a_rate_that_the_labels_cannot_keep_to_is_refused(tmp_path: Path) -> None:
    tables, _ = collection(topics=25)
    mined = hardneg.mine(tables, guard="fit", **BM25)
    with pytest.raises(UsageError, match="--max-miss-rate 0.01: the labels of too few queries"):
        mined.select(name="none", max_miss_rate=0.01)


def test_a_run_of_two_queries_is_judged(tmp_path: Path) -> None:
    rows = [
        {"query": "a river", "positive": ["the river", "a mill"]},
        {"query": "a mill", "positive": "a river mill"},
    ]
    for mode in ("auto", "fit", "prior"):
        assert hardneg.mine(rows, guard=mode, **BM25).summary["guard"] is not None
