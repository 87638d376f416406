"""softmax: p ∝ exp(score / temperature), drawn without replacement."""

from __future__ import annotations

import numpy as np

from hardneg.records import Block, Bool, Float32, Int32
from hardneg.select.draws import Float64
from hardneg.select.samplers.weighted import draw


class Softmax:
    """`temperature` is in units of the score: lower prefers the top more, higher comes near to `random`."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def order(
        self,
        block: Block,
        eligible: Bool,
        value: Float32,
        reference: Float32,
        uniform: Float64,
        limit: int,
    ) -> Int32:
        return draw(value.astype(np.float64) / self.temperature, eligible, uniform, limit)
