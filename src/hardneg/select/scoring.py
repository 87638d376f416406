"""Which score orders the candidates, and which rank and score are shown for a chosen one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC, Block, Float32, Int32, Int64
from hardneg.select.margins import Float64
from hardneg.select.rules import Candidates


def ordering(config: SelectConfig, retrievers: tuple[str, ...]) -> str | None:
    """Whose scores samplers use: `order_by`, `score_by`, the only retriever's; None: fusion's order."""
    if config.order_by is not None or config.score_by is not None:
        return config.order_by or config.score_by
    return retrievers[0] if len(retrievers) == 1 else None


def order_value(block: Block, config: SelectConfig) -> Float32:
    """The score that orders, float32 (rows, width), higher first, NaN where there is none.

    Where fusion orders, minus the place in the block: the block lies in that order.
    """
    name = ordering(config, block.retrievers)
    if name is not None:
        return block.scores[name]
    places = -np.arange(block.doc.shape[1], dtype=np.float32)
    return np.broadcast_to(places, block.doc.shape)


def shown(
    candidates: Candidates, config: SelectConfig, row: Int64, place: Int32
) -> tuple[NDArray[np.int8], Int32, Float32, Float32]:
    """Retriever, rank, score and the positive's score of chosen candidates: four arrays (chosen,).

    The retriever shown is `score_by` where that is one, else the one that ranks the document highest, of
    equals the first; -1 and rank 0 where `place` is NO_DOC or it did not find the document. The score is that
    of `score_by`, without it of the retriever shown.
    """
    names = tuple(candidates.ranks)
    there, at = place != NO_DOC, np.maximum(place, 0)
    retriever = np.full(len(row), -1, np.int8)
    rank = np.zeros(len(row), np.int32)
    score = np.full(len(row), np.nan, np.float32)
    reference: Float64 = np.full(len(row), np.nan)
    if config.score_by is not None:
        reference = candidates.reference[config.score_by][row]
    elif len(names) == 1:
        reference = candidates.reference[names[0]][row]
    for number, name in enumerate(names):
        if config.score_by in names and name != config.score_by:
            continue
        found = np.where(there, candidates.ranks[name][row, at], 0)
        better = (found > 0) & ((rank == 0) | (found < rank))
        retriever[better], rank[better] = number, found[better]
        if config.score_by is None:
            score[better] = candidates.scores[name][row, at][better]
            reference[better] = candidates.reference[name][row[better]]
    if config.score_by is not None:
        score[there] = candidates.scores[config.score_by][row, at][there]
    return retriever, rank, score, reference.astype(np.float32)
