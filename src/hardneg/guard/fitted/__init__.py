"""The fitted guard: how likely a candidate is a positive without a label."""

from hardneg.guard.fitted.estimate import contamination
from hardneg.guard.fitted.features import Sight
from hardneg.guard.fitted.grid import Space
from hardneg.guard.fitted.judge import (
    SHIFTED,
    Judge,
    learn,
    of_like_width,
    of_one_text,
    prior_model,
    prior_of,
)
from hardneg.guard.fitted.judgments import Correction, calibrate
from hardneg.guard.fitted.lexical import Lexical
from hardneg.guard.fitted.likely_positive import LIKELY, PROMOTED, LikelyPositive
from hardneg.guard.fitted.measured import LEVEL, Stratum, measured_rate
from hardneg.guard.fitted.model import FOLDS, Model
from hardneg.guard.fitted.others import NEIGHBOURS, Company, Others, near_weights
from hardneg.guard.fitted.prior import shipped_weights
from hardneg.guard.fitted.regression import Weights

__all__ = [
    "FOLDS",
    "LEVEL",
    "LIKELY",
    "NEIGHBOURS",
    "PROMOTED",
    "SHIFTED",
    "Company",
    "Correction",
    "Judge",
    "Lexical",
    "LikelyPositive",
    "Model",
    "Others",
    "Sight",
    "Space",
    "Stratum",
    "Weights",
    "calibrate",
    "contamination",
    "learn",
    "measured_rate",
    "near_weights",
    "of_like_width",
    "of_one_text",
    "prior_model",
    "prior_of",
    "shipped_weights",
]
