"""Queries that are nearly the same as another: by normalised text, or by likeness of character 3-grams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.guard.portions import NormalisedTexts
from hardneg.guard.shingles import QUERY
from hardneg.guard.similar_texts import SimilarPairs, similar_pairs
from hardneg.records import Bool, Int32
from hardneg.texts import normalise

THRESHOLD = 0.8


def alike_queries(texts: Sequence[str], threshold: float = THRESHOLD) -> tuple[Int32, Int32]:
    """Pairs of rows, int32 (pairs,) each: every text with the first of the same normalised text, and those
    first ones with each other where their Jaccard similarity reaches the threshold."""
    distinct, first, own = np.unique(_normalised(texts), return_index=True, return_inverse=True)
    pairs = _similar(distinct, distinct, threshold)
    apart = pairs.left < pairs.right
    every = np.arange(len(texts))
    again = first[own] != every
    left = np.concatenate([first[own][again], first[pairs.left[apart]]])
    right = np.concatenate([every[again], first[pairs.right[apart]]])
    return left.astype(np.int32), right.astype(np.int32)


def like_any(texts: Sequence[str], others: Sequence[str], threshold: float = THRESHOLD) -> Bool:
    """bool (texts,): which have the normalised text of one of the others, or reach the threshold with one."""
    distinct, own = np.unique(_normalised(texts), return_inverse=True)
    theirs = np.unique(_normalised(others))
    known = set(theirs)
    alike = np.array([text in known for text in distinct], np.bool_)
    alike[_similar(distinct, theirs, threshold).left] = True
    return alike[own]


def _normalised(texts: Sequence[str]) -> Any:
    """An array of objects: strings of any length."""
    return np.array([normalise(text) for text in texts], np.object_)


def _similar(left: Any, right: Any, threshold: float) -> SimilarPairs:
    one, other = (
        NormalisedTexts(pa.table({"text": pa.array(side, pa.large_string())})) for side in (left, right)
    )
    rows = np.arange(len(left), dtype=np.int64), np.arange(len(right), dtype=np.int64)
    return similar_pairs(one, rows[0], other, rows[1], threshold, QUERY)
