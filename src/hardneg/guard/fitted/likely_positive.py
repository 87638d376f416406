"""Candidates that are too likely positives to be negatives."""

from __future__ import annotations

import numpy as np

from hardneg.records import Block, Bool, Float32

LIKELY, PROMOTED = "likely_positive", "promoted"


class LikelyPositive:
    """The candidate's probability of being a positive is too high."""

    def __init__(self, code: str, cut: Float32) -> None:
        """`cut` is float32 (queries of the run,): the probability from which candidates are left out."""
        self.code, self._cut = code, cut

    def exclude(self, block: Block) -> Bool:
        with np.errstate(invalid="ignore"):  # NaN: not judged, so not excluded here
            excluded: Bool = block.p_false_negative >= self._cut[block.query][:, None]
        return excluded
