"""Texts that are nearly the same, verified exactly: of pairs at hand, and of all pairs of two sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hardneg.guard.minhash import Bands, sketches
from hardneg.guard.portions import CHARACTERS, NormalisedTexts, lengths, slices
from hardneg.guard.shingles import DOCUMENT, Float64, similarities
from hardneg.records import Bool, Float32, Int32, Int64

_INDEXED = 1 << 17  # texts whose sketches are held at a time


def reaching(texts: NormalisedTexts, left: Int32, right: Int32, threshold: float) -> Bool:
    """Which of these pairs of documents reach the threshold: bool (pairs,); each text is read once."""
    rows, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    one, two = np.split(place.astype(np.int64), 2)
    reached: Bool = similarities(texts.take(rows), one, two, DOCUMENT) >= threshold
    return reached


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs of texts at or above a threshold, ordered by left and right row.

    left, right  int32 (pairs,)
    similarity   float32 (pairs,), exact
    """

    left: Int32
    right: Int32
    similarity: Float32


def similar_pairs(
    left: NormalisedTexts,
    left_rows: Int64,
    right: NormalisedTexts,
    right_rows: Int64,
    threshold: float,
    length: int = DOCUMENT,
) -> SimilarPairs:
    """All pairs of these rows whose texts reach the threshold (above 0) with shingles of that length.

    Memory holds the sketches of _INDEXED left texts, and a portion of the right ones. The chance to miss a
    pair is told in `minhash`.
    """
    found = [
        pairs
        for start in range(0, len(left_rows), _INDEXED)
        for pairs in _Index(left, left_rows[start : start + _INDEXED], threshold, length).look_up(
            right, right_rows
        )
    ]
    here, there, similarity = (
        np.concatenate([np.zeros(0, kind), *(pairs[place] for pairs in found)])
        for place, kind in enumerate((np.int32, np.int32, np.float32))
    )
    order = np.lexsort((there, here))
    return SimilarPairs(
        here[order].astype(np.int32), there[order].astype(np.int32), similarity[order].astype(np.float32)
    )


class _Index:
    """Some texts, sketched, in which like ones are looked up."""

    def __init__(self, texts: NormalisedTexts, rows: Int64, threshold: float, length: int) -> None:
        parts = [(sketches(some, length), lengths(some)) for _, some in texts.portions(rows)]
        self._texts, self._rows, self._threshold, self._length = texts, rows, threshold, length
        self._bands = Bands.of(np.concatenate([sketch for sketch, _ in parts]), threshold)
        self._characters = np.concatenate([characters for _, characters in parts])

    def look_up(self, other: NormalisedTexts, rows: Int64) -> Iterator[tuple[Int64, Int64, Float64]]:
        """Rows here, rows of `other` and similarity of the pairs, a portion of the other texts at a time."""
        for some, texts in other.portions(rows):
            characters = lengths(texts)
            for here, there in self._bands.alike(sketches(texts, self._length)):
                for part in slices(self._characters[here] + characters[there], CHARACTERS):
                    ours, place = self._rows[here[part]], there[part]
                    similarity = self._verify(ours, texts, place)
                    keep = similarity >= self._threshold
                    yield ours[keep], some[place[keep]], similarity[keep]

    def _verify(self, rows: Int64, texts: list[str], places: Int64) -> Float64:
        """The exact similarity of rows here to places of `texts`; each text is taken apart once."""
        rows, one = np.unique(rows, return_inverse=True)
        places, two = np.unique(places, return_inverse=True)
        both = self._texts.take(rows) + [texts[place] for place in places]
        return similarities(both, one, two + len(rows), self._length)
