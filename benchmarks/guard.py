"""The guard against the rules of the field, on judged collections with labels hidden; a table, and JSON.

MiniLM, 100 candidates that are not known positives, four negatives a query. Contamination is the share of
hidden positives among the negatives, each rule swept and read off at the mean score of "skip 10, take 4" and
"skip 5, take 4". The shipped weights are fitted anew without the collection that they are tested on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from fit_prior import fit_prior
from hardneg.guard.fitted.estimate import contamination
from hardneg.guard.fitted.judge import Judge, learn
from hardneg.guard.fitted.model import FOLDS
from judged import COLLECTIONS, Keep, candidates, hide, judged, report, shifted, taken
from measuring import print_table, write_result

RATES = (0.05, 0.1, 0.2, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--estimate-seeds", type=int, default=20)
    parser.add_argument("--collections", nargs="*", default=["nfcorpus", "cranfield"])
    asked = parser.parse_args()
    rules, rates, estimates = [], [], []
    for name in asked.collections:
        prior = fit_prior([other for other in COLLECTIONS if other != name])
        for keep in (0.3, "one"):
            rules.append(compare(name, keep, range(asked.seeds), prior))
        rates += conformal(name, range(asked.estimate_seeds), prior)
        estimates += left_over(name, range(asked.estimate_seeds), prior)
    print_table(rules)
    print_table(rates)
    print_table(estimates)
    write_result("guard", {"rules": rules, "conformal": rates, "estimates": estimates})


def fold_of(count: int) -> np.ndarray:
    return (np.random.default_rng(7).permutation(count) % FOLDS).astype(np.int32)


def judged_by(name: str, keep: Keep, seed: int, prior):
    """The setting, the model and its log-odds."""
    collection = judged(name)
    one, fold = hide(collection, keep, seed), fold_of(len(collection.queries))
    sight, there = one.sight(prior[0]), candidates(one)
    model = learn([(one.block, there)], sight, prior[1], fold, queries=len(fold))
    return one, model, Judge(sight, model, fold).log_odds(one.block, there), fold


def compare(name: str, keep: Keep, seeds: Sequence[int], prior) -> dict[str, object]:
    found, precision = [], []
    for seed in seeds:
        one, model, odds, _ = judged_by(name, keep, seed, prior)
        found.append(report(one, np.nan_to_num(odds, nan=0.0)))
        order = np.argsort(-np.nan_to_num(odds, nan=-np.inf), axis=1, kind="stable")[:, :3]
        precision.append(np.take_along_axis(one.hidden, order, axis=1).mean())
    mean = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
    return {
        "collection": name,
        "known": keep,
        "by": "fit" if model.fitted else "prior",
        **{key: round(value, 4) for key, value in mean.items()},
        "ratio 10": round(mean["margin 10"] / mean["guard 10"], 2),
        "ratio 5": round(mean["margin 5"] / mean["guard 5"], 2),
        "top 3 right": round(float(np.mean(precision)), 3),
    }


def conformal(name: str, seeds: Sequence[int], prior) -> list[dict[str, object]]:
    """The mean share of the hidden positives among the candidates that passes."""
    passed: dict[float, list[tuple[float, float, float]]] = {rate: [] for rate in RATES}
    for seed in seeds:
        one, model, odds, fold = judged_by(name, 0.3, seed, prior)
        for rate in RATES:
            kept = odds < model.cuts(rate)[fold][:, None]
            hidden = one.hidden.sum(axis=1)
            share = (kept & one.hidden).sum(axis=1)[hidden > 0] / hidden[hidden > 0]
            dropped = 1 - (kept & candidates(one)).sum() / candidates(one).sum()
            passed[rate].append(((kept & one.hidden).sum() / hidden.sum(), share.mean(), dropped))
    rows = []
    for rate in RATES:
        pooled, by_query, dropped = np.mean(passed[rate], axis=0)
        rows.append(
            {
                "collection": name,
                "asked": rate,
                "passed": round(float(pooled), 4),
                "passed, mean of queries": round(float(by_query), 4),
                "candidates dropped": round(float(dropped), 3),
            }
        )
    return rows


def left_over(name: str, seeds: Sequence[int], prior) -> list[dict[str, object]]:
    """What the estimate says of three selections, and what is true of them."""
    found: dict[str, list[tuple[float, float, bool]]] = {}
    for seed in seeds:
        one, model, odds, _ = judged_by(name, 0.3, seed, prior)
        there, score = candidates(one), one.block.scores["dense"]
        mean = np.nanmean(one.block.positive_scores["dense"], axis=1, keepdims=True)
        chosen = {
            "top": taken(there),
            "margin": taken(there & (score <= mean - 0.05 * np.abs(mean))),
            "guard": taken(there & (model.probability(odds) < 0.3)),
            "skip 10": shifted(one, 10),
        }
        for rule, mask in chosen.items():
            chance = model.probability(odds[mask])
            said = contamination(chance, np.nonzero(mask)[0], model.spread)
            true = float(one.hidden[mask].mean())
            found.setdefault(rule, []).append((true, said.share, said.low <= true <= said.high))
    rows = []
    for rule, values in found.items():
        true, said, inside = (np.array(column, np.float64) for column in zip(*values, strict=True))
        rows.append(
            {
                "collection": name,
                "rule": rule,
                "true": round(float(true.mean()), 4),
                "said": round(float(said.mean()), 4),
                "in the interval": f"{int(inside.sum())} of {len(inside)}",
                "median error": round(float(np.median(np.abs(said - true) / true)), 3),
            }
        )
    return rows


if __name__ == "__main__":
    main()
