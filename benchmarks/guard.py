"""The guard against the rules of the field, on judged collections with labels hidden; a table, and JSON.

MiniLM, 100 candidates that are not known positives, four negatives a query. Contamination is the share of
hidden positives among the negatives, each rule swept and read off at the mean score of "skip 10, take 4" and
"skip 5, take 4". The shipped weights are fitted anew without the collection that they are tested on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fit_prior import fit_prior
from hardneg.guard.fitted.estimate import contamination
from hardneg.guard.fitted.judge import Judge, learn
from hardneg.guard.fitted.model import FOLDS, Model
from hardneg.guard.fitted.regression import Weights
from hardneg.records import Float64
from judged import COLLECTIONS, Keep, Setting, candidates, hide, judged, report, shifted, taken
from measuring import print_table, write_result

RATES = (0.05, 0.1, 0.2, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="for the rules")
    parser.add_argument("--many-seeds", type=int, default=20, help="for what is promised on average")
    parser.add_argument("--collections", nargs="*", default=["nfcorpus", "cranfield"])
    asked = parser.parse_args()
    rules, rates, estimates = [], [], []
    for name in asked.collections:
        prior = fit_prior([other for other in COLLECTIONS if other != name])
        some = [judge_anew(name, 0.3, seed, prior) for seed in range(asked.many_seeds)]
        rules.append(compared(name, 0.3, some[: asked.seeds]))
        alone = [judge_anew(name, "one", seed, prior) for seed in range(asked.seeds)]
        rules.append(compared(name, "one", alone))
        rates += passed(name, some)
        estimates += left_over(name, some)
    for rows in (rules, rates, estimates):
        print_table(rows)
    write_result("guard", rules, conformal=rates, estimates=estimates)


@dataclass(frozen=True)
class Opinion:
    """log_odds  float64 (queries, width), NaN where nothing is asked; cuts: of each query, at RATES"""

    setting: Setting
    model: Model
    log_odds: Float64
    cuts: dict[float, Float64]


def judge_anew(name: str, keep: Keep, seed: int, prior: tuple[Weights, Weights]) -> Opinion:
    collection = judged(name)
    one = hide(collection, keep, seed)
    fold = (np.random.default_rng(7).permutation(len(collection.queries)) % FOLDS).astype(np.int32)
    sight, there = one.sight(prior[0]), candidates(one)
    model = learn([(one.block, there)], sight, prior[1], fold, queries=len(fold))
    cuts = {rate: model.cuts(rate)[fold] for rate in RATES} if model.held else {}
    return Opinion(one, model, Judge(sight, model, fold).log_odds(one.block, there), cuts)


def compared(name: str, keep: Keep, opinions: Sequence[Opinion]) -> dict[str, object]:
    """Contamination at equal hardness, and how many of the likeliest are positives: three candidates a query
    over all queries, and each query's own three."""
    found, likeliest, of_each = [], [], []
    for opinion in opinions:
        one = opinion.setting
        found.append(report(one, np.nan_to_num(opinion.log_odds, nan=0.0)))
        held = np.nan_to_num(opinion.log_odds, nan=-np.inf)
        order = np.argsort(-held, axis=1, kind="stable")[:, :3]
        of_each.append(np.take_along_axis(one.hidden, order, axis=1).mean())
        likeliest.append(one.hidden.ravel()[np.argsort(-held.ravel(), kind="stable")[: 3 * len(held)]].mean())
    mean = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
    return {
        "collection": name,
        "known": keep,
        "by": "fit" if opinions[0].model.fitted else "prior",
        **{key: round(value, 4) for key, value in mean.items()},
        "ratio 10": round(mean["margin 10"] / mean["guard 10"], 2),
        "ratio 5": round(mean["margin 5"] / mean["guard 5"], 2),
        "3 a query right": round(float(np.mean(likeliest)), 3),
        "each query's 3": round(float(np.mean(of_each)), 3),
    }


def passed(name: str, opinions: Sequence[Opinion]) -> list[dict[str, object]]:
    """The mean share of the hidden positives among the candidates that passes the cut."""
    rows = []
    for rate in RATES:
        shares = []
        for opinion in opinions:
            one = opinion.setting
            kept = opinion.log_odds < opinion.cuts[rate][:, None]
            hidden, left = one.hidden.sum(axis=1), (kept & one.hidden).sum(axis=1)
            there = candidates(one)
            dropped = 1 - (kept & there).sum() / there.sum()
            shares.append(
                (left.sum() / hidden.sum(), (left[hidden > 0] / hidden[hidden > 0]).mean(), dropped)
            )
        pooled, by_query, dropped = np.mean(shares, axis=0)
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


def left_over(name: str, opinions: Sequence[Opinion]) -> list[dict[str, object]]:
    """What the estimate says of some selections, and what is true of them."""
    found: dict[str, list[tuple[float, float, bool]]] = {}
    for opinion in opinions:
        one, model = opinion.setting, opinion.model
        there, score = candidates(one), one.block.scores["dense"]
        mean = np.nanmean(one.block.positive_scores["dense"], axis=1, keepdims=True)
        chosen = {
            "top": taken(there),
            "margin": taken(there & (score <= mean - 0.05 * np.abs(mean))),
            "guard": taken(there & (model.probability(opinion.log_odds) < 0.3)),
            "skip 10": shifted(one, 10),
        }
        for rule, mask in chosen.items():
            chance = model.probability(opinion.log_odds[mask])
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
