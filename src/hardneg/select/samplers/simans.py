"""simans: draw those whose score lies near the positive's."""

from __future__ import annotations

import numpy as np

from hardneg.records import Block, Bool, Float32, Int32
from hardneg.select.draws import Float64
from hardneg.select.samplers.weighted import draw


class SimANS:
    """p ∝ exp(-a (s - s⁺ - b)²): Zhou et al., "SimANS: Simple Ambiguous Negatives Sampling for Dense Text
    Retrieval", EMNLP 2022, arXiv 2210.11773.

    Against the paper: s⁺ is the score of the reference positive (`reference`: min, mean or max over the
    query's positives, or `each`), where the paper takes one positive. The draw is without replacement. The
    pool is what window, margins and the guard leave of the retriever's top, where the paper takes the top
    less the positives. The scores are the retriever's own; a is per squared unit of them, so that cosines,
    which differ by hundredths, want an a in the hundreds where inner products of raw vectors do with one near
    1.

    Against the published code: that has no b, and draws with replacement, so that a negative may come twice.
    """

    def __init__(self, a: float, b: float) -> None:
        self.a, self.b = a, b

    def order(
        self,
        block: Block,
        eligible: Bool,
        value: Float32,
        reference: Float32,
        uniform: Float64,
        limit: int,
    ) -> Int32:
        distance = value.astype(np.float64) - reference.astype(np.float64)[:, None] - self.b
        return draw(-self.a * distance**2, eligible, uniform, limit)
