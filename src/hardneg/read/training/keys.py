"""Texts and ids as numbers, so that a whole file's can be compared: 64-bit digests of the normalised text.

The same text after `texts.normalise`, the same number. Nothing visible is BLANK; no id is NONE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hardneg.records import Int64
from hardneg.texts import is_blank, normalise, text_number

Keys = NDArray[np.uint64]
NONE, BLANK = 0, 1


@dataclass(frozen=True)
class SideKeys:
    """start  int64 (groups + 1,): a group's texts are `start[g]` to `start[g + 1] - 1`
    text, doc_id  uint64 (texts,)
    """

    start: Int64
    text: Keys
    doc_id: Keys

    @property
    def length(self) -> Int64:
        length: Int64 = np.diff(self.start)
        return length

    @property
    def group(self) -> Int64:
        """int64 (texts,)."""
        return np.repeat(np.arange(len(self.start) - 1), self.length)


@dataclass(frozen=True)
class GroupKeys:
    """query, query_id  uint64 (groups,)"""

    query: Keys
    query_id: Keys
    positives: SideKeys
    negatives: SideKeys


def group_keys(groups: pa.Table) -> GroupKeys:
    """Of a table of GROUPS. Ids of another number than their texts count as none."""
    return GroupKeys(
        query=_keys(groups["query"].combine_chunks(), _text_key),
        query_id=_keys(groups["query_id"].combine_chunks(), _id_key),
        positives=_side(groups, "pos"),
        negatives=_side(groups, "neg"),
    )


def with_keys(groups: pa.Table, keys: GroupKeys) -> pa.Table:
    """The groups with their keys as further columns."""
    columns = {"query_key": pa.array(keys.query), "query_id_key": pa.array(keys.query_id)}
    for name, side in (("pos", keys.positives), ("neg", keys.negatives)):
        columns[f"{name}_key"] = pa.ListArray.from_arrays(pa.array(side.start, pa.int32()), side.text)
        columns[f"{name}_id_key"] = pa.ListArray.from_arrays(pa.array(side.start, pa.int32()), side.doc_id)
    for name, column in columns.items():
        groups = groups.append_column(name, column)
    return groups


def stored_keys(groups: pa.Table) -> GroupKeys:
    """What `with_keys` put there."""

    def side(name: str) -> SideKeys:
        texts, ids = (groups[f"{name}_{part}"].combine_chunks() for part in ("key", "id_key"))
        start = texts.offsets.to_numpy().astype(np.int64)
        return SideKeys(start - start[0], texts.flatten().to_numpy(), ids.flatten().to_numpy())

    query, query_id = (groups[name].to_numpy() for name in ("query_key", "query_id_key"))
    return GroupKeys(query, query_id, side("pos"), side("neg"))


def pair_keys(queries: Keys, documents: Keys) -> Keys:
    """uint64: a number for each pair of a query and a document."""
    mixed = queries ^ (documents * np.uint64(0x9E3779B97F4A7C15))
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    found: Keys = mixed ^ (mixed >> np.uint64(29))
    return found


def positive_pairs(keys: GroupKeys) -> Keys:
    """uint64: every positive with its query, each by its text and by its id, as far as they have them."""
    side = keys.positives
    found = [
        pair_keys(query[side.group], document)[(query[side.group] > BLANK) & (document > BLANK)]
        for query in (keys.query, keys.query_id)
        for document in (side.text, side.doc_id)
    ]
    return np.unique(np.concatenate(found))


def row_keys(keys: GroupKeys) -> Keys:
    """uint64 (groups,): the same query with the same positives and negatives, the same number."""
    found = keys.query.copy()
    for place, side in enumerate((keys.positives, keys.negatives)):
        salted = pair_keys(np.full(len(side.text), place + 2, np.uint64), side.text)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(salted, dtype=np.uint64)])
        found = pair_keys(found, sums[side.start[1:]] - sums[side.start[:-1]])
    return found


def _side(groups: pa.Table, name: str) -> SideKeys:
    texts, ids = groups[name].combine_chunks(), groups[f"{name}_id"].combine_chunks()
    lengths = pc.list_value_length(texts).to_numpy()
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    found = pc.fill_null(pc.list_value_length(ids), -1).to_numpy()
    aligned = found == lengths
    doc_id = np.zeros(len(texts.flatten()), np.uint64)
    of_aligned = _keys(ids.filter(pa.array(aligned)).flatten(), _id_key)
    doc_id[np.repeat(aligned, lengths)] = of_aligned
    return SideKeys(start, _keys(texts.flatten(), _text_key), doc_id)


def _keys(values: pa.Array, key: Callable[[str], int]) -> Keys:
    """Each distinct value is looked at once."""
    encoded = values.dictionary_encode()
    numbers = np.array([key(one) for one in encoded.dictionary.to_pylist()], np.uint64)
    index = pc.fill_null(encoded.indices, -1).to_numpy()
    found: Keys = np.append(numbers, np.uint64(NONE))[index]
    return found


def _text_key(text: str) -> int:
    return BLANK if is_blank(text) else max(text_number(normalise(text)), BLANK + 1)


def _id_key(name: str) -> int:
    return max(text_number(name), BLANK + 1)
