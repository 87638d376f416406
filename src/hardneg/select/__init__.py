"""select: candidates → negatives, with a reason for every candidate and an outcome for every query."""

from __future__ import annotations

from hardneg.select.checks import check
from hardneg.select.draws import philox, stream_keys, uniforms
from hardneg.select.preview import GuardedBlock, Tally, alone, grid_configs, preview
from hardneg.select.reasons import DECISIONS, REASONS, Codes
from hardneg.select.select import Corpus, Selector
from hardneg.select.selection import OUTCOMES, SOURCES, Negatives, Positives, Selection, joined
from hardneg.select.suspects import STRATA, Suspects, draw_suspects
from hardneg.select.tables import (
    decision_table,
    negative_table,
    outcome_schema,
    outcome_table,
    positive_table,
)
from hardneg.select.window import deepest_rank

__all__ = [
    "DECISIONS",
    "OUTCOMES",
    "REASONS",
    "SOURCES",
    "STRATA",
    "Codes",
    "Corpus",
    "GuardedBlock",
    "Negatives",
    "Positives",
    "Selection",
    "Selector",
    "Suspects",
    "Tally",
    "alone",
    "check",
    "decision_table",
    "deepest_rank",
    "draw_suspects",
    "grid_configs",
    "joined",
    "negative_table",
    "outcome_schema",
    "outcome_table",
    "philox",
    "positive_table",
    "preview",
    "stream_keys",
    "uniforms",
]
