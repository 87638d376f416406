"""Documents that are nearly the text of a positive, found without comparing all pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hardneg.guard.minhash import Bands, sketches
from hardneg.guard.portions import CHARACTERS, NormalisedTexts, lengths, slices
from hardneg.guard.shingles import DOCUMENT, Float64, similarities
from hardneg.guard.text_classes import TextClasses
from hardneg.progress import Silent
from hardneg.protocols import Progress
from hardneg.records import Float32, Int32, Int64

_INDEXED = 1 << 17  # texts whose sketches are held at a time


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs of texts at or above a threshold, ordered by left and right row.

    left, right  int32 (pairs,)
    similarity   float32 (pairs,), exact
    """

    left: Int32
    right: Int32
    similarity: Float32

    def to_table(self) -> pa.Table:
        return pa.table({"left": self.left, "right": self.right, "similarity": self.similarity})

    @classmethod
    def from_table(cls, table: pa.Table) -> SimilarPairs:
        return cls(*(table[name].to_numpy() for name in ("left", "right", "similarity")))


def near_duplicate_pairs(
    corpus: pa.Table,
    positive_rows: Int32,
    classes: TextClasses,
    threshold: float,
    join_title: bool = True,
    progress: Progress | None = None,
) -> SimilarPairs:
    """(positive, document, similarity) for all documents nearly equal to a positive.

    positive_rows  int32 (positives,): rows of the corpus, of whatever query
    threshold      Jaccard similarity, above 0

    Texts of one class are the same text (rule positive_text), so each is looked at once: left and right are
    the first rows of their classes, and a class is not paired with itself. The chance to miss a pair is told
    in `minhash`; what is found is verified exactly.
    """
    rows = classes.representatives
    first = np.zeros(len(classes.keys), np.int64)
    first[classes.document[rows]] = rows
    wanted = np.unique(first[classes.document[positive_rows]])
    texts = NormalisedTexts(corpus, join_title)
    return similar_pairs(texts, wanted, texts, rows.astype(np.int64), threshold, progress=progress)


def similar_pairs(
    left: NormalisedTexts,
    left_rows: Int64,
    right: NormalisedTexts,
    right_rows: Int64,
    threshold: float,
    length: int = DOCUMENT,
    progress: Progress | None = None,
) -> SimilarPairs:
    """All pairs of these rows whose texts reach the threshold (above 0) with shingles of that length; where
    left and right are one object, a row is not paired with itself. Memory holds the sketches of _INDEXED
    left texts, and a portion of the right ones.
    """
    starts = range(0, len(left_rows), _INDEXED)
    with (progress or Silent()).track("near duplicates", len(starts) * len(right_rows), "texts") as advance:
        found = [
            pairs
            for start in starts
            for pairs in _Index(left, left_rows[start : start + _INDEXED], threshold, length).look_up(
                right, right_rows, advance
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

    def look_up(
        self, other: NormalisedTexts, rows: Int64, advance: Callable[[int], None]
    ) -> Iterator[tuple[Int64, Int64, Float64]]:
        """Rows here, rows of `other` and similarity of the pairs, a portion of the other texts at a time."""
        for some, texts in other.portions(rows):
            characters = lengths(texts)
            for here, there in self._bands.alike(sketches(texts, self._length)):
                if self._texts is other:  # a text is not its own copy
                    apart = self._rows[here] != some[there]
                    here, there = here[apart], there[apart]
                for part in slices(self._characters[here] + characters[there], CHARACTERS):
                    ours, place = self._rows[here[part]], there[part]
                    similarity = self._verify(ours, texts, place)
                    keep = similarity >= self._threshold
                    yield ours[keep], some[place[keep]], similarity[keep]
            advance(len(some))

    def _verify(self, rows: Int64, texts: list[str], places: Int64) -> Float64:
        """The exact similarity of rows here to places of `texts`; each text is taken apart once."""
        rows, one = np.unique(rows, return_inverse=True)
        places, two = np.unique(places, return_inverse=True)
        both = self._texts.take(rows) + [texts[place] for place in places]
        return similarities(both, one, two + len(rows), self._length)
