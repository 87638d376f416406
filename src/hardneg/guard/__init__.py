"""guard: which candidates may never be negatives (hard exclusions), each with a reason code.

    TextClasses.build, Sketches.of ─▶ build_rules ─▶ apply_rules(block)

The first two look at texts and are stored; the rules work on blocks of row numbers.
"""

from hardneg.guard.alike_queries import alike_queries, like_any
from hardneg.guard.excluded_documents import ExcludedDocuments, excluded_documents
from hardneg.guard.excluded_queries import ExcludedQueries, excluded_queries
from hardneg.guard.members import block_of
from hardneg.guard.reasons import REASONS
from hardneg.guard.rules import apply_rules, build_rules, codes, describe_unmatched
from hardneg.guard.sketches import Sketches
from hardneg.guard.text_classes import TextClasses

__all__ = [
    "REASONS",
    "ExcludedDocuments",
    "ExcludedQueries",
    "Sketches",
    "TextClasses",
    "alike_queries",
    "apply_rules",
    "block_of",
    "build_rules",
    "codes",
    "describe_unmatched",
    "excluded_documents",
    "excluded_queries",
    "like_any",
]
