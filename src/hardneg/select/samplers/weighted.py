"""Drawing without replacement with given probabilities: the Gumbel-top-k trick.

Kool, van Hoof and Welling, "Stochastic Beams and Where to Find Them", ICML 2019: adding independent Gumbel
noise -log(-log(u)) to log-probabilities and taking the k highest, in order, is the same as drawing k times,
each time in proportion to the weights of what is left. Weights need no normalisation.
"""

from __future__ import annotations

import numpy as np

from hardneg.records import Bool, Int32
from hardneg.select.draws import Float64
from hardneg.select.order_keys import smallest


def draw(log_weight: Float64, eligible: Bool, uniform: Float64, limit: int) -> Int32:
    """Places in the order drawn: int32 (rows, limit), NO_DOC where there are no more.

    log_weight  float64 (rows, width), finite where eligible
    uniform     float64 (rows, width) in (0, 1)
    """
    weight = np.where(eligible, log_weight, -np.inf)
    highest = weight.max(axis=1, keepdims=True, initial=-np.inf)
    # Only differences matter; near the top they are then small, and keys keep their digits.
    weight -= np.where(np.isfinite(highest), highest, 0.0)
    gumbel = np.log(-np.log(uniform))
    return smallest(gumbel - weight, eligible, limit)
