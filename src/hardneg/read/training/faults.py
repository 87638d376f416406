"""What can be wrong with a training file that can be read: of rows, of positives and of negatives.

A row or text that has several faults is told under the first of them, in the order here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hardneg.read.training.keys import BLANK, GroupKeys, Keys, SideKeys, pair_keys
from hardneg.records import Bool

Codes = NDArray[np.uint8]

UNREADABLE = "unreadable"
_OF_ROWS: Mapping[str, str] = {
    "empty_query": "the query is empty",
    "misaligned": "ids, scores or labels are of another number than the texts",
    "not_finite": "a score or label is NaN or infinite",
    "missing_score": "some of the row's texts have a score and others have none",
    "repeated_row": "the row stands there twice: the same query, positives and negatives",
    "no_positive": "there is no positive",
    "no_negative": "there is no negative",
    "wrong_count": "it has another number of negatives than wanted",
}
_OF_POSITIVES: Mapping[str, str] = {
    "empty_positive": "a positive is empty",
    "repeated_positive": "a positive stands there twice",
}
_OF_NEGATIVES: Mapping[str, str] = {
    "empty_negative": "a negative is empty",
    "query_among_negatives": "a negative is the query itself",
    "positive_among_negatives": "a negative is a positive of the same row",
    "known_positive_among_negatives": "a negative is a positive of the same query in another row",
    "repeated_negative": "a negative stands there twice",
}
FAULTS: Mapping[str, str] = {
    UNREADABLE: "the row cannot be read",
    **_OF_ROWS,
    **_OF_POSITIVES,
    **_OF_NEGATIVES,
}
"""code → what is wrong, in words."""
CODES = tuple(FAULTS)
_NUMBER = {code: place + 1 for place, code in enumerate(CODES)}  # 0: nothing is wrong


@dataclass(frozen=True)
class Wanted:
    """What a file must be, beside being right.

    positives         every row has one
    negatives         every row has one
    num_negatives     so many, where a number is given
    positive_scores   positives have a score where negatives have one
    """

    positives: bool = True
    negatives: bool = True
    num_negatives: int | None = None
    positive_scores: bool = True


@dataclass(frozen=True)
class Faults:
    """Of each row, positive and negative of a table: 0, or 1 + the place of its fault in CODES.

    row                  uint8 (groups,)
    positive, negative   uint8 (texts,), in the order of the flattened lists
    """

    row: Codes
    positive: Codes
    negative: Codes

    def __bool__(self) -> bool:
        return bool(self.row.any() or self.positive.any() or self.negative.any())


def find_faults(groups: pa.Table, keys: GroupKeys, known: Keys, repeated: Bool, wanted: Wanted) -> Faults:
    """known     uint64, ascending: `keys.positive_pairs` of the whole file
    repeated  bool (groups,): the row stood before
    """
    positives, negatives = keys.positives, keys.negatives
    rows = {
        "empty_query": keys.query == BLANK,
        "misaligned": _misaligned(groups),
        "not_finite": _not_finite(groups),
        "missing_score": _missing_scores(groups, wanted),
        "repeated_row": repeated,
        "no_positive": (positives.length == 0) & wanted.positives,
        "no_negative": (negatives.length == 0) & wanted.negatives,
        "wrong_count": negatives.length != (wanted.num_negatives or negatives.length),
    }
    own = _own_positive(keys)
    of_negatives = {
        "empty_negative": negatives.text == BLANK,
        "query_among_negatives": negatives.text == keys.query[negatives.group],
        "positive_among_negatives": own,
        "known_positive_among_negatives": _is_known(keys, known) & ~own,
        "repeated_negative": _repeated(negatives),
    }
    of_positives = {
        "empty_positive": positives.text == BLANK,
        "repeated_positive": _repeated(positives),
    }
    return Faults(_first(rows), _first(of_positives), _first(of_negatives))


def _first(found: Mapping[str, Bool]) -> Codes:
    """The number of the first fault of each."""
    codes = np.zeros(len(next(iter(found.values()))), np.uint8)
    for code, there in reversed(list(found.items())):
        codes[there] = _NUMBER[code]
    return codes


# -- of rows ----------------------------------------------------------------------------------------------

_SIDES = ("pos", "neg")


def _misaligned(groups: pa.Table) -> Bool:
    found = np.zeros(len(groups), bool)
    for side in _SIDES:
        lengths = pc.list_value_length(groups[side])
        for part in ("id", "score", "label", "title"):
            differs = pc.not_equal(pc.list_value_length(groups[f"{side}_{part}"]), lengths)
            found |= pc.fill_null(differs, False).to_numpy()
    return found


def _not_finite(groups: pa.Table) -> Bool:
    found = np.zeros(len(groups), bool)
    for name in ("pos_score", "pos_label", "neg_score", "neg_label"):
        column = groups[name].combine_chunks()
        wrong = pc.invert(pc.fill_null(pc.is_finite(column.flatten()), True))
        found[pc.list_parent_indices(column).filter(wrong).to_numpy()] = True
    return found


def _missing_scores(groups: pa.Table, wanted: Wanted) -> Bool:
    """Some texts have a score and others none."""
    some, lacking = np.zeros(len(groups), bool), np.zeros(len(groups), bool)
    for side in _SIDES:
        column = groups[f"{side}_score"].combine_chunks()
        group, there = pc.list_parent_indices(column), pc.is_valid(column.flatten())
        scored, texts = ~column.is_null().to_numpy(False), pc.list_value_length(groups[side]).to_numpy() > 0
        some[group.filter(there).to_numpy()] = True
        lacking[group.filter(pc.invert(there)).to_numpy()] = True
        if wanted.positive_scores or side == "neg":
            lacking |= ~scored & texts
    return some & lacking


# -- of texts ---------------------------------------------------------------------------------------------


def _own_positive(keys: GroupKeys) -> Bool:
    """bool (negatives,): the same text or id is a positive of the row."""
    found = np.zeros(len(keys.negatives.text), bool)
    for part in ("text", "doc_id"):
        positive, negative = getattr(keys.positives, part), getattr(keys.negatives, part)
        own = pair_keys(keys.positives.group.astype(np.uint64), positive)[positive > BLANK]
        asked = pair_keys(keys.negatives.group.astype(np.uint64), negative)
        found |= np.isin(asked, own) & (negative > BLANK)
    return found


def _is_known(keys: GroupKeys, known: Keys) -> Bool:
    """bool (negatives,): the same text or id is a positive of the same query, by its text or id, anywhere."""
    negatives = keys.negatives
    found = np.zeros(len(negatives.text), bool)
    if not len(known):
        return found
    for query in (keys.query, keys.query_id):
        for document in (negatives.text, negatives.doc_id):
            of_query = query[negatives.group]
            asked = pair_keys(of_query, document)
            place = np.searchsorted(known, asked).clip(max=len(known) - 1)
            found |= (known[place] == asked) & (of_query > BLANK) & (document > BLANK)
    return found


def _repeated(side: SideKeys) -> Bool:
    """bool (texts,): the same text stands before in the row."""
    pairs = pair_keys(side.group.astype(np.uint64), side.text)
    found = np.ones(len(pairs), bool)
    found[np.unique(pairs, return_index=True)[1]] = False
    return found
