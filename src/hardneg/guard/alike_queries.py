"""Queries that are nearly the same as another: by normalised text, or by likeness of character 3-grams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hardneg.guard.portions import NormalisedTexts
from hardneg.guard.shingles import QUERY
from hardneg.guard.similar_texts import similar_pairs
from hardneg.records import Int32
from hardneg.texts import normalise


def alike_queries(texts: Sequence[str], threshold: float = 0.8) -> tuple[Int32, Int32]:
    """Pairs of rows, int32 (pairs,) each: every text with the first of the same normalised text, and those
    first ones with each other where their Jaccard similarity reaches the threshold."""
    distinct, first, own = np.unique(
        np.array([normalise(text) for text in texts], np.object_), return_index=True, return_inverse=True
    )
    table = NormalisedTexts(pa.table({"text": pa.array(distinct, pa.large_string())}))
    rows = np.arange(len(distinct), dtype=np.int64)
    pairs = similar_pairs(table, rows, table, rows, threshold, QUERY)
    apart = pairs.left < pairs.right
    every = np.arange(len(texts))
    again = first[own] != every
    left = np.concatenate([first[own][again], first[pairs.left[apart]]])
    right = np.concatenate([every[again], first[pairs.right[apart]]])
    return left.astype(np.int32), right.astype(np.int32)
