"""Which negatives to have judged: the riskiest, and a random sample of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import Float32, Float64, Int64
from hardneg.select.draws import UInt64, uniforms

STRATA = ("riskiest", "random")
RISKIEST, RANDOM = range(len(STRATA))


@dataclass(frozen=True)
class Suspects:
    """A stratified sample without replacement, in an order that tells nobody which stratum a row is of.

    place                  int64 (drawn,): places in the population
    stratum                int64 (drawn,): index into STRATA
    stratum_size           int64 (drawn,): members of the row's stratum, drawn or not
    inclusion_probability  float64 (drawn,): the chance that the row had to be drawn
    """

    place: Int64
    stratum: Int64
    stratum_size: Int64
    inclusion_probability: Float64


def draw_suspects(chance: Float32, keys: UInt64, n: int) -> Suspects:
    """Half of `n`, rounded down, are the members likeliest to be positives; the others a simple random
    sample of what is left.

    chance  float32 (members,): p_false_negative, NaN where nobody judged: such are never among the riskiest
    keys    uint64 (members,): a random stream each, by ids (`draws.stream_keys`)

    Inclusion is certain for the riskiest. Ties go by the order of the members.
    """
    drawn = uniforms(keys, 2) if len(keys) else np.zeros((0, 2))
    likeliest = np.argsort(-chance, kind="stable")  # NaN last
    count = min(n // 2, int(np.isfinite(chance).sum()))
    riskiest = likeliest[:count]
    rest = np.setdiff1d(np.arange(len(chance)), riskiest)
    taken = rest[np.argsort(drawn[rest, 0], kind="stable")][: n - count]
    place = np.concatenate([riskiest, taken]).astype(np.int64)
    stratum = np.repeat([RISKIEST, RANDOM], [len(riskiest), len(taken)])
    order = np.lexsort((place, drawn[place, 1]))
    place, stratum = place[order], stratum[order]
    sizes = np.array([len(riskiest), len(rest)], np.int64)
    probability = np.array([1.0, len(taken) / max(len(rest), 1)])
    return Suspects(place, stratum, sizes[stratum], probability[stratum])
