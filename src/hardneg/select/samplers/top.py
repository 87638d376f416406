"""top: the highest first."""

from __future__ import annotations

import numpy as np

from hardneg.records import Block, Bool, Float32, Int32
from hardneg.select.draws import Float64
from hardneg.select.order_keys import first, smallest


class Top:
    """By value, ties by place in the block; candidates without a value come last, in the block's order."""

    def order(
        self,
        block: Block,
        eligible: Bool,
        value: Float32,
        reference: Float32,
        uniform: Float64,
        limit: int,
    ) -> Int32:
        unknown = np.isnan(value)
        if (unknown & eligible).any():
            value = np.where(unknown, np.float32(-np.inf), value)
        if not (value[:, 1:] > value[:, :-1]).any():  # most often the block lies in this order already
            unknown_before = unknown[:, :-1] & ~unknown[:, 1:]
            if not unknown_before.any():
                return first(eligible, limit)
        return smallest(-value, eligible, limit)
