"""What became of a candidate: the reason codes of selection, in their stated order, and their numbers.

They follow the guard's. A candidate that several rules reject is counted under the first of them; under
reference `each`, where every positive chooses anew, under the reason of the positive that it came furthest
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

REASONS: Mapping[str, str] = {
    "excluded_query": "Its query is on the list of queries to leave out.",
    "no_positive_score": "Its query has no positive, or one without the score that a rule needs.",
    "window": "Its raw rank lies outside the window.",
    "no_score": "It has no finite score of the kind that a rule or the sampler needs.",
    "min_score": "Its score is below min_score.",
    "max_score": "Its score is above max_score.",
    "margin": "Its score is above the positive's less the margin.",
    "relative_margin": "Its score is above the positive's less that share of it.",
    "duplicate": "It has the text of a candidate placed before it, or of a given negative.",
    "max_reuse": "It serves as a negative of as many queries as it may.",
    "not_scored": "Its query was full before its turn came, so the scorer whose score decides never saw it.",
    "not_sampled": "It passed every rule, and enough others were preferred.",
    "not_needed": "It is a given negative beyond the number asked for.",
    "dropped": "It was chosen, but its query (or positive) got too few negatives and was dropped.",
    "selected": "It was chosen.",
    "given": "It came with the data as a negative, and was kept.",
}

CHOSEN = ("selected", "given")
LEFT = ("not_scored", "not_sampled", "not_needed", "dropped")
DECISIONS = ("selected", "left", "rejected", "excluded")
"""Chosen; passed every rule (of those that were asked) but was not taken; rejected by a rule of selection;
excluded by the guard."""


@dataclass(frozen=True)
class Codes:
    """All reason codes of a selection by number: 0 is none, then the guard's, then those above."""

    names: tuple[str, ...]
    num_guard: int

    @classmethod
    def after(cls, guard_codes: Sequence[str]) -> Codes:
        """From what the guard's `codes` gives, `""` first (which may be left out)."""
        guard = tuple(code for code in guard_codes if code)
        return cls(("", *guard, *REASONS), len(guard))

    def number(self, name: str) -> int:
        return self.names.index(name)

    def decision(self, number: int) -> str:
        """Which of DECISIONS a reason stands for."""
        if number <= self.num_guard:
            return "excluded"
        name = self.names[number]
        return "selected" if name in CHOSEN else "left" if name in LEFT else "rejected"
