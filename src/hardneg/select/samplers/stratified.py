"""stratified: equally many of each score band."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardneg.records import NO_DOC, Block, Bool, Float32, Int32
from hardneg.select.draws import Float64
from hardneg.select.order_keys import smallest


class Stratified:
    """The range from a query's lowest to its highest eligible score is cut into `bands` of equal width; a
    score on a cut belongs to the band below. One is drawn of each band in turn, from the top band on, at
    random within it; a band that is empty or used up is passed over.
    """

    def __init__(self, bands: int) -> None:
        self.bands = bands

    def order(
        self,
        block: Block,
        eligible: Bool,
        value: Float32,
        reference: Float32,
        uniform: Float64,
        limit: int,
    ) -> Int32:
        drawn = smallest(uniform, eligible, value.shape[1])
        there = drawn != NO_DOC
        band = np.take_along_axis(score_bands(value, eligible, self.bands), np.maximum(drawn, 0), axis=1)
        turn = np.zeros(drawn.shape, np.int64)
        for number in np.unique(band[there]):
            mine = there & (band == number)
            turn[mine] = np.cumsum(mine, axis=1)[mine]
        place = smallest((turn * self.bands + band).astype(np.float64), there, limit)
        chosen = np.take_along_axis(drawn, np.maximum(place, 0), axis=1)
        return np.where(place == NO_DOC, np.int32(NO_DOC), chosen)


def score_bands(value: Float32, eligible: Bool, bands: int) -> NDArray[np.int64]:
    """The band of each value, 0 the highest: int64 (rows, width), between 0 and `bands` - 1.

    Of `bands` cuts the highest value lies on the first, the lowest on the last; equal values are all band 0.
    """
    wide = value.astype(np.float64)
    top = np.where(eligible, wide, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    bottom = np.where(eligible, wide, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    with np.errstate(invalid="ignore"):
        extent = top - bottom
        depth = (top - wide) / np.where(extent > 0, extent, 1.0) * bands
    depth[~eligible] = 0.0
    band: NDArray[np.int64] = np.clip(np.floor(depth), 0, bands - 1).astype(np.int64)
    return band
