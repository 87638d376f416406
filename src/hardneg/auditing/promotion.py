"""How many of the likeliest candidates are hidden positives: what promotion would get right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hardneg.records import Bool, Float32

CHANCES = (0.9, 0.8, 0.7, 0.5, 0.3)
COUNTS = (1, 3)

BARS = tuple(
    [f"p from {chance:g} on" for chance in CHANCES]
    + [f"likeliest {count} of a query" if count > 1 else "likeliest of a query" for count in COUNTS]
)


def likeliest(chance: Float32) -> Iterator[Bool]:
    """For each of BARS the candidates above it: bool (queries, width), of probabilities that may be NaN."""
    with np.errstate(invalid="ignore"):
        for bar in CHANCES:
            yield chance >= np.float32(bar)
    order = np.argsort(-np.nan_to_num(chance, nan=-1.0), axis=1, kind="stable")
    judged = np.isfinite(chance)
    for count in COUNTS:
        out = np.zeros(chance.shape, np.bool_)
        np.put_along_axis(out, order[:, :count], True, axis=1)
        yield out & judged
