"""Quotas: at least so many negatives of a retriever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from hardneg.errors import UsageError
from hardneg.records import NO_DOC, Bool, Int32


def parse_quotas(values: Iterable[str]) -> dict[str, int]:
    """`NAME=N` → {NAME: N}, in order. Raises UsageError for what is none, or a name given twice."""
    quotas: dict[str, int] = {}
    for value in values:
        name, equals, number = value.rpartition("=")
        if not equals or not name or not re.fullmatch("[0-9]{1,9}", number) or int(number) < 1:
            raise UsageError(f"quota {value!r}: write NAME=N with N from 1 on, e.g. bm25=2")
        if name in quotas:
            raise UsageError(f"quota {value!r}: {name!r} has one already ({quotas[name]})")
        quotas[name] = int(number)
    return quotas


def quotas_first(order: Int32, found: Sequence[Bool], at_least: Sequence[int], need: Int32) -> Int32:
    """Move to the front what the quotas claim, in the order of preference; the rest follows as it was.

    order     int32 (rows, limit): places, best first, then NO_DOC
    found     for each quota, bool (rows, width): where that retriever found the candidate
    at_least  for each quota, how many; a candidate that fills two quotas counts for both
    need      int32 (rows,): how many are taken; where given negatives left too few, earlier quotas go first

    No more is claimed than is taken: else one that is not taken could decide, by filling a quota, who is.
    """
    there = order != NO_DOC
    claimed = np.zeros(order.shape, np.bool_)
    for mine, number in zip(found, at_least, strict=True):
        fits = there & np.take_along_axis(mine, np.maximum(order, 0), axis=1)
        room = need - np.count_nonzero(claimed, axis=1)
        missing = np.minimum(number - np.count_nonzero(claimed & fits, axis=1), room)
        free = fits & ~claimed
        claimed |= free & (np.cumsum(free, axis=1) <= missing[:, None])
    index = np.argsort(~claimed, axis=1, kind="stable")
    return np.take_along_axis(order, index, axis=1)
