"""Is the cheap student right? Rules compared by the adapter, by word vectors, and by fine-tuning the model.

One command: `python benchmarks/trial.py`. Collections: nfcorpus with 30 % and all of its training labels,
asked by its own test queries; scifact, split without shared documents; titles that ask for the abstracts of
scifact and of nfcorpus. Prints each student's table, Kendall's tau of the students' orders of the rules, and
the regret of each rule; writes results/trial.json. What was trained before is not trained again, and what was
measured before (results/trial, by any machine) is in the tables: `--students` with nothing only prints.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import hardneg
from hardneg.progress import Terminal
from hardneg.run_directory import RunDirectory
from hardneg.trialing import IN_BATCH, UNTRAINED
from hardneg.trialing.measures import NDCG
from measuring import RESULTS, hardware, print_table, shared_data, write_result

MARGIN: Mapping[str, Any] = {"relative_margin": 0.05, "shortfall": "keep"}
OFF: Mapping[str, Any] = {"relative_margin": None, "shortfall": "keep"}
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
    # One seed: with a GPU ask for more by --full-steps, --full-seeds and --full-rate.
    "full": {"softmax_temperature": ("0.05",), "folds": 1},
}
STUDENTS = ("adapter", "static", "full-2e-5", "full-1e-4")
"""As in the tables: the model fine-tuned at two learning rates is two students."""
FEWEST_RULES = 8
ALIKE = 1.96
"""Standard errors that two rules must differ by, pair for pair, to be called different."""


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
    parser.add_argument("--full-batch", type=int)
    parser.add_argument("--full-length", type=int, default=128)
    parser.add_argument("--full-seeds", type=int, default=1)
    parser.add_argument("--full-rate", choices=["2e-5", "1e-4"], default="2e-5")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "hardneg-benchmark-trial")
    asked = parser.parse_args()
    full = {
        "steps": asked.full_steps,
        "batch": asked.full_batch,
        "trial_max_length": asked.full_length,
        "seeds": asked.full_seeds,
        "learning_rate": (asked.full_rate,),
    }
    budgets = {**BUDGETS, "full": {**BUDGETS["full"], **full}}
    for name in asked.collections:
        run, options = mined(name, asked.work / name)
        for student in asked.students:
            print(f"\n{name}, student {student}", flush=True)
            measure(run, asked.rules, student, {**options, **budgets[student]}, RESULTS / "trial")
    report(stored(RESULTS / "trial"))


def mined(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The collection's run with a selection for each rule."""
    data, options = COLLECTIONS[name]()
    mined = hardneg.mine(data, run_dir=folder, depth=DEPTH, progress=Terminal(), **RULES["margin"])
    for rule, settings in RULES.items():
        if rule not in RunDirectory(folder).selections():
            mined.select(name=rule, **settings)
    return folder, options


def measure(run: Path, rules: Sequence[str], student: str, options: Mapping[str, Any], folder: Path) -> None:
    """Try the rules, print the table, and keep what was found under the collection's and student's names."""
    found = hardneg.trial(run, selections=rules, student=student, progress=Terminal(), **options)
    print_table(
        [
            {
                "rule": arm["name"],
                NDCG: arm["measures"][NDCG]["mean"],
                "less untrained": arm.get(f"less {UNTRAINED}", {}).get("difference", 0.0),
                "less in-batch": arm.get(f"less {IN_BATCH}", {}).get("difference", 0.0),
                "group": "*" if arm["name"] in found["group"] else "",
            }
            for arm in found["arms"]
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    label = student if student != "full" else f"full-{options['learning_rate'][0]}"
    shutil.copy(run / "trial" / "values.parquet", folder / f"{run.name}--{label}.parquet")
    found["options"].pop("evaluation")  # a folder of this machine
    (folder / f"{run.name}--{label}.json").write_text(json.dumps({**found, "hardware": machine()}), "utf-8")


def machine() -> dict[str, Any]:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {**hardware(), "gpu": gpu}


@dataclass(frozen=True)
class Found:
    """What a student made of a collection.

    facts   trial.json
    values  rule → float64 (queries,): nDCG@10, the mean of the seeds
    """

    collection: str
    student: str
    facts: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def rules(self) -> list[str]:
        return [name for name in self.values if name != UNTRAINED]

    def mean(self, rule: str) -> float:
        return float(self.values[rule].mean())

    def apart(self) -> list[tuple[str, str]]:
        """Pairs of which the first is better beyond chance, each pair for itself."""
        pairs = itertools.permutations(self.rules, 2)
        return [(one, other) for one, other in pairs if self._deviations(one, other) > ALIKE]

    def _deviations(self, one: str, other: str) -> float:
        difference = self.values[one] - self.values[other]
        error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
        return float(difference.mean()) / error if error > 0 else 0.0


def stored(folder: Path) -> list[Found]:
    found = []
    for path in sorted(folder.glob("*--*.json")):
        collection, student = path.stem.split("--")
        table = pq.read_table(path.with_suffix(".parquet"))
        of_rule = {}
        for rule in dict.fromkeys(table["arm"].to_pylist()):
            own = table.filter(pc.equal(table["arm"], rule))
            seeds = len(own["seed"].unique())
            of_rule[rule] = own[NDCG].to_numpy().reshape(seeds, -1).mean(axis=0)
        found.append(Found(collection, student, json.loads(path.read_text("utf-8")), of_rule))
    order = list(itertools.product(COLLECTIONS, STUDENTS))
    return sorted(found, key=lambda one: order.index((one.collection, one.student)))


def report(found: Sequence[Found]) -> None:
    rows = [row for name in dict.fromkeys(one.collection for one in found) for row in table(name, found)]
    agreed = [
        agreement(one, other)
        for one, other in itertools.combinations(found, 2)
        if one.collection == other.collection
    ]
    left = regrets(found)
    beside = peers(found)
    for some in (rows, agreed, beside, left):
        if some:
            print()
            print_table(some)
    facts = {
        f"{one.collection}, {one.student}": {
            **{key: one.facts[key] for key in ("split", "queries", "seeds", "hardware", "told_apart")},
            "steps": one.facts["options"]["steps"],
            "taken": {
                arm["name"]: [arm["learning_rate"], arm["temperature"]]
                for arm in one.facts["arms"]
                if "learning_rate" in arm
            },
            "intervals": {arm["name"]: arm["measures"][NDCG] for arm in one.facts["arms"]},
            "less_untrained": {
                arm["name"]: arm[f"less {UNTRAINED}"]
                for arm in one.facts["arms"]
                if f"less {UNTRAINED}" in arm
            },
        }
        for one in found
    }
    write_result("trial", rows, agreement=agreed, peers=beside, regret=left, trials=facts)


def table(name: str, found: Sequence[Found]) -> list[dict[str, Any]]:
    """nDCG@10 of every rule by every student."""
    own = [one for one in found if one.collection == name]
    rows = []
    for rule in dict.fromkeys(rule for one in own for rule in one.values):
        row: dict[str, Any] = {"collection": name, "rule": rule}
        for student in STUDENTS:
            value = next(
                (one.mean(rule) for one in own if one.student == student and rule in one.values), None
            )
            row[student] = None if value is None else f"{value:.4f}"
        rows.append(row)
    return rows


def agreement(one: Found, other: Found) -> dict[str, Any]:
    """How alike two students order the rules, and what following the first costs the second."""
    from scipy.stats import kendalltau

    rules = [rule for rule in one.rules if rule in other.rules]
    left, right = [one.mean(rule) for rule in rules], [other.mean(rule) for rule in rules]
    negatives = [rule for rule in rules if rule != IN_BATCH]
    taken = max(negatives, key=one.mean)
    apart, also = other.apart(), set(one.apart())
    by_other = tau(apart, one, rules)
    by_both = tau([pair for pair in apart if pair in also or pair[::-1] in also], one, rules)
    return {
        "collection": one.collection,
        "students": f"{one.student}, {other.student}",
        "rules": len(rules),
        "tau": round(float(kendalltau(left, right)[0]), 3),
        "apart by the second": by_other[0],
        "tau of those": by_other[1],
        "apart by both": by_both[0],
        "tau of these": by_both[1],
        "followed": taken,
        "regret": round(max(right) - other.mean(taken), 4),
    }


def tau(apart: Sequence[tuple[str, str]], by: Found, rules: Sequence[str]) -> tuple[int, float | None]:
    """Of pairs that differ beyond chance: how many, and Kendall's tau of another student's order of them."""
    own = [by.mean(better) > by.mean(worse) for better, worse in apart if {better, worse} <= set(rules)]
    return len(own), round(2 * float(np.mean(own)) - 1, 3) if own else None


def peers(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The rule that the collection's adapter recommends against those of other tools, by every student."""
    rows = []
    for one in found:
        adapter = next(
            (of for of in found if of.collection == one.collection and of.student == "adapter"), None
        )
        if adapter is None:
            continue
        taken = max(
            (rule for rule in adapter.rules if rule in one.values and rule != IN_BATCH), key=adapter.mean
        )
        against = [rule for rule in PEERS if rule in one.values]
        less = {f"less {rule}": f"{one.mean(taken) - one.mean(rule):+.4f}" for rule in against}
        rows.append(
            {
                "collection": one.collection,
                "student": one.student,
                "recommended": taken,
                "less untrained": f"{one.mean(taken) - one.mean(UNTRAINED):+.4f}",
                "less in-batch": f"{one.mean(taken) - one.mean(IN_BATCH):+.4f}",
                **{f"less {rule}": less.get(f"less {rule}") for rule in PEERS},
                "peers better beyond chance": ", ".join(r for r in against if (r, taken) in one.apart())
                or "none",
            }
        )
    return rows


def at_own_rate(found: Sequence[Found], rules: Sequence[str]) -> list[dict[str, float]]:
    """Of each collection that was fine-tuned on: rule → nDCG@10 at the learning rate that suits it best.

    Best by the queries asked themselves, for all rules alike; a trial takes it on a part of the training.
    """
    own: dict[str, list[Found]] = {}
    for one in found:
        if one.student.startswith("full"):
            own.setdefault(one.collection, []).append(one)
    return [{rule: max(one.mean(rule) for one in some) for rule in rules} for some in own.values()]


def regrets(found: Sequence[Found]) -> list[dict[str, Any]]:
    """What each rule loses against the best one, on average over collections, by student.

    The first is the model fine-tuned, each rule at the learning rate that suits it best. Trials of few rules
    say nothing of the others and are left out.
    """
    found = [one for one in found if len(one.rules) >= FEWEST_RULES]
    rules = [rule for rule in [*RULES, IN_BATCH] if all(rule in one.values for one in found)]
    tuned = at_own_rate(found, rules)
    rows = []
    for rule in rules:
        lost = {
            f"{one.collection}, {one.student}": max(one.mean(best) for best in rules) - one.mean(rule)
            for one in found
        }
        by_student = {
            student: [value for name, value in lost.items() if name.endswith(f", {student}")]
            for student in STUDENTS
        }
        rows.append(
            {
                "rule": rule,
                "full, own rate": f"{np.mean([max(one[r] for r in rules) - one[rule] for one in tuned]):.4f}",
                "of all": f"{np.mean(list(lost.values())):.4f}",
                **{name: f"{np.mean(values):.4f}" for name, values in by_student.items() if values},
                "largest": f"{max(lost.values()):.4f}",
                "where": max(lost, key=lost.__getitem__),
            }
        )
    return sorted(rows, key=lambda row: float(row["full, own rate"]))


if __name__ == "__main__":
    main()
