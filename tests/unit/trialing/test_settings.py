"""Which settings are tried."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.config import build
from hardneg.errors import UsageError
from hardneg.records import Budget
from hardneg.trialing import TrialOptions, budgets, seeded
from hardneg.trialing.options import MOST_SEEDS
from hardneg.trialing.settings import DEFAULTS, OWN


@pytest.mark.parametrize("student", [*DEFAULTS, "mine"])
def test_each_student_has_its_own_and_a_callers_those_of_any(student: str) -> None:
    base = DEFAULTS.get(student, OWN)
    found = budgets(TrialOptions(), student, 5000)
    assert {(one.steps, one.batch_size, one.seed) for one in found} == {(base.steps, base.batch_size, 0)}
    assert [(one.learning_rate, one.temperature) for one in found] == [
        (rate, temperature) for rate in base.learning_rates for temperature in base.temperatures
    ]


def test_what_is_given_is_taken() -> None:
    options = TrialOptions(
        steps=7, batch=3, learning_rate=("1e-3", "0.5"), softmax_temperature=("2", "0.1", "1")
    )
    found = budgets(options, "adapter", 2)
    assert found[0] == Budget(steps=7, batch_size=3, learning_rate=1e-3, temperature=2.0, seed=0)
    assert [(one.learning_rate, one.temperature) for one in found] == [
        (rate, temperature) for rate in (1e-3, 0.5) for temperature in (2, 0.1, 1)
    ]
    rates = {one.learning_rate for one in budgets(TrialOptions(softmax_temperature=("1",)), "full", 5000)}
    assert rates == set(DEFAULTS["full"].learning_rates)


@pytest.mark.parametrize("key", ["learning_rate", "softmax_temperature"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "fast", "", "1e-400"])
def test_what_is_no_number_above_0_is_refused(key: str, value: str) -> None:
    with pytest.raises(UsageError) as raised:
        build(TrialOptions, {key: ("0.1", value)})
    assert str(raised.value).startswith(f"{key}: {value!r} is no number above 0")


def test_numbers_are_taken_as_they_are_and_one_by_itself() -> None:
    found = build(TrialOptions, {"learning_rate": 1e-3, "softmax_temperature": [1, "0.5"]})
    settings = [(one.learning_rate, one.temperature) for one in budgets(found, "adapter", 5000)]
    assert settings == [(1e-3, 1.0), (1e-3, 0.5)]


@pytest.mark.parametrize(
    ("learning", "steps"), [(640, 400), (639, 400), (96, 60), (97, 61), (64, 40), (30, 40), (2, 40)]
)
def test_few_queries_are_learned_about_40_times(learning: int, steps: int) -> None:
    """Batches of 64: 400 of them are 40 times 640 queries. Of fewer than 64 queries all are one batch."""
    assert {one.steps for one in budgets(TrialOptions(), "adapter", learning)} == {steps}
    assert {one.steps for one in budgets(TrialOptions(steps=7), "adapter", learning)} == {7}


def test_no_two_trial_seeds_have_batches_of_one_seed_and_those_of_0_begin_at_0() -> None:
    first = [budgets(TrialOptions(trial_seed=seed), "adapter", 5000)[0].seed for seed in (0, 1, 2, 2**31 - 1)]
    assert first[0] == 0 and (np.diff(first) >= MOST_SEEDS).all()
    TrialOptions(seeds=MOST_SEEDS)
    with pytest.raises(ValueError):
        TrialOptions(seeds=MOST_SEEDS + 1)


def test_a_seed_changes_nothing_else() -> None:
    budget = budgets(TrialOptions(), "adapter", 5000)[-1]
    other = seeded(budget, 5)
    assert other.seed == 5 and budget.seed == 0 and seeded(other, 0) == budget
