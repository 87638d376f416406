"""How fast each student learns where nobody says otherwise, and which settings are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hardneg.records import Budget
from hardneg.trialing.options import MOST_SEEDS, TrialOptions


@dataclass(frozen=True)
class Defaults:
    steps: int
    batch_size: int
    learning_rates: tuple[float, ...]
    temperatures: tuple[float, ...]


ADAPTER = "adapter"
MOST_EPOCHS = 40
"""How often a query is learned on average, at most, where nobody says how many steps: what the adapter's
steps are for the smallest collection that they were measured on (docs/how-hard.md). More only costs time."""

DEFAULTS: Mapping[str, Defaults] = {
    # At 0.1 the adapter sees less of the harm that hard negatives do to the model (docs/how-hard.md).
    ADAPTER: Defaults(400, 64, (3e-4, 1e-3), (0.05,)),
    "full": Defaults(100, 32, (1e-5, 3e-5), (0.05,)),
    "static": Defaults(300, 64, (1e-3, 3e-3), (0.05,)),
}
OWN = Defaults(300, 64, (1e-3,), (0.05,))
"""Of a student that a caller brings."""


def budgets(options: TrialOptions, student: str, learning: int) -> list[Budget]:
    """The settings that are tried, of the first seed of batches; those after it are the trial's too.

    learning  how many queries learn

    No two trial seeds share a seed of batches.
    """
    seed = options.trial_seed * MOST_SEEDS
    base = DEFAULTS.get(student, OWN)
    rates = tuple(map(float, options.learning_rate)) or base.learning_rates
    temperatures = tuple(map(float, options.softmax_temperature)) or base.temperatures
    batch_size = options.batch or base.batch_size
    of_batch = min(batch_size, learning)  # where fewer learn, they are the batch
    steps = options.steps or min(base.steps, -(-MOST_EPOCHS * learning // of_batch))
    return [
        Budget(steps, batch_size, rate, temperature, seed) for rate in rates for temperature in temperatures
    ]


def seeded(budget: Budget, seed: int) -> Budget:
    return replace(budget, seed=seed)
