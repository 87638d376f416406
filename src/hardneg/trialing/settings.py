"""How fast each student learns where nobody says otherwise, and which settings are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hardneg.errors import UsageError
from hardneg.records import Budget
from hardneg.trialing.options import MOST_SEEDS, TrialOptions


@dataclass(frozen=True)
class Defaults:
    steps: int
    batch_size: int
    learning_rates: tuple[float, ...]
    temperatures: tuple[float, ...]


DEFAULTS: Mapping[str, Defaults] = {
    # At 0.1 the adapter sees less of the harm that hard negatives do to the model (docs/how-hard.md).
    "adapter": Defaults(400, 64, (3e-4, 1e-3), (0.05,)),
    "full": Defaults(100, 32, (1e-5, 3e-5), (0.05,)),
    "static": Defaults(300, 64, (1e-3, 3e-3), (0.05,)),
}
OWN = Defaults(300, 64, (1e-3,), (0.05,))
"""Of a student that a caller brings."""


def budgets(options: TrialOptions, student: str) -> list[Budget]:
    """The settings that are tried, of the first seed of batches; those after it are the trial's too.

    No two trial seeds share a seed of batches. Raises UsageError for a setting that is no number above 0.
    """
    seed = options.trial_seed * MOST_SEEDS
    base = DEFAULTS.get(student, OWN)
    rates = _numbers("learning_rate", options.learning_rate) or base.learning_rates
    temperatures = _numbers("softmax_temperature", options.softmax_temperature) or base.temperatures
    return [
        Budget(options.steps or base.steps, options.batch or base.batch_size, rate, temperature, seed)
        for rate in rates
        for temperature in temperatures
    ]


def seeded(budget: Budget, seed: int) -> Budget:
    return replace(budget, seed=seed)


def _numbers(key: str, given: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(_number(key, value) for value in given)


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"{key}: {value!r} is no number above 0")
    return number
