"""random: every eligible candidate is as likely as any other."""

from __future__ import annotations

from hardneg.records import Block, Bool, Float32, Int32
from hardneg.select.draws import Float64
from hardneg.select.order_keys import smallest


class Random:
    """Without replacement: the lowest draws first."""

    def order(
        self,
        block: Block,
        eligible: Bool,
        value: Float32,
        reference: Float32,
        uniform: Float64,
        limit: int,
    ) -> Int32:
        return smallest(uniform, eligible, limit)
