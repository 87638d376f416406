"""What rules would give, before one is chosen: yield, hardness and shortfall of a grid, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.config import SelectConfig, build
from hardneg.records import Block, Bool, Int32, Int64
from hardneg.select.select import Selector
from hardneg.select.selection import BACKFILL, DROPPED, EMPTY, FULL, INVALID, SHORT, Selection, UInt8

_OFF: Mapping[str, Any] = {
    "window": None,
    "max_score": None,
    "min_score": None,
    "margin": None,
    "relative_margin": None,
    "sampler": "top",
}

GRID: Mapping[str, Mapping[str, Any]] = {
    "top": {},
    "window 5:": {"window": "5:"},
    "window 10:": {"window": "10:"},
    "window 30:": {"window": "30:"},
    "window 10:{end}, random": {"window": "10:{end}", "sampler": "random"},
    "relative margin 0": {"relative_margin": 0.0},
    "relative margin 0.05": {"relative_margin": 0.05},
    "relative margin 0.1": {"relative_margin": 0.1},
    "relative margin 0.05, random": {"relative_margin": 0.05, "sampler": "random"},
}
"""Rules that the field uses; each for itself, all others off. {end}: 210, or the depth if less."""


@dataclass(frozen=True)
class GuardedBlock:
    """A block with what selection takes beside it; see `Selector.select`."""

    block: Block
    excluded: UInt8
    given: Int32 | None = None
    given_excluded: UInt8 | None = None
    left_out: Bool | None = None
    unscored: Bool | None = None

    @property
    def beside(self) -> dict[str, Any]:
        """What there is beside the block and what is excluded, by its name."""
        names = ("given", "given_excluded", "left_out", "unscored")
        return {name: values for name in names if (values := getattr(self, name)) is not None}

    def rows(self, rows: Int64) -> GuardedBlock:
        """Some of the queries."""
        some = {name: values[rows] for name, values in self.beside.items()}
        return GuardedBlock(self.block.rows(rows), self.excluded[rows], **some)


def grid_configs(config: SelectConfig, depth: int) -> dict[str, SelectConfig]:
    """The rules in force (`as configured`), then those of GRID with the rest of the configuration.

    Nothing is filled up or dropped: a preview shows how many queries a rule leaves short.
    """
    configs = {"as configured": config.model_copy(update={"shortfall": "keep"})}
    end = max(11, min(210, depth))
    for name, rule in GRID.items():
        filled = {key: value.format(end=end) if key == "window" else value for key, value in rule.items()}
        configs[name.format(end=end)] = alone(config, filled)
    return configs


def alone(config: SelectConfig, rule: Mapping[str, Any]) -> SelectConfig:
    """The configuration with this rule for itself: all others off, nothing filled up or dropped."""
    found: SelectConfig = build(SelectConfig, {**config.model_dump(), "shortfall": "keep", **_OFF, **rule})
    return found


def preview(
    blocks: Iterable[GuardedBlock],
    configs: Mapping[str, SelectConfig],
    selector: Callable[[SelectConfig], Selector],
) -> list[dict[str, Any]]:
    """A row for each configuration, from one pass over the blocks (ascending order of queries).

    selector  makes the Selector of a configuration, e.g. `lambda c: Selector(c, guard_codes, corpus)`

    A row holds `rule`; `queries` by outcome (`full`, `short`, `empty`, `invalid`); `negatives` in all;
    `negatives_a_query`, `full_share`; `missing`, how many negatives they lack (None for `all`); hardness
    as `mean_score` and `mean_rank` over the negatives that have them, None where none has. Where each
    score is its retriever's, and there are several, `mean_score_by_retriever` stands for `mean_score`.
    """
    sums = {name: Tally(config) for name, config in configs.items()}
    selectors = {name: selector(config) for name, config in configs.items()}
    for guarded in blocks:
        for name, one in selectors.items():
            sums[name].add(one.select(guarded.block, guarded.excluded, **guarded.beside))
    return [{"rule": name, **one.row()} for name, one in sums.items()]


class Tally:
    """Adds up selections of one configuration."""

    def __init__(self, config: SelectConfig) -> None:
        self._wanted = None if config.num_negatives == "all" else config.num_negatives
        self._outcomes = np.zeros(5, np.int64)
        self._one_scale = config.score_by is not None
        self._negatives = self._ranked = self._missing = 0
        self._rank = 0.0
        self._scores: dict[str, tuple[float, int]] = {}

    def add(self, selection: Selection) -> None:
        chosen = selection.negatives
        self._outcomes += np.bincount(selection.outcome, minlength=5)
        self._negatives += len(chosen.doc)
        own = chosen.source != BACKFILL
        scored, ranked = own & np.isfinite(chosen.score), own & (chosen.rank > 0)
        for number, name in [(-1, ""), *enumerate(selection.retrievers)]:
            of = chosen.score[scored & (chosen.retriever == number)]
            total, count = self._scores.get(name, (0.0, 0))
            self._scores[name] = total + float(of.sum(dtype=np.float64)), count + len(of)
        self._ranked += int(ranked.sum())
        self._rank += float(chosen.rank[ranked].sum(dtype=np.float64))
        self._missing += int(selection.missing[selection.outcome != DROPPED].sum())

    def hardness(self) -> dict[str, Any]:
        """Mean score and mean raw rank of the negatives that have one, backfill not counted."""
        mean = {name: total / count for name, (total, count) in sorted(self._scores.items()) if count}
        rank = self._rank / self._ranked if self._ranked else None
        if len(mean) > 1 and not self._one_scale:
            return {"mean_score": None, "mean_rank": rank, "mean_score_by_retriever": mean}
        totals, counts = zip(*self._scores.values(), strict=True) if self._scores else ((), ())
        return {"mean_score": sum(totals) / sum(counts) if sum(counts) else None, "mean_rank": rank}

    def row(self) -> dict[str, Any]:
        count = self._outcomes.tolist()
        queries = sum(count) - count[DROPPED]
        return {
            "queries": queries,
            "full": count[FULL],
            "short": count[SHORT],
            "empty": count[EMPTY],
            "invalid": count[INVALID],
            "negatives": self._negatives,
            "negatives_a_query": self._negatives / queries if queries else 0.0,
            "full_share": count[FULL] / queries if queries else 0.0,
            "missing": self._missing if self._wanted is not None else None,
            **self.hardness(),
        }
