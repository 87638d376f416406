"""Which queries a list names: by id, by normalised text, or nearly by text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hardneg.guard.exclusion_list import read_entries
from hardneg.guard.portions import NormalisedTexts
from hardneg.guard.shingles import QUERY
from hardneg.guard.similar_texts import similar_pairs
from hardneg.records import Bool, Int64
from hardneg.texts import normalise

BY_ID = "id"
BY_TEXT = "text"
BY_SIMILARITY = "near_identical"


@dataclass(frozen=True)
class ExcludedQueries:
    """queries    bool (queries,)
    reason     `id`, `text` or `near_identical` (queries,), null where the query stays
    matched    the entry's id or text (queries,), null where the query stays
    entries    how many entries the list has
    unmatched  lines of the entries that are no query here
    """

    queries: Bool
    reason: pa.Array
    matched: pa.Array
    entries: int
    unmatched: tuple[int, ...]


def excluded_queries(queries: pa.Table, path: Path, threshold: float = 0.8) -> ExcludedQueries:
    """Read a list and find its queries; the first of id, text and likeness that fits is the reason.

    threshold  Jaccard similarity of character 3-grams from which texts are near-identical (see `shingles`),
               in (0, 1]; the most similar entry is told, of several the first

    Raises InputError as `read_entries` does.
    """
    entries = list(read_entries(path))
    names = [(entry.name, place) for place, entry in enumerate(entries) if entry.name is not None]
    listed = [(normalise(text), place) for place, entry in enumerate(entries) for text in entry.texts]
    texts = [normalise(text) for text in queries["text"].to_pylist()]
    ways = (
        (BY_ID, _equal(queries["query_id"].to_pylist(), names)),
        (BY_TEXT, _equal(texts, listed)),
        (BY_SIMILARITY, _alike(texts, listed, threshold)),
    )
    reason: list[str | None] = [None] * len(texts)
    matched: list[str | None] = [None] * len(texts)
    used: set[int] = set()
    for way, (first, places) in ways:
        used |= places
        for row, place in first.items():
            if reason[row] is None:
                reason[row] = way
                matched[row] = entries[place].name if way == BY_ID else entries[place].texts[0]
    _take_twins_along(texts, reason, matched)
    return ExcludedQueries(
        queries=np.array([way is not None for way in reason], np.bool_),
        reason=pa.array(reason, pa.string()),
        matched=pa.array(matched, pa.string()),
        entries=len(entries),
        unmatched=tuple(entry.line for place, entry in enumerate(entries) if place not in used),
    )


def _take_twins_along(texts: Sequence[str], reason: list[str | None], matched: list[str | None]) -> None:
    """A query of the same text as one that is left out goes with it, whatever its id."""
    known = {text: matched[row] for row, text in enumerate(texts) if reason[row] is not None}
    for row, text in enumerate(texts):
        if reason[row] is None and text in known:
            reason[row], matched[row] = BY_TEXT, known[text]


Matches = tuple[dict[int, int], set[int]]
"""The first entry that fits each query (row → place), and the places of all entries that fit any."""


def _equal(keys: Sequence[str], listed: Sequence[tuple[str, int]]) -> Matches:
    """Where a query's key is an entry's."""
    first: dict[str, int] = {}
    for key, place in listed:
        first.setdefault(key, place)
    known = set(keys)
    rows = {row: first[key] for row, key in enumerate(keys) if key in first}
    return rows, {place for key, place in listed if key in known}


def _alike(texts: Sequence[str], listed: Sequence[tuple[str, int]], threshold: float) -> Matches:
    """Where a query's normalised text is nearly an entry's; the most similar entry comes first."""
    own, theirs = sorted(set(texts)), list(dict.fromkeys(text for text, _ in listed))
    if not own or not theirs:
        return {}, set()
    pairs = similar_pairs(_texts(theirs), _rows(theirs), _texts(own), _rows(own), threshold, QUERY)
    best: dict[str, int] = {}
    place_of = dict(reversed(listed))
    order = np.lexsort((pairs.left, -pairs.similarity))[::-1]  # the best is written last
    for left, right in zip(pairs.left[order].tolist(), pairs.right[order].tolist(), strict=True):
        best[own[right]] = place_of[theirs[left]]
    rows = {row: best[text] for row, text in enumerate(texts) if text in best}
    fitting = {theirs[left] for left in pairs.left.tolist()}
    return rows, {place for text, place in listed if text in fitting}


def _texts(texts: Sequence[str]) -> NormalisedTexts:
    return NormalisedTexts(pa.table({"text": pa.array(texts, pa.large_string())}))


def _rows(texts: Sequence[str]) -> Int64:
    return np.arange(len(texts), dtype=np.int64)
