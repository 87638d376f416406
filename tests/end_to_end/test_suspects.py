"""From suspects to judged labels and back: what people say changes positives, probabilities and the rate."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.errors import InputError, UsageError
from hardneg.spreadsheet import unmarked_cell

BM25: dict[str, Any] = {"retriever": "bm25", "relative_margin": None, "depth": 40}
Pair = tuple[str, str]


def collection(seed: int = 0, topics: int = 50, prefix: str = "") -> tuple[dict[str, Any], set[Pair]]:
    """Tables, and the pairs that are positives without a label: of six answers a topic three are labelled."""
    draw = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(1200)]
    corpus, queries, qrels, hidden = [], [], [], set()
    for topic in range(topics):
        asked, own = draw.choice(words, 4, replace=False), draw.choice(words, 12, replace=False)
        query_id = f"{prefix}q{topic}"
        queries.append({"query_id": query_id, "text": " ".join(asked)})
        for number in range(12):
            of_topic = draw.choice(own, 7, replace=False) if number < 6 else draw.choice(words, 7)
            text = [*draw.choice(asked, 2, replace=False), *of_topic]
            name = f"{prefix}d{topic:02d}-{number:02d}"
            corpus.append({"doc_id": name, "title": None, "text": " ".join(text)})
            if number < 3:
                qrels.append({"query_id": query_id, "doc_id": name, "relevance": 1.0})
            elif number < 6:
                hidden.add((query_id, name))
    return {"corpus": corpus, "queries": queries, "qrels": qrels}, hidden


def pairs_of(table: Any) -> list[Pair]:
    return [(row["query_id"], row["doc_id"]) for row in table.to_pylist()]


def chances_of(run: hardneg.Mined) -> dict[Pair, float | None]:
    rows = run.decisions.to_pylist()
    return {(row["query_id"], row["doc_id"]): row["p_false_negative"] for row in rows}


def filled_in(path: Path, hidden: set[Pair], rows: Callable[[list[Any]], Iterable[Any]] = list) -> Path:
    """A CSV of suspects with every `relevant` filled in; `rows` may drop or turn rows."""
    with path.open(newline="") as handle:
        found = list(csv.DictReader(handle))
    for row in found:
        pair = (unmarked_cell(row["query_id"]), unmarked_cell(row["doc_id"]))
        row["relevant"] = "TRUE" if pair in hidden else "no"
    judged = path.with_name(f"judged-{path.name}")
    with judged.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, found[0].keys())
        writer.writeheader()
        writer.writerows(rows(found))
    return judged


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[hardneg.Mined, set[Pair], Path]:
    """A run, its hidden positives, and its suspects judged."""
    folder = tmp_path_factory.mktemp("judged")
    tables, hidden = collection()
    run = hardneg.mine(tables, run_dir=folder / "run", **BM25)
    run.suspects(60, output=folder / "suspects.csv")
    return run, hidden, filled_in(folder / "suspects.csv", hidden)


Judged = tuple[hardneg.Mined, set[Pair], Path]


def test_suspects_are_negatives_of_the_selection_with_their_texts(mined: Judged) -> None:
    run, _, _ = mined
    table = run.suspects(60)
    rows = table.to_pylist()
    assert len(rows) == len(set(pairs_of(table))) == 60
    assert set(pairs_of(table)) <= set(pairs_of(run.negatives))
    texts = {row["doc_id"]: row["text"] for row in run.collection.corpus.to_pylist()}
    positives = set(pairs_of(run.positives))
    for row in rows:
        assert row["document"] == texts[row["doc_id"]] and row["relevant"] is None
        assert any(row["positive"] == texts[d] for q, d in positives if q == row["query_id"])
        assert (row["selection"], row["selection_size"]) == ("default", run.negatives.num_rows)
    riskiest = [row for row in rows if row["stratum"] == "riskiest"]
    highest = np.sort(run.negatives["p_false_negative"].to_numpy())[::-1][:30]
    assert sorted(row["p_false_negative"] for row in riskiest) == pytest.approx(sorted(highest))
    assert run.suspects(60).equals(table) and not run.suspects(60, seed=1).equals(table)


def test_confirmed_false_negatives_become_positives(mined: Judged, tmp_path: Path) -> None:
    run, hidden, labels = mined
    table = run.suspects(60)
    confirmed = set(pairs_of(table)) & hidden
    refuted = set(pairs_of(table)) - hidden
    assert len(confirmed) > 10 and len(refuted) > 10
    chosen = run.select(name="judged", labels=str(labels), max_p=0.4, promote=0.9)
    judged = [row for row in chosen.positives.to_pylist() if row["source"] == "judged"]
    assert {(row["query_id"], row["doc_id"]) for row in judged} == confirmed
    scores = {(row["query_id"], row["doc_id"]): row["score"] for row in run.candidates.to_pylist()}
    assert all(row["score"] == scores[row["query_id"], row["doc_id"]] for row in judged)
    assert not confirmed & set(pairs_of(chosen.negatives))
    for row in chosen.decisions.to_pylist():
        pair = (row["query_id"], row["doc_id"])
        if pair in confirmed:
            assert (row["reason"], row["p_false_negative"]) == ("positive", None)
        if pair in refuted:
            assert row["p_false_negative"] in (0, None)
            assert row["reason"] not in ("likely_positive", "promoted")
    # The others are judged by a guard that has learned from it.
    before, after = chances_of(run), chances_of(chosen)
    rest = [p for p in after if p not in refuted and after[p] is not None and before[p] is not None]
    assert sum(abs(after[p] - before[p]) > 0.01 for p in rest) > 100
    chosen.to("flagembedding", tmp_path / "train.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    texts = {row["doc_id"]: row["text"] for row in run.collection.corpus.to_pylist()}
    queries = {row["query_id"]: row["text"] for row in run.collection.queries.to_pylist()}
    written = {(line["query"], text) for line in lines for text in line["pos"]}
    assert {(queries[q], texts[d]) for q, d in confirmed} <= written
    query, doc = sorted(confirmed)[0]
    assert doc in {row["doc_id"] for row in chosen.inspect(query)["positives"]}
    # Another selection of the run knows nothing of it.
    assert set(run.positives["source"].to_pylist()) == {"labelled"}


@pytest.mark.parametrize("relevant", [True, False])
def test_a_pair_is_weighed_as_if_nobody_had_judged_it(mined: Judged, tmp_path: Path, relevant: bool) -> None:
    run, hidden, _ = mined
    (query, doc) = next(pair for pair in pairs_of(run.negatives) if (pair in hidden) == relevant)
    said = chances_of(run)[query, doc]
    assert said is not None
    path = tmp_path / "one.csv"
    path.write_text(f"query_id,doc_id,relevant\n{query},{doc},{relevant}\n")
    shift = run.select(name="one", labels=path).summary["guard"]["calibration"]["shift"]
    # The answer less what is said after the shift balances the pull towards none, of deviation one.
    after = 1 / (1 + np.exp(-(np.log(said / (1 - said)) + shift)))
    assert shift == pytest.approx(relevant - after, abs=1e-4)


def test_many_pairs_are_weighed_by_what_they_stand_for(mined: Judged, tmp_path: Path) -> None:
    """All are refuted, so that no positive is added and the guard sees what it saw before."""
    run, _, _ = mined
    run.suspects(30, output=tmp_path / "first.csv")
    run.select(name="fewer", num_negatives=2).suspects(40, output=tmp_path / "second.csv")
    known = sorted(pairs_of(run.positives))[0]  # a positive by the data's own labels stays one
    (tmp_path / "third.csv").write_text(f"query_id,doc_id,relevant\n{known[0]},{known[1]},no\n")
    files = [filled_in(tmp_path / f"{name}.csv", set()) for name in ("first", "second", "third")]
    weight: dict[Pair, float] = {}
    for path in files[:2]:
        with path.open(newline="") as handle:
            for row in csv.DictReader(handle):
                pair, stands_for = (row["query_id"], row["doc_id"]), 1 / float(row["inclusion_probability"])
                weight[pair] = max(weight.get(pair, 1.0), stands_for)
    chances, pairs = chances_of(run), sorted(weight)
    said = np.array([chances[pair] for pair in pairs], np.float64)
    share = np.array([weight[pair] for pair in pairs])
    share *= share.sum() / (share**2).sum()
    assert len(np.unique(share)) > 2
    summary = run.select(name="many", labels=[*map(str, files)]).summary
    assert summary["labels"]["not_used"]["own_positives"] == 1  # however often other pairs were drawn
    assert (summary["labels"]["relevant"], summary["labels"]["not_relevant"]) == (0, len(pairs))
    found = summary["guard"]["calibration"]
    after = 1 / (1 + (1 - said) / said * np.exp(-found["shift"]))
    assert found["judged"] == len(pairs)
    # The answers, all 0, less what is said after the shift balance the pull towards none, of deviation one.
    assert found["shift"] == pytest.approx(-share @ after, abs=1e-4)


def test_suspects_are_backfilled_ones_too_and_shown_beside_the_best_known_positive(mined: Judged) -> None:
    run, _, _ = mined
    settings = {"relative_margin": 0.4, "num_negatives": 12, "shortfall": "backfill", "promote": 0.5}
    chosen = run.select(name="filled-up", **settings)
    sources = chosen.negatives["source"].to_pylist()
    assert {"mined", "backfill"} <= set(sources)
    wanted = {
        pair
        for pair, source in zip(pairs_of(chosen.negatives), sources, strict=True)
        if source in ("mined", "backfill")
    }
    table = chosen.suspects(10_000)
    assert set(pairs_of(table)) == wanted and table.num_rows == len(wanted)
    texts = {row["doc_id"]: row["text"] for row in run.collection.corpus.to_pylist()}
    positives = chosen.positives.to_pylist()
    assert "promoted" in {row["source"] for row in positives}
    known = [row for row in positives if row["source"] != "promoted"]
    for row in table.to_pylist():
        scores = {one["doc_id"]: one["score"] for one in known if one["query_id"] == row["query_id"]}
        best = {texts[doc] for doc, score in scores.items() if score == max(scores.values())}
        assert row["positive"] in best and row["document"] == texts[row["doc_id"]]


def test_a_positive_without_a_score_is_shown_where_there_is_no_other(tmp_path: Path) -> None:
    tables, _ = collection(topics=6)
    lines = [
        f"q{topic} Q0 d{topic:02d}-{number:02d} {number + 1} {number - 20} own"
        for topic in range(6)
        for number in range(2 if topic else 3, 12)
    ]
    (tmp_path / "own.trec").write_text("\n".join(lines) + "\n")
    settings = {**BM25, "retriever": f"run:{tmp_path / 'own.trec'}", "guard": "off"}
    run = hardneg.mine(tables, run_dir=tmp_path / "run", **settings)
    texts = {row["doc_id"]: row["text"] for row in run.collection.corpus.to_pylist()}
    shown = {(row["query_id"], row["positive"]) for row in run.suspects(1000).to_pylist()}
    # Of three positives the third alone was found; of the first query none.
    assert shown == {(f"q{topic}", texts[f"d{topic:02d}-{2 if topic else 0:02d}"]) for topic in range(6)}


def test_a_number_or_seed_that_cannot_be_is_refused(mined: Judged) -> None:
    run, _, _ = mined
    for n, seed in ((0, 0), (1, -1), (1, 2**63)):
        with pytest.raises(UsageError, match="n: ask for at least one|seed: give a whole number"):
            run.suspects(n, seed=seed)
    assert run.suspects(1, seed=2**63 - 1).num_rows == 1


def test_searching_deeper_and_previews_know_the_judgments(mined: Judged, tmp_path: Path) -> None:
    tables, hidden = collection(topics=20)
    run = hardneg.mine(tables, run_dir=tmp_path / "run", **{**BM25, "depth": 6})
    path = tmp_path / "labels.csv"
    path.write_text("query_id,doc_id,relevant\n" + "".join(f"{q},{d},yes\n" for q, d in sorted(hidden)[::2]))
    deep = run.select(name="deep", labels=path, shortfall="deepen", num_negatives=7)
    assert set(deep.outcomes["outcome"].to_pylist()) == {"full"}
    assert not set(pairs_of(deep.negatives)) & set(sorted(hidden)[::2])
    plain = run.select(name="plain", shortfall="deepen", num_negatives=7)
    assert set(plain.positives["source"].to_pylist()) == {"labelled"}
    assert set(pairs_of(plain.negatives)) & set(sorted(hidden)[::2])
    assert run.preview(labels=path) != run.preview()


def test_the_rate_is_measured_with_its_interval(mined: Judged) -> None:
    run, hidden, labels = mined
    summary = run.select(name="rate", labels=str(labels)).summary
    negatives = pairs_of(run.negatives)
    true = sum(pair in hidden for pair in negatives) / len(negatives)
    (rate,) = summary["measured"]
    assert (rate["selection"], rate["negatives"], rate["judged"]) == ("default", len(negatives), 60)
    assert rate["low"] <= true <= rate["high"] and rate["not_judged"] == 0
    rows = run.suspects(60).to_pylist()
    by_hand = sum(
        1 / row["inclusion_probability"] for row in rows if (row["query_id"], row["doc_id"]) in hidden
    )
    assert rate["share"] == pytest.approx(by_hand / len(negatives))
    assert summary["labels"]["relevant"] + summary["labels"]["not_relevant"] == 60


def test_what_is_left_unjudged_makes_the_sample_smaller(mined: Judged, tmp_path: Path) -> None:
    run, hidden, _ = mined
    run.suspects(60, output=tmp_path / "s.csv")
    some = filled_in(tmp_path / "s.csv", hidden, lambda rows: rows[:40])
    (rate,) = run.select(name="some", labels=str(some)).summary["measured"]
    whole = run.suspects(60).to_pylist()[:40]
    sizes = {row["stratum"]: row["stratum_size"] for row in whole}
    by_hand = sum(
        size * np.mean([(r["query_id"], r["doc_id"]) in hidden for r in whole if r["stratum"] == stratum])
        for stratum, size in sizes.items()
    )
    assert rate["share"] == pytest.approx(by_hand / run.negatives.num_rows)
    assert (rate["judged"], rate["not_judged"]) == (40, 20)
    risky = filled_in(
        tmp_path / "s.csv", hidden, lambda rows: [r for r in rows if r["stratum"] == "riskiest"]
    )
    (rate,) = run.select(name="risky", labels=str(risky)).summary["measured"]
    assert rate["share"] is None and "of which nothing is judged" in rate["message"]


def bytes_of(run: hardneg.Mined, name: str) -> dict[str, bytes]:
    folder = run.run_dir / "selections" / name
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_order_of_rows_and_runs_change_no_byte(mined: Judged, tmp_path: Path) -> None:
    run, hidden, labels = mined
    run.suspects(60, output=tmp_path / "s.csv")
    turned = filled_in(tmp_path / "s.csv", hidden, lambda rows: rows[::-1])
    one = run.select(name="one", labels=str(labels))
    two = run.select(name="two", labels=str(turned))
    assert bytes_of(run, "one") == bytes_of(run, "two")
    assert "labels.parquet" in bytes_of(run, "one")
    assert one.summary["guard"] == two.summary["guard"] and one.summary["measured"] == two.summary["measured"]
    fresh = hardneg.mine(collection()[0], run_dir=tmp_path / "run", labels=str(labels), **BM25)
    assert bytes_of(fresh, "default") == bytes_of(run, "one")


def test_without_labels_nothing_changes(mined: Judged, tmp_path: Path) -> None:
    run, _, labels = mined
    run.select(name="with", labels=str(labels))
    run.select(name="without", seed=0)
    assert bytes_of(run, "without") == bytes_of(run, "default")
    with_labels = hardneg.mine(collection()[0], run_dir=tmp_path / "run", labels=[str(labels)], **BM25)
    with_labels.select(name="without", labels="none")
    assert bytes_of(with_labels, "without") == bytes_of(run, "default")


def test_plain_judgments_are_used_but_measure_nothing(mined: Judged, tmp_path: Path) -> None:
    run, hidden, _ = mined
    (query, doc), known = sorted(hidden)[0], pairs_of(run.positives)[0]
    beyond = next(
        d
        for d in run.collection.corpus["doc_id"].to_pylist()
        if (known[0], d) not in set(pairs_of(run.decisions))
    )
    answers = [(query, doc, True), (*known, False), (known[0], beyond, True)]
    rows = [{"qid": q, "doc_id": d, "relevant": relevant} for q, d, relevant in answers]
    path = tmp_path / "plain.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = run.select(name="plain", labels=str(path), relative_margin=0.05)
    (rate,) = chosen.summary["measured"]
    assert rate["share"] is None and "no drawing" in rate["message"]
    sources = {(r["query_id"], r["doc_id"]): r for r in chosen.positives.to_pylist()}
    assert sources[query, doc]["source"] == "judged"
    # The data's own label stands against a judgment; a positive that was no candidate is scored like others.
    assert sources[known]["source"] == "labelled"
    assert chosen.summary["labels"]["not_used"]["own_positives"] == 1
    assert sources[known[0], beyond]["source"] == "judged" and sources[known[0], beyond]["score"] is not None


def test_a_second_round_counts_what_the_first_found(mined: Judged, tmp_path: Path) -> None:
    run, hidden, labels = mined
    second = run.select(name="second", labels=str(labels))
    second.suspects(20, output=tmp_path / "more.csv")
    with (tmp_path / "more.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    before = [row for row in rows if row["stratum"] == "judged"]
    assert len(rows) == 20 + len(before) and before and all(row["relevant"] == "false" for row in before)
    chances, judged_before = chances_of(second), {(row["query_id"], row["doc_id"]) for row in before}
    asked = [chances[pair] or 0.0 for pair in pairs_of(second.negatives) if pair not in judged_before]
    riskiest = [chances[row["query_id"], row["doc_id"]] for row in rows if row["stratum"] == "riskiest"]
    assert sorted(riskiest) == sorted(asked)[-10:]
    assert {row["stratum_size"] for row in before} == {str(len(before))}
    assert {row["selection_size"] for row in rows} == {str(second.negatives.num_rows)}
    more = filled_in(tmp_path / "more.csv", hidden)
    third = second.select(name="third", labels=[str(labels), str(more)])
    rates = {rate["selection"]: rate for rate in third.summary["measured"]}
    negatives = pairs_of(second.negatives)
    true = sum(pair in hidden for pair in negatives) / len(negatives)
    assert set(rates) == {"default", "second"}
    assert rates["second"]["low"] <= true <= rates["second"]["high"]
    assert rates["second"]["negatives"] == len(negatives)


def test_the_hint_of_a_second_round_names_the_first_rounds_file(mined: Judged, tmp_path: Path) -> None:
    run, _, judged = mined
    run.select(name="judged", labels=[str(judged)])
    found = command("suspects", run.run_dir, "-n", 5, "--selection", "judged", "-o", tmp_path / "next.csv")
    hint = found.stdout.splitlines()[-1]
    assert hint.endswith(f" --labels {judged} --labels {tmp_path / 'next.csv'} --name judged-again")


def test_an_audit_says_that_it_sets_judged_labels_aside(mined: Judged) -> None:
    run, _, judged = mined
    chosen = run.select(name="to-audit", labels=[str(judged)])
    assert not any(note.startswith("judged labels") for note in run.audit(repeats=1, guard="off")["notes"])
    assert any(note.startswith("judged labels") for note in chosen.audit(repeats=1, guard="off")["notes"])


def test_ids_like_formulas_come_back(tmp_path: Path) -> None:
    tables, hidden = collection(topics=8, prefix="=")
    run = hardneg.mine(tables, run_dir=tmp_path / "run", guard="off", **BM25)
    table = run.suspects(1000, output=tmp_path / "s.csv")
    assert set(table["stratum"].to_pylist()) == {"random"}
    assert set(table["inclusion_probability"].to_pylist()) == {1.0}
    assert "\n=" not in (tmp_path / "s.csv").read_text()
    chosen = run.select(name="judged", labels=str(filled_in(tmp_path / "s.csv", hidden)))
    negatives = pairs_of(run.negatives)
    (rate,) = chosen.summary["measured"]
    share = sum(pair in hidden for pair in negatives) / len(negatives)
    assert rate["low"] == rate["share"] == rate["high"] == pytest.approx(share)
    judged = {(r["query_id"], r["doc_id"]) for r in chosen.positives.to_pylist() if r["source"] == "judged"}
    assert judged == set(negatives) & hidden


def test_each_counts_a_pair_once(tmp_path: Path) -> None:
    tables, _ = collection(topics=8)
    run = hardneg.mine(tables, run_dir=tmp_path / "run", reference="each", guard="off", **BM25)
    table = run.suspects(1000)
    assert sorted(pairs_of(table)) == sorted(set(pairs_of(run.negatives)))
    assert run.negatives.num_rows > table.num_rows


def test_work_that_is_there_is_not_overwritten(mined: Judged, tmp_path: Path) -> None:
    run, _, _ = mined
    path = tmp_path / "s.jsonl"
    run.suspects(10, output=path)
    run.suspects(10, output=path)
    with path.open("a") as handle:
        handle.write("\n")
    with pytest.raises(UsageError, match="may hold judgments"):
        run.suspects(10, output=path)
    with pytest.raises(UsageError, match="ends in .csv, .jsonl, .parquet"):
        run.suspects(10, output=tmp_path / "s.xlsx")
    with pytest.raises(InputError, match="has no selection 'none'"):
        hardneg.open_run(run.run_dir, selection="none").suspects(10)


def test_a_judged_positive_that_one_retriever_missed_gets_its_score(tmp_path: Path) -> None:
    tables, hidden = collection(topics=10)
    run_file = tmp_path / "other.trec"
    lines = [f"q{t} Q0 d{t:02d}-{11 - n:02d} {n + 1} {20 - n} other" for t in range(10) for n in range(12)]
    run_file.write_text("\n".join(lines) + "\n")
    settings = {**BM25, "retriever": ["bm25", f"other=run:{run_file}"], "depth": 8, "guard": "off"}
    run = hardneg.mine(tables, run_dir=tmp_path / "run", **settings)
    found = {(r["retriever"], r["query_id"], r["doc_id"]) for r in run.candidates.to_pylist()}
    missed = [pair for pair in hidden if ("bm25", *pair) in found and ("other", *pair) not in found]
    assert missed
    path = tmp_path / "labels.csv"
    path.write_text("query_id,doc_id,relevant\n" + "".join(f"{q},{d},1\n" for q, d in missed))
    # Margins by all retrievers: a positive without a score by one of them would make its query invalid.
    chosen = run.select(name="judged", labels=str(path), margin=-100, score_by=None, combine="all")
    assert set(chosen.outcomes["outcome"].to_pylist()) == {"full"}
    by_other = run.select(name="other", labels=str(path), score_by="other")
    scores = {(r["query_id"], r["doc_id"]): r["score"] for r in by_other.positives.to_pylist()}
    assert {pair: scores[pair] for pair in missed} == {(q, d): 9 + int(d[-2:]) for q, d in missed}


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-m", "hardneg", *map(str, arguments)]
    return subprocess.run(asked, capture_output=True, text=True, check=False, env={**os.environ})


def test_the_commands(mined: Judged, tmp_path: Path) -> None:
    run, hidden, _ = mined
    said = command("suspects", run.run_dir, "-n", 20, "--output", tmp_path / "s.csv", "--json", "--quiet")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["riskiest"] == 10
    labels = filled_in(tmp_path / "s.csv", hidden)
    said = command("select", run.run_dir, "--labels", labels, "--name", "command")
    assert said.returncode == 0, said.stderr
    assert "measured: " in said.stdout and "of selection 'default'" in said.stdout
    labels.write_text(labels.read_text().replace("TRUE", "perhaps"))
    wrong = command("select", run.run_dir, "--labels", labels, "--name", "wrong")
    assert wrong.returncode == 2
    assert "column 'relevant': must be true or false" in wrong.stderr and "Traceback" not in wrong.stderr
