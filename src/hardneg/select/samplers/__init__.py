"""The samplers by name: each says in which order it prefers the eligible candidates of a query."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from hardneg.config import SelectConfig
from hardneg.errors import UsageError
from hardneg.protocols import Sampler, Vectors

_CLASSES: Mapping[str, str] = {
    "top": "Top",
    "random": "Random",
    "softmax": "Softmax",
    "simans": "SimANS",
    "stratified": "Stratified",
    "diverse": "Diverse",
}

NEEDS_SCORES = frozenset({"softmax", "simans", "stratified", "diverse"})
"""Samplers that draw by score: a candidate without one cannot be drawn."""
NEEDS_REFERENCE = frozenset({"simans"})
NEEDS_DRAWS = frozenset({"random", "softmax", "simans", "stratified"})


def build_sampler(config: SelectConfig, documents: Vectors | None) -> Sampler:
    """The configured sampler. Raises UsageError where `diverse` has no stored vectors to look at."""
    settings: Mapping[str, Any] = {
        "softmax": {"temperature": config.temperature},
        "simans": {"a": config.simans_a, "b": config.simans_b},
        "stratified": {"bands": config.bands},
        "diverse": {"diversity": config.diversity, "documents": documents},
    }
    if config.sampler == "diverse" and documents is None:
        raise UsageError("sampler 'diverse' looks at stored vectors; add a dense retriever")
    module = import_module(f"hardneg.select.samplers.{config.sampler}")
    sampler: Sampler = getattr(module, _CLASSES[config.sampler])(**settings.get(config.sampler, {}))
    return sampler
