"""The student that a trial's options ask for."""

from __future__ import annotations

from hardneg.plan.trial_data import Data
from hardneg.protocols import Student
from hardneg.trialing import Adapter, TrialOptions


def opened(options: TrialOptions, data: Data) -> Student:
    return Adapter(options.side)
