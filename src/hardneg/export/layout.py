"""Which documents stand together: the selection's ids as row numbers, grouped and in the order of the file.

A *group* is a query with all its positives and negatives; under reference `each`, in formats that can tell
them apart, a query with one positive and that positive's own negatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.distinct import distinct
from hardneg.errors import InputError
from hardneg.export.options import Counts, SelectedTables
from hardneg.records import Bool, Float32, Int32, Int64


@dataclass(frozen=True)
class Layout:
    """The groups of an export; group g's documents are entries `start[g]` to `start[g + 1] - 1`.

    query          int32   (groups,): rows of the query table, ascending
    start          int64   (groups + 1,)
    num_positives  int64   (groups,): so many entries of a group are positives, and stand first
    doc            int32   (entries,): rows of the corpus
    score          float32 (entries,), NaN where there is none
    label          float32 (entries,): how likely it answers
    """

    query: Int32
    start: Int64
    num_positives: Int64
    doc: Int32
    score: Float32
    label: Float32
    counts: Counts

    @property
    def num_negatives(self) -> Int64:
        """int64 (groups,)."""
        negatives: Int64 = np.diff(self.start) - self.num_positives
        return negatives

    @property
    def group(self) -> Int64:
        """int64 (entries,): the group of each entry."""
        return np.repeat(np.arange(len(self.num_positives)), np.diff(self.start))

    @property
    def is_positive(self) -> Bool:
        """bool (entries,)."""
        group = self.group
        positive: Bool = np.arange(len(group)) - self.start[group] < self.num_positives[group]
        return positive


@dataclass(frozen=True)
class _Rows:
    """A selection's table as numbers; `origin` is the row of that table that an entry stems from."""

    query: Int32
    doc: Int32
    score: Float32
    label: Float32
    origin: Int64

    def take(self, index: Int64 | Bool) -> _Rows:
        return _Rows(
            self.query[index], self.doc[index], self.score[index], self.label[index], self.origin[index]
        )

    @property
    def pair(self) -> Int64:
        """int64: query and document as one number."""
        pair: Int64 = self.query.astype(np.int64) << 32 | self.doc
        return pair


def arrange(
    selection: SelectedTables,
    *,
    each: bool,
    num_negatives: int | None = None,
    only_of_length: int | None = None,
) -> Layout:
    """Group a selection's rows.

    each            a group a positive, where the selection was made so
    num_negatives   cut each group's negatives to the first N
    only_of_length  leave out groups with fewer negatives

    Groups without negatives are left out and counted. Raises InputError where an id is unknown, a query has
    negatives but no positive, or one of its negatives is its positive.
    """
    positives = _rows(selection.positives, "positives", selection, label=1.0)
    negatives = _rows(selection.negatives, "negatives", selection, label=0.0)
    positives = positives.take(_first_of_each(positives.pair))
    positives = positives.take(np.argsort(positives.query, kind="stable"))
    _refuse_positives_among(negatives, positives, selection)

    each = each and selection.negatives["positive_id"].null_count < len(selection.negatives)
    group = np.arange(len(positives.query)) if each else _runs(positives.query)
    negatives, negative_group = _assign(negatives, positives, group, selection, each=each)
    unrepeated = _first_of_each(negative_group << 32 | negatives.doc)
    negatives, negative_group = negatives.take(unrepeated), negative_group[unrepeated]
    found = len(distinct(negatives.origin))

    if num_negatives is not None:
        kept = _place_in_run(negative_group) < num_negatives
        negatives, negative_group = negatives.take(kept), negative_group[kept]
    left = len(distinct(negatives.origin))

    length = np.bincount(negative_group, minlength=int(group.max(initial=-1)) + 1)
    written = length >= max(1, only_of_length or 1)
    counts = _counts(selection, positives, negatives, group, negative_group, length, written, found, left)
    return _layout(
        positives.take(written[group]),
        group[written[group]],
        negatives.take(written[negative_group]),
        negative_group[written[negative_group]],
        counts,
    )


def _layout(
    positives: _Rows, positive_group: Int64, negatives: _Rows, negative_group: Int64, counts: Counts
) -> Layout:
    """Both sorted by group; put each group's positives before its negatives."""
    groups, query_place, num_positives = np.unique(positive_group, return_index=True, return_counts=True)
    num_all = num_positives + np.bincount(np.searchsorted(groups, negative_group), minlength=len(groups))
    order = np.argsort(np.concatenate([positive_group, negative_group]), kind="stable")
    return Layout(
        query=positives.query[query_place],
        start=np.concatenate([[0], np.cumsum(num_all)]).astype(np.int64),
        num_positives=num_positives.astype(np.int64),
        doc=np.concatenate([positives.doc, negatives.doc])[order],
        score=np.concatenate([positives.score, negatives.score])[order],
        label=np.concatenate([positives.label, negatives.label])[order],
        counts=counts,
    )


def _assign(
    negatives: _Rows, positives: _Rows, group: Int64, selection: SelectedTables, *, each: bool
) -> tuple[_Rows, Int64]:
    """The negatives with their groups, sorted by group and within one in the table's order."""
    first = np.searchsorted(positives.query, negatives.query, "left")
    last = np.searchsorted(positives.query, negatives.query, "right")
    if (last == first).any():
        row = int(negatives.query[np.argmax(last == first)])
        raise InputError(
            "has negatives but no positive; export whole selections",
            row_id=selection.queries["query_id"][row].as_py(),
        )
    if not each:
        of_negative = group[first] if len(group) else first
    else:
        # A negative that names no positive (a given one) serves all positives of its query.
        own = _own_positive(negatives, positives, selection)
        times = np.where(own >= 0, 1, last - first)
        index = np.repeat(np.arange(len(times)), times)
        step = np.arange(len(index)) - np.repeat(np.cumsum(times) - times, times)
        of_negative = np.where(own >= 0, own, first)[index] + step
        negatives = negatives.take(index)
    order = np.argsort(of_negative, kind="stable")
    return negatives.take(order), of_negative[order]


def _own_positive(negatives: _Rows, positives: _Rows, selection: SelectedTables) -> Int64:
    """int64 (negatives,): the place of each negative's `positive_id` among the positives, −1 for null."""
    doc = id_rows(selection.negatives["positive_id"], selection.corpus["doc_id"], "positive_id")
    wanted = negatives.query.astype(np.int64) << 32 | np.maximum(doc, 0)
    order = np.argsort(positives.pair, kind="stable")
    place = np.searchsorted(positives.pair, wanted, sorter=order).clip(max=max(0, len(order) - 1))
    own: Int64 = order[place]
    wrong = (positives.pair[own] != wanted) & (doc >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            "is the positive_id of a negative but no positive of its query; export whole selections",
            row_id=selection.negatives["positive_id"][row].as_py(),
        )
    return np.where(doc >= 0, own, -1)


def _rows(table: pa.Table, name: str, selection: SelectedTables, label: float) -> _Rows:
    """`label` is that of rows that the guard says nothing of."""
    query = id_rows(table["query_id"], selection.queries["query_id"], f"query_id of {name}")
    doc = id_rows(table["doc_id"], selection.corpus["doc_id"], f"doc_id of {name}")
    score = pc.fill_null(table["score"].cast(pa.float32()), np.nan).to_numpy()
    chance = pc.fill_null(table["p_false_negative"].cast(pa.float32()), label).to_numpy()
    score = np.where(np.isfinite(score), score, np.nan)
    return _Rows(query, doc, score, chance, np.arange(len(table)))


def id_rows(column: pa.ChunkedArray, ids: pa.ChunkedArray, what: str) -> Int32:
    """int32: the row of `ids` that holds each id, −1 for null. Raises InputError for an unknown id."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    if not len(column):
        return np.zeros(0, np.int32)
    dictionary = column.chunk(0).dictionary.cast(ids.type)
    rows = pc.index_in(dictionary, value_set=ids)
    found = np.concatenate([_taken(rows, chunk.indices) for chunk in column.chunks])
    valid = ~pc.is_null(column).to_numpy()
    if (missing := valid & (found < 0)).any():
        unknown = column[int(np.argmax(missing))].as_py()
        raise InputError(
            f"{what}: not among the run's texts; the selection is of another run", row_id=unknown
        )
    return found


def _taken(rows: pa.Array, indices: pa.Array) -> Int32:
    taken: Int32 = pc.fill_null(rows.take(indices), -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return taken


def _first_of_each(key: Int64) -> Int64:
    """int64: the places of the first of each key, in their order."""
    places: Int64 = np.sort(np.unique(key, return_index=True)[1])
    return places


def _runs(ascending: Int32) -> Int64:
    """int64: 0 for the first value, 1 for the next one, and so on."""
    if not len(ascending):
        return np.zeros(0, np.int64)
    return np.concatenate([[0], np.cumsum(np.diff(ascending) != 0)]).astype(np.int64)


def _place_in_run(ascending: Int64) -> Int64:
    """int64: how many equal values stand before each value."""
    place: Int64 = np.arange(len(ascending)) - np.searchsorted(ascending, ascending, "left")
    return place


def _refuse_positives_among(negatives: _Rows, positives: _Rows, selection: SelectedTables) -> None:
    wrong = np.isin(negatives.pair, positives.pair)
    if wrong.any():
        row = int(np.argmax(wrong))
        query = selection.queries["query_id"][int(negatives.query[row])].as_py()
        doc = selection.corpus["doc_id"][int(negatives.doc[row])].as_py()
        raise InputError(f"document {doc!r} is a positive and a negative of it; select again", row_id=query)


def _counts(
    selection: SelectedTables,
    positives: _Rows,
    negatives: _Rows,
    group: Int64,
    negative_group: Int64,
    length: Int64,
    written: Bool,
    found: int,
    left: int,
) -> Counts:
    """`found` and `left`: the table's rows still there once repeats, and what is past a cut, are gone."""

    def queries(of_groups: Bool) -> int:
        return len(distinct(positives.query[of_groups[group]]))

    filled = length > 0
    in_file = len(distinct(negatives.origin[written[negative_group]]))
    return Counts(
        queries_given=queries(length >= 0),
        queries=queries(written),
        queries_without_negatives=queries(length >= 0) - queries(filled),
        queries_short=queries(filled) - queries(written),
        positives_given=len(selection.positives),
        positives=int(written[group].sum()),
        positives_without_negatives=int((~filled)[group].sum()),
        positives_short=int((filled & ~written)[group].sum()),
        positives_repeated=len(selection.positives) - len(positives.query),
        positives_left_out=0,
        negatives_given=len(selection.negatives),
        negatives=in_file,
        negatives_short=left - in_file,
        negatives_cut=found - left,
        negatives_without_score=0,
        negatives_repeated=len(selection.negatives) - found,
    )
