"""Candidates that are too likely positives to be negatives."""

from __future__ import annotations

import numpy as np

from hardneg.records import Block, Bool, Float32


class LikelyPositive:
    """The candidate's probability of being a positive is too high."""

    code = "likely_positive"

    def __init__(self, cut: Float32) -> None:
        """`cut` is float32 (queries of the run,): the probability from which candidates are left out."""
        self._cut = cut

    def exclude(self, block: Block) -> Bool:
        with np.errstate(invalid="ignore"):  # NaN: not judged, so not excluded here
            excluded: Bool = block.p_false_negative >= self._cut[block.query][:, None]
        return excluded
