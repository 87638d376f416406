"""audit: known positives are hidden, every rule mines, and what comes back as a negative is counted.

What it finds is a lower bound: a positive that nobody labelled counts as a right negative here too.
"""

from hardneg.auditing.chart import draw
from hardneg.auditing.equal_hardness import at_equal_hardness
from hardneg.auditing.hide import held, hide, looked_at, pair_keys, with_known
from hardneg.auditing.measure import Sums, exact, resampled
from hardneg.auditing.options import AuditOptions
from hardneg.auditing.points import OWN, Point, points
from hardneg.auditing.promotion import BARS, likeliest
from hardneg.auditing.result import result

__all__ = [
    "BARS",
    "OWN",
    "AuditOptions",
    "Point",
    "Sums",
    "at_equal_hardness",
    "draw",
    "exact",
    "held",
    "hide",
    "likeliest",
    "looked_at",
    "pair_keys",
    "points",
    "resampled",
    "result",
    "with_known",
]
