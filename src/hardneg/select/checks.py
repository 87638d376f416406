"""What can be known to be wrong before anything is chosen."""

from __future__ import annotations

from collections.abc import Iterable

from hardneg.config import SelectConfig, nearest
from hardneg.errors import UsageError
from hardneg.select.quota import parse_quotas
from hardneg.select.samplers import NEEDS_SCORES


def check(config: SelectConfig, retrievers: Iterable[str], scorers: Iterable[str]) -> None:
    """Raises UsageError for a name that is no retriever or scorer of the run, for quotas that cannot be met,
    and for a sampler that needs scores where nobody said whose."""
    retrievers, scorers = tuple(retrievers), tuple(scorers)
    for key in ("score_by", "order_by"):
        name = getattr(config, key)
        if name is not None and name not in retrievers + scorers:
            raise UsageError(f"{key}: {_unknown(name, retrievers + scorers)}")
    quotas = parse_quotas(config.quota)
    for name in quotas:
        if name not in retrievers:
            raise UsageError(f"quota: {_unknown(name, retrievers)}")
    if config.num_negatives != "all" and sum(quotas.values()) > config.num_negatives:
        raise UsageError(
            f"quota: {sum(quotas.values())} in all, but num_negatives is {config.num_negatives}; raise that"
        )
    named = config.order_by is not None or config.score_by is not None
    if config.sampler in NEEDS_SCORES and len(retrievers) > 1 and not named:
        raise UsageError(
            f"sampler {config.sampler!r} needs one score of the several there are "
            f"({', '.join(retrievers + scorers)}); name one with order_by or score_by"
        )


def _unknown(name: str, known: tuple[str, ...]) -> str:
    return f"{name!r} is none of this run ({', '.join(known)}){nearest(name, known)}"
