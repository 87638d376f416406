"""What a scorer gave to a pair is not asked for again when a run is searched deeper, or its source grows."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import hardneg
from hardneg.plan import part_scores, retrieve
from hardneg.records import Float32

sys.path.insert(0, str(Path(__file__).parent))
from word_scorer import Alphabetical, Shared

WORDS = "anchor basalt candle delta ember falcon granite harbor island juniper kettle lagoon meadow".split()
RULES: dict[str, Any] = {
    "retriever": "bm25",
    "depth": 12,
    "num_negatives": 3,
    "guard": "off",
    "sampler": "top",
    "rescore": "all",
}


class Stopping(Shared):
    """It scores what it is first asked for, and no more."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        if self.asked:
            raise KeyboardInterrupt
        return super().score(pairs)


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(6, 12))) for _ in range(count)]


def source(documents: list[str], queries: list[str]) -> dict[str, Any]:
    return {
        "corpus": [{"doc_id": f"d{n:03d}", "text": text} for n, text in enumerate(documents)],
        "queries": [{"query_id": f"q{n:02d}", "text": text} for n, text in enumerate(queries)],
        "qrels": [{"query_id": f"q{n:02d}", "doc_id": f"d{n:03d}"} for n in range(len(queries))],
    }


DOCUMENTS, QUERIES = texts(80, 1), texts(20, 2)
NOW = source(DOCUMENTS, QUERIES)


@pytest.fixture(autouse=True, params=[4096, 7], ids=["one part", "parts"])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve, "QUERIES_A_PART", request.param)
    monkeypatch.setattr(part_scores, "PAIRS_KEPT_AT_ONCE", 50)


def mine(tables: Any, run: Path, scorer: Shared, **settings: Any) -> hardneg.Mined:
    return hardneg.mine(tables, run_dir=run, cross_encoder=scorer, **{**RULES, **settings})


def same(one: hardneg.Mined, other: hardneg.Mined) -> None:
    for table in ("candidates", "negatives", "positives", "decisions", "outcomes"):
        assert getattr(one, table).equals(getattr(other, table)), table


def asked_once(scorer: Shared) -> bool:
    return len(set(scorer.asked)) == len(scorer.asked)


def test_a_deeper_window_scores_only_what_it_finds(tmp_path: Path) -> None:
    scorer, alone = Shared(), Shared()
    first = mine(NOW, tmp_path / "run", scorer)
    deeper = first.select(name="default", window="1:30")
    assert asked_once(scorer)
    same(deeper, mine(NOW, tmp_path / "alone", alone, window="1:30", depth=30))
    assert set(scorer.asked) == set(alone.asked)


def test_mining_again_deeper_or_with_another_retriever_scores_only_what_is_new(tmp_path: Path) -> None:
    scorer = Shared()
    mine(NOW, tmp_path / "run", scorer)
    mine(NOW, tmp_path / "run", scorer, depth=25)
    other = mine(NOW, tmp_path / "run", scorer, depth=25, retriever=["bm25", Alphabetical()])
    assert asked_once(scorer)
    same(other, mine(NOW, tmp_path / "alone", Shared(), depth=25, retriever=["bm25", Alphabetical()]))


def test_short_queries_searched_deeper_keep_their_scores(tmp_path: Path) -> None:
    scorer, rules = Shared(), {"shortfall": "deepen", "max_score": 1.5, "num_negatives": 6, "depth": 6}
    found = mine(NOW, tmp_path / "run", scorer, **rules)
    assert list((tmp_path / "run" / "candidates").glob("deep-*.parquet"))
    assert found.candidates["shared"].null_count == 0
    assert asked_once(scorer)


def test_a_source_that_changed_scores_only_its_new_pairs(tmp_path: Path) -> None:
    """Rows move: a document goes from the middle, one changes, one and a query come in front."""
    documents = ["anchor basalt candle delta ember", *DOCUMENTS[:40], "kettle lagoon", *DOCUMENTS[41:]]
    changed = source(documents, ["ember falcon granite", *QUERIES])
    for side, key in (("corpus", "doc_id"), ("queries", "query_id")):
        for row in changed[side][1:]:
            row[key] = f"{row[key][0]}{int(row[key][1:]) - 1:0{len(row[key]) - 1}d}"
        changed[side][0][key] = "new"
    del changed["corpus"][60]
    changed["qrels"] = NOW["qrels"]
    scorer, alone = Shared(), Shared()
    mine(NOW, tmp_path / "run", scorer)
    before = len(scorer.asked)
    found = mine(changed, tmp_path / "run", scorer)
    same(found, mine(changed, tmp_path / "alone", alone))
    assert len(scorer.asked) - before < 0.6 * len(alone.asked)
    # Of a positive that was no candidate then no score is kept.
    assert len(scorer.asked) - len(set(scorer.asked)) <= len(QUERIES)


def test_a_source_that_changed_while_pairs_were_scored_leaves_no_score_of_other_texts(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        mine(NOW, tmp_path / "run", Stopping(), rescore="lazy", order_by="bm25")
    assert list((tmp_path / "run" / "rescoring").rglob("*.npz"))
    reversed_texts = source(DOCUMENTS[::-1], QUERIES)
    found = mine(reversed_texts, tmp_path / "run", Shared())
    same(found, mine(reversed_texts, tmp_path / "alone", Shared()))


def test_another_scorer_takes_none_of_the_kept_scores(tmp_path: Path) -> None:
    class Other(Shared):
        def fingerprint(self) -> dict[str, int]:
            return {"version": 2}

        def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
            return -super().score(pairs)

    mine(NOW, tmp_path / "run", Shared())
    found = mine(NOW, tmp_path / "run", Other(), depth=25)
    same(found, mine(NOW, tmp_path / "alone", Other(), depth=25))
