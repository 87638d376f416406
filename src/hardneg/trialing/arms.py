"""What is compared: selections by their settings, each for itself, and no hard negatives at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import Any

IN_BATCH = "in-batch only"
UNTRAINED = "untrained"
NOTHING_ELIGIBLE = -1e30
"""A highest score that no candidate has: all negatives are drawn from the corpus then."""

_ALONE: Mapping[str, Any] = {"relative_margin": None, "shortfall": "keep"}
"""What is in force by default and is no part of another rule."""


@dataclass(frozen=True)
class Arm:
    """One way to choose negatives.

    settings   of the guard and select stages, in the place of the run's
    negatives  False: none but the other documents of a batch
    weighted   negatives count by 1 - p_false_negative
    taught     a teacher's scores are learned too, those of the scorer that the run has
    own        a selection of the run, with all of its settings
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    negatives: bool = True
    weighted: bool = False
    taught: bool = False
    own: bool = False

    @property
    def flags(self) -> str:
        """As on the command line of `hardneg select`."""
        return " ".join(_flag(key, value) for key, value in self.settings.items())


def _flag(key: str, value: Any) -> str:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    several = value if isinstance(value, tuple | list) else (value,)
    return " ".join(f"--{name} {'none' if one is None else quote(str(one))}" for one in several)


def default_arms(depth: int, guarded: bool, num_negatives: int = 4, scorer: str | None = None) -> list[Arm]:
    """The field's rules and the guard's, each for itself.

    depth    of the run: no window reaches beyond it
    guarded  whether a guard can judge
    scorer   whose scores the run stores, if any: they are a teacher's
    """
    far = min(depth, 210)
    margin = {"relative_margin": 0.05, "shortfall": "backfill"}
    arms = [
        Arm(IN_BATCH, negatives=False),
        Arm("random", {"max_score": NOTHING_ELIGIBLE, "shortfall": "backfill"}),
        Arm("top"),
        Arm("skip 10", {"window": "10:"}),
        Arm("skip 30", {"window": "30:"}),
        Arm(f"10:{far}, random", {"window": f"10:{far}", "sampler": "random"}),
        Arm("margin 5 %", margin),
        Arm("margin 5 %, not filled up", {**margin, "shortfall": "keep"}),
        Arm("margin 5 %, random", {**margin, "sampler": "random"}),
        Arm("margin 5 %, 1 negative", {**margin, "num_negatives": 1}),
        Arm("margin 5 %, 8 negatives", {**margin, "num_negatives": 8}),
    ]
    if guarded:
        arms += [
            Arm("guard 0.3", {"max_p": 0.3}),
            Arm("guard 0.05", {"max_p": 0.05}),
            Arm("guard 0.05, random", {"max_p": 0.05, "sampler": "random"}),
            Arm("guard 0.05, random, promoted", {"max_p": 0.05, "sampler": "random", "promote": 0.6}),
            Arm("margin 5 %, promoted", {**margin, "promote": 0.6}),
            Arm("margin 5 %, weighted", margin, weighted=True),
        ]
    if scorer is not None:
        # By the teacher's scores, so that a selection of these settings shows, and exports, what is learned;
        # random documents have none.
        taught = {"relative_margin": 0.05, "score_by": scorer}
        arms.append(Arm("margin 5 %, teacher scores", taught, taught=True))
    return [
        replace(arm, settings={**_ALONE, "num_negatives": num_negatives, **arm.settings})
        for arm in arms
        if _window_fits(arm.settings.get("window"), depth)
    ]


def _window_fits(window: str | None, depth: int) -> bool:
    return window is None or int(window.partition(":")[0]) < depth
