"""Which scores a choice hangs on, where a scorer has not seen all candidates.

A candidate without a score is taken to pass the rules that its score decides. Negatives are then chosen as
always: `top` and `random` take the first that pass, in an order that is fixed beforehand. Whoever was chosen
without a score must be scored before the choice can stand; whoever was not, need not be: scored, it would
either fail, and be missed by nobody, or pass, and stand where it stood. So scoring the chosen and choosing
again, until none of them lacks a score, ends with what scoring all would have chosen, and scores no
candidate that comes after a query's last negative.
"""

from __future__ import annotations

import numpy as np

from hardneg.records import Bool, Int32
from hardneg.select.duplicates import Twins
from hardneg.select.order_keys import first
from hardneg.select.reasons import Codes
from hardneg.select.selection import UInt8

_HANG = ("selected", "dropped", "given")
"""Of given negatives that are candidates only the score is shown."""
_WAITING = ("not_scored", "max_reuse")


def needed(doc: Int32, reason: UInt8, unscored: Bool, twins: Twins, codes: Codes) -> Bool:
    """The candidates to score next: the chosen, and their twins, of whom the one placed first stays.

    doc, reason  int32 and uint8 (queries, width): candidates, and what became of them
    unscored     bool like doc
    """
    chosen = np.isin(reason, [codes.number(name) for name in _HANG])
    wanted: Bool = chosen & unscored
    repeated = chosen & twins.has_twin(doc)
    if repeated.any():
        places = first(repeated, int(np.count_nonzero(repeated, axis=1).max()))
        others = np.where(places < 0, places, np.take_along_axis(doc, np.maximum(places, 0), axis=1))
        waiting = unscored & np.isin(reason, [codes.number(name) for name in _WAITING])
        wanted |= waiting & twins.among(doc, others)
    return wanted
