"""What a call means: columns, deprecated names, the format, and the ranks to look at; or why it cannot be."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hardneg.config import SelectConfig, build, nearest
from hardneg.errors import UsageError
from hardneg.protocols import Kind

Format = Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"]
FORMATS: Sequence[Format] = get_args(Format)
SAMPLERS = ("random", "top")
_DECLARED: Mapping[Kind, Sequence[str]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Prompts that a model may declare for each kind of text; the first that it has."""

MOST_OF_A_GPU = 2048
"""Documents that FAISS finds for a query on a GPU."""

logger = logging.getLogger("hardneg.compat.sentence_transformers")


class ArgumentError(UsageError, ValueError):
    """A call that cannot be right. Also a ValueError, which is what callers of the original expect."""


def columns_of(names: Sequence[str], anchor: str | None, positive: str | None) -> tuple[str, str]:
    """The columns of queries and positives: the first and the second where they are not named."""
    for key, name in (("anchor_column_name", anchor), ("positive_column_name", positive)):
        if name and name not in names:
            raise ArgumentError(
                f"{key}: the dataset has no column {name!r}{nearest(name, names)}; "
                f"there are {', '.join(names)}"
            )
    if not positive and len(names) < 2:
        raise ArgumentError(
            "Dataset must contain at least two columns to select the positive column automatically; "
            f"it has {', '.join(names) or 'none'}"
        )
    found = anchor or names[0], positive or names[1]
    if found[0] == found[1]:
        raise ArgumentError(
            f"column {found[0]!r} would be both query and positive; name the other one "
            f"({'anchor_column_name' if positive else 'positive_column_name'})"
        )
    return found


def format_of(
    output_format: str, output_scores: bool, as_triplets: bool | None, include_positives: bool
) -> tuple[Format, bool]:
    """The format and whether scores are put out; old ways to say it are taken, with a warning."""
    if as_triplets is not None:
        output_format = "triplet" if as_triplets else "n-tuple"
        logger.warning("`as_triplets` is deprecated; write `output_format=%r`.", output_format)
    if output_format == "n-tuple-scores":
        logger.warning(
            '`output_format="n-tuple-scores"` is deprecated; write `output_format="n-tuple", '
            "output_scores=True`."
        )
        output_format, output_scores = "n-tuple", True
    if include_positives and output_format != "n-tuple":
        logger.warning(
            '`include_positives=True` keeps the order of the ranking, so `output_format` is "n-tuple".'
        )
        output_format = "n-tuple"
    for known in FORMATS:
        if output_format == known:
            return known, output_scores
    raise ArgumentError(
        f"Invalid output_format: {output_format}{nearest(str(output_format), FORMATS)}; "
        f"there are {', '.join(FORMATS)}"
    )


def margin_of(absolute_margin: float | None, margin: float | None) -> float | None:
    if margin is None:
        return absolute_margin
    logger.warning("`margin` is deprecated; write `absolute_margin=%s` or use `relative_margin`.", margin)
    return margin


def check_choices(sampling_strategy: str, faiss_batch_size: int, num_negatives: int) -> None:
    if faiss_batch_size <= 0:
        raise ArgumentError(f"faiss_batch_size must be a positive integer, got {faiss_batch_size}.")
    if num_negatives < 1:
        raise ArgumentError(f"num_negatives must be at least 1, got num_negatives={num_negatives}.")
    if sampling_strategy not in SAMPLERS:
        raise ArgumentError(f"sampling_strategy must be 'random' or 'top', got {sampling_strategy!r}.")


def warn_of_lost_positives(**settings: Any) -> None:
    """Says which settings may take positives out of a ranking that is meant to hold them."""
    given = [f"`{name}`" for name, (value, default) in settings.items() if value != default]
    if given:
        logger.warning(
            "`include_positives=True` keeps positives among the candidates, and %s may still discard the "
            "positive values.",
            ", ".join(given),
        )


def prompt_of(model: Any, kind: Kind, prompt: str | None, name: str | None) -> str | None:
    """What the model puts before a text of this kind; None where only the model can tell."""
    declared = getattr(model, "prompts", None)
    if prompt is not None or (declared is None and name is None):
        return prompt
    declared = declared or {}
    if name is None:
        default = getattr(model, "default_prompt_name", None)
        name = next((known for known in _DECLARED[kind] if known in declared), default)
    if name is not None and name not in declared:
        raise ArgumentError(
            f"the model has no prompt named {name!r}; it has {', '.join(map(repr, declared)) or 'none'}"
        )
    return "" if name is None else str(declared[name])


def rules_of(*, sampler: str, **settings: Any) -> SelectConfig:
    """The rules and the sampler in hardneg's terms; draws follow Python's own generator, as it is seeded."""
    seed = random.getrandbits(62) if sampler == "random" else 0
    values = {"sampler": sampler, "seed": seed, "reference": "min", "shortfall": "keep", **settings}
    config: SelectConfig = build(SelectConfig, values)
    return config


@dataclass(frozen=True)
class Ranks:
    """Which ranks are looked at, positives not counted: from behind the first `skipped` on the best
    `last - skipped` that pass the rules, among the `depth` best of all documents, positives counted."""

    skipped: int
    last: int
    depth: int

    @classmethod
    def of(
        cls,
        range_min: int,
        range_max: int | None,
        num_negatives: int,
        max_positives: int,
        *,
        filtered: bool,
        on_gpus: bool,
        say: Callable[[str], None],
    ) -> Ranks:
        """Where `range_max` is not given, one that leaves room for positives and for what is filtered."""
        capped = ""
        if range_max is None:
            range_max = range_min + num_negatives * (10 if filtered else 1) + max_positives
            if on_gpus and range_max + max_positives > MOST_OF_A_GPU:
                range_max = MOST_OF_A_GPU - max_positives
                capped = (
                    f" Note that range_max was capped to {range_max} because FAISS on GPU finds at most "
                    f"{MOST_OF_A_GPU} documents a query, positives among them; use_faiss=False lifts that."
                )
                say(
                    f"FAISS on GPU finds at most {MOST_OF_A_GPU} documents a query, positives among them. "
                    f"Setting range_max to {range_max}."
                )
            say(f"Setting range_max to {range_max} based on the provided parameters.")
        if range_min < 0:
            raise ArgumentError(f"range_min must be non-negative, got range_min={range_min}.")
        if range_min >= range_max:
            raise ArgumentError(
                f"range_min must be smaller than range_max, got range_min={range_min} and "
                f"range_max={range_max}.{capped}"
            )
        room = range_max - range_min
        if num_negatives > room:
            raise ArgumentError(
                f"Cannot mine {num_negatives} negatives per query: only {room} candidates remain after "
                f"range_min={range_min} of range_max={range_max}; take fewer negatives, a lower range_min "
                f"or a higher range_max.{capped}"
            )
        return cls(range_min, range_max, range_max + max_positives)
