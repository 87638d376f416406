"""trial: students learn from different negatives, and are asked queries that they have not seen.

default_arms ─▶ Lesson ─▶ Student.train ─▶ Ranker ─▶ measured ─▶ compare
"""

from hardneg.trialing.adapter import Adapter
from hardneg.trialing.arms import IN_BATCH, UNTRAINED, Arm, default_arms
from hardneg.trialing.compare import FEWEST_QUERIES, Comparison, compare
from hardneg.trialing.fine_tuned import UNTAUGHT, FineTuned
from hardneg.trialing.lookup import looked_up
from hardneg.trialing.measures import DEPTH, MEASURES, NDCG, Answers, measured
from hardneg.trialing.options import TrialOptions
from hardneg.trialing.ranking import ranked
from hardneg.trialing.result import leak, result
from hardneg.trialing.settings import ADAPTER, budgets, seeded
from hardneg.trialing.split import (
    FOLDS,
    Folds,
    Groups,
    folds,
    learned_from,
    of_queries,
    shared,
)
from hardneg.trialing.static import Static, Words

__all__ = [
    "ADAPTER",
    "DEPTH",
    "FEWEST_QUERIES",
    "FOLDS",
    "IN_BATCH",
    "MEASURES",
    "NDCG",
    "UNTAUGHT",
    "UNTRAINED",
    "Adapter",
    "Answers",
    "Arm",
    "Comparison",
    "FineTuned",
    "Folds",
    "Groups",
    "Static",
    "TrialOptions",
    "Words",
    "budgets",
    "compare",
    "default_arms",
    "folds",
    "leak",
    "learned_from",
    "looked_up",
    "measured",
    "of_queries",
    "ranked",
    "result",
    "seeded",
    "shared",
]
