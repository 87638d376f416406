"""Is the cheap student right? Rules compared by the adapter, by word vectors, and by fine-tuning the model.

One command: `python benchmarks/trial.py`. Collections: nfcorpus with 30 % and all of its training labels,
asked by its own test queries; scifact, split without shared documents; titles that ask for the abstracts of
scifact and of nfcorpus. Prints each student's table, Kendall's tau of the students' orders of the rules, and
the regret of each rule; writes results/trial.json. What was trained before is not trained again.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import hardneg
from hardneg.progress import Terminal
from hardneg.run_directory import RunDirectory
from measuring import print_table, shared_data, write_result

MARGIN = {"relative_margin": 0.05}
OFF: Mapping[str, Any] = {"relative_margin": None}
RULES: Mapping[str, Mapping[str, Any]] = {
    "random": {**OFF, "max_score": -1e30, "shortfall": "backfill"},
    "top": OFF,
    "skip-10": {**OFF, "window": "10:"},
    "skip-30": {**OFF, "window": "30:"},
    "10-210-random": {**OFF, "window": "10:210", "sampler": "random"},
    "margin": MARGIN,
    "margin-random": {**MARGIN, "sampler": "random"},
    "margin-promoted": {**MARGIN, "promote": 0.6},
    "margin-backfill": {**MARGIN, "shortfall": "backfill"},
    "guard-0.3": {**OFF, "max_p": 0.3},
    "guard-0.05": {**OFF, "max_p": 0.05},
    "guard-0.05-random": {**OFF, "max_p": 0.05, "sampler": "random"},
    "guard-0.05-random-promoted": {**OFF, "max_p": 0.05, "sampler": "random", "promote": 0.6},
    "guard-0.05-margin": {**MARGIN, "max_p": 0.05},
}
PEERS = ("top", "10-210-random", "margin")
"""What other tools ship."""
DEPTH = 210

BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "adapter": {},
    "static": {"learning_rate": ("3e-3",), "seeds": 2},
    # One seed and one setting: with a GPU ask for more by --full-steps and --seeds.
    "full": {"learning_rate": ("2e-5",), "softmax_temperature": ("0.05",), "trial_max_length": 128},
}


def nfcorpus(share: float) -> tuple[Any, dict[str, Any]]:
    folder = shared_data("nfcorpus")
    return kept(hardneg.load(str(folder)), share), {"evaluation": str(folder), "evaluation_split": "test"}


def kept(data: Any, share: float, seed: int = 0) -> Any:
    """The collection with this share of each query's positives, one at least, drawn at random."""
    query = data.qrels["query_id"].to_numpy(zero_copy_only=False)
    positive = data.qrels["relevance"].to_numpy() > 0
    draws, keep = np.random.default_rng(seed), np.zeros(len(query), np.bool_)
    for one in np.unique(query):
        own = np.flatnonzero((query == one) & positive)
        if len(own):
            keep[draws.choice(own, max(1, round(share * len(own))), replace=False)] = True
    return replace(data, qrels=data.qrels.filter(pa.array(keep)))


def titles(name: str) -> tuple[Any, dict[str, Any]]:
    """Every title asks for its own abstract; abstracts stand in the corpus without their titles."""
    corpus = hardneg.load(str(shared_data(name))).corpus
    rows = [row for row in corpus.to_pylist() if row["title"] and row["text"]]
    tables = {
        "corpus": [{"doc_id": row["doc_id"], "text": row["text"]} for row in rows],
        "queries": [{"query_id": row["doc_id"], "text": row["title"]} for row in rows],
        "qrels": [{"query_id": row["doc_id"], "doc_id": row["doc_id"], "relevance": 1.0} for row in rows],
    }
    return hardneg.load(tables), {"training_queries": 2500, "asked_queries": 700}


COLLECTIONS = {
    "nfcorpus-30": lambda: nfcorpus(0.3),
    "nfcorpus-100": lambda: nfcorpus(1.0),
    "scifact": lambda: (hardneg.load(str(shared_data("scifact"))), {}),
    "titles-scifact": lambda: titles("scifact"),
    "titles-nfcorpus": lambda: titles("nfcorpus"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collections", nargs="*", default=list(COLLECTIONS), choices=list(COLLECTIONS))
    parser.add_argument("--students", nargs="*", default=["adapter", "static"], choices=list(BUDGETS))
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES))
    parser.add_argument("--full-steps", type=int, default=75)
    parser.add_argument("--seeds", type=int, default=1, help="of the full student")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "hardneg-benchmark-trial")
    asked = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name in asked.collections:
        run, options = mined(name, asked.work / name)
        found[name] = {}
        for student in asked.students:
            budget = dict(BUDGETS[student])
            if student == "full":
                budget |= {"steps": asked.full_steps, "seeds": asked.seeds, "folds": 1}
                options = {key: value for key, value in options.items() if key != "folds"}
            print(f"\n{name}, student {student}", flush=True)
            found[name][student] = measured(run, asked.rules, student, {**options, **budget})
    rows = [row for name, of in found.items() for row in table(name, of)]
    agreed = [row for name, of in found.items() for row in agreement(name, of)]
    left = regrets(found)
    for some in (rows, agreed, left):
        if some:
            print()
            print_table(some)
    write_result("trial", rows, agreement=agreed, regret=left, splits=splits(found))


def mined(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The collection's run with a selection for each rule."""
    data, options = COLLECTIONS[name]()
    mined = hardneg.mine(data, run_dir=folder, depth=DEPTH, progress=Terminal(), **RULES["margin"])
    for rule, settings in RULES.items():
        if rule not in RunDirectory(folder).selections():
            mined.select(name=rule, **settings)
    return folder, options


def measured(run: Path, rules: Sequence[str], student: str, options: Mapping[str, Any]) -> dict[str, Any]:
    found = hardneg.trial(run, selections=rules, student=student, progress=Terminal(), **options)
    print_table(
        [
            {
                "rule": arm["name"],
                "nDCG@10": arm["measures"]["nDCG@10"]["mean"],
                "less untrained": arm.get("less untrained", {}).get("difference", 0.0),
                "less in-batch": arm.get("less in-batch only", {}).get("difference", 0.0),
                "group": "*" if arm["name"] in found["group"] else "",
            }
            for arm in found["arms"]
        ]
    )
    return found


def scores(found: Mapping[str, Any]) -> dict[str, float]:
    return {arm["name"]: arm["measures"]["nDCG@10"]["mean"] for arm in found["arms"]}


def table(name: str, of: Mapping[str, Any]) -> list[dict[str, Any]]:
    students = {student: scores(found) for student, found in of.items()}
    rules = list(next(iter(students.values())))
    return [
        {
            "collection": name,
            "rule": rule,
            **{student: round(values[rule], 4) for student, values in students.items()},
        }
        for rule in rules
    ]


def splits(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: next(iter(of.values()))["split"] for name, of in found.items()}


def agreement(name: str, of: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How alike two students order the rules, and what following the first costs the second."""
    from scipy.stats import kendalltau

    rows = []
    for one, other in itertools.combinations(of, 2):
        left, right = scores(of[one]), scores(of[other])
        rules = [rule for rule in left if rule in right and rule != "untrained"]
        taken = max((rule for rule in rules if rule != "in-batch only"), key=left.__getitem__)
        apart = told_apart(of[other])
        right_way = [left[a] > left[b] for a, b in apart if a in left and b in left]
        rows.append(
            {
                "collection": name,
                "students": f"{one}, {other}",
                "tau": round(float(kendalltau([left[r] for r in rules], [right[r] for r in rules])[0]), 3),
                "pairs told apart": len(right_way),
                "tau of those": round(2 * float(np.mean(right_way)) - 1, 3) if right_way else None,
                "followed": taken,
                "regret": round(max(right[rule] for rule in rules) - right[taken], 4),
            }
        )
    return rows


def told_apart(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The best of the rules with each that is worse beyond chance."""
    best = found["group"][0]
    return [
        (best, arm["name"])
        for arm in found["arms"]
        if arm["name"] not in found["group"] and arm["name"] != "untrained"
    ]


def regrets(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each rule loses against the best one, on average over collections and students."""
    every = {f"{name}, {student}": scores(of) for name, by in found.items() for student, of in by.items()}
    rules = [rule for rule in RULES if all(rule in values for values in every.values())]
    rows = []
    for rule in [*rules, "in-batch only"]:
        lost = {
            name: max(values[one] for one in [*rules, "in-batch only"]) - values[rule]
            for name, values in every.items()
        }
        rows.append(
            {
                "rule": rule,
                "mean regret": round(float(np.mean(list(lost.values()))), 4),
                "largest": round(max(lost.values()), 4),
                **{name: round(value, 4) for name, value in lost.items()},
            }
        )
    return sorted(rows, key=lambda row: row["mean regret"])


if __name__ == "__main__":
    main()
