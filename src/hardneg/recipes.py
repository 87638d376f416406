"""Rules that were published under a name, as settings of the select stage.

A recipe sets every key that decides its rules, so that nothing of an earlier selection stays beside it; what
a user sets beside the recipe wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hardneg.config import nearest
from hardneg.errors import UsageError

__all__ = ["RECIPES", "Recipe", "recipe_settings", "render_recipes"]

_NO_RULES: Mapping[str, Any] = {
    "window": None,
    "max_score": None,
    "min_score": None,
    "margin": None,
    "relative_margin": None,
    "reference": "mean",
    "sampler": "top",
    "quota": (),
    "max_reuse": None,
}


@dataclass(frozen=True)
class Recipe:
    """settings: keys of the select stage; source: where it is from; sentence: what it does."""

    settings: Mapping[str, Any]
    source: str
    sentence: str


def _recipe(source: str, sentence: str, **settings: Any) -> Recipe:
    return Recipe(MappingProxyType({**_NO_RULES, **settings}), source, sentence)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "bge": _recipe(
            "FlagEmbedding, scripts/hn_mine.py, with its defaults: range 10-210, 15 negatives",
            "15 at random of raw ranks 11 to 210.",
            window="10:210",
            sampler="random",
            num_negatives=15,
        ),
        "nv-retriever": _recipe(
            "NV-Retriever, arXiv 2407.15831, TopK-PercPos at 95 %",
            "The top 4 that score at most 95 % of the positive. The paper has one positive a query; "
            "here several count by their mean score (reference `each`: each by its own).",
            relative_margin=0.05,
            num_negatives=4,
        ),
        "simans": _recipe(
            "SimANS, arXiv 2210.11773; 15 negatives as in its published training scripts",
            "15 drawn with p ∝ exp(-a (s - s⁺ - b)²), a = 1 and b = 0 unless simans_a, simans_b say "
            "otherwise; cosine scores want an a in the hundreds.",
            sampler="simans",
            simans_a=1.0,
            simans_b=0.0,
            num_negatives=15,
        ),
        "shifted": _recipe(
            "top-k shifted by N, here 5: a baseline of NV-Retriever, arXiv 2407.15831, and others",
            "Skip the first 5 raw ranks, keep all that remain, in order.",
            window="5:",
            num_negatives="all",
        ),
    }
)


def recipe_settings(name: str) -> dict[str, Any]:
    """A recipe's settings, to be changed at will. Raises UsageError for an unknown name."""
    if name not in RECIPES:
        raise UsageError(f"no recipe {name!r}{nearest(name, RECIPES)} (there are {', '.join(RECIPES)})")
    return dict(RECIPES[name].settings)


def recipe_help() -> str:
    """One paragraph for `--recipe`: the names, each with its source."""
    known = "; ".join(f"{name} ({recipe.source})" for name, recipe in RECIPES.items())
    return f"Rules of a published recipe: {known}. `hardneg recipes` says more; flags beside it win."


def render_recipes() -> str:
    """For people: each recipe with what it does, the settings that make it, and its source."""
    return "\n\n".join(_render(name, recipe) for name, recipe in RECIPES.items())


def _render(name: str, recipe: Recipe) -> str:
    own = {key: value for key, value in recipe.settings.items() if _NO_RULES.get(key, ()) != value}
    settings = ", ".join(f"{key}={value}" for key, value in own.items())
    return f"{name}\n  {recipe.sentence}\n  {settings}\n  source: {recipe.source}"
