"""Blocks of groups with their texts: the only place where ids meet texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.export.columns import constant, offsets
from hardneg.export.layout import Layout
from hardneg.export.options import ExportOptions, SelectedTables
from hardneg.records import Bool, Float32, Int32, Int64
from hardneg.texts import document_texts, text_id

DOCUMENTS_A_BLOCK = 8192
"""Entries whose texts are held at a time; a group is never cut, so one of more entries is a block alone."""


@dataclass(frozen=True)
class Examples:
    """A block of groups. Texts and ids are dictionary arrays, so that a repeated text is held once.

    query_id, query  (groups,)
    prompt           (groups,), "" where the query has none; None unless asked for
    start            int64 (groups + 1,): entries of group g are `start[g]` to `start[g + 1] - 1`
    num_positives    int64 (groups,): so many entries of a group are positives, and stand first
    doc_id, text     (entries,)
    score            float32 (entries,), NaN where there is none
    label            float32 (entries,): how likely it answers
    title, body      (entries,): the text in two, for trainers that join them; None: there are no titles
    """

    query_id: pa.DictionaryArray
    query: pa.DictionaryArray
    prompt: pa.DictionaryArray | None
    start: Int64
    num_positives: Int64
    doc_id: pa.DictionaryArray
    text: pa.DictionaryArray
    score: Float32
    label: Float32
    title: pa.DictionaryArray | None = None
    body: pa.DictionaryArray | None = None

    @property
    def titles(self) -> pa.DictionaryArray:
        """(entries,): the title of each, "" where there is none."""
        return constant("", len(self.text)) if self.title is None else self.title

    @property
    def bodies(self) -> pa.DictionaryArray:
        """(entries,): the text of each without its title."""
        return self.text if self.body is None else self.body

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

    def sides(self) -> dict[str, tuple[Int64, Int64]]:
        """`pos` and `neg`: the entries, and (groups + 1,) where each group's begin among them."""
        positive = self.is_positive
        return {
            "pos": (np.flatnonzero(positive), offsets(self.num_positives)),
            "neg": (np.flatnonzero(~positive), offsets(self.num_negatives)),
        }

    def tuples(self) -> tuple[Int64, Int64]:
        """Every positive with all negatives of its group, which are as many everywhere.

        The group of each, and int64 (positives, 1 + negatives): the entries, the positive's first.
        """
        group, positive = self.group[self.is_positive], np.flatnonzero(self.is_positive)
        first_negative = (self.start[:-1] + self.num_positives)[group]
        negatives = first_negative[:, None] + np.arange(int(self.num_negatives[0]))
        return group, np.concatenate([positive[:, None], negatives], axis=1)

    def positives_by_negatives(self) -> tuple[Int64, Int64, Int64]:
        """Every positive with every negative of its group: (group, positive entry, negative entry)."""
        negatives = self.num_negatives
        pairs = self.num_positives * negatives
        group = np.repeat(np.arange(len(pairs)), pairs)
        place = np.arange(len(group)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
        positive = self.start[group] + place // negatives[group]
        negative = self.start[group] + self.num_positives[group] + place % negatives[group]
        return group, positive, negative


def blocks(selection: SelectedTables, layout: Layout, options: ExportOptions) -> Iterator[Examples]:
    """The groups in order, as many at a time as DOCUMENTS_A_BLOCK allows, at least one."""
    begin = 0
    while begin < len(layout.query):
        room = layout.start[begin] + DOCUMENTS_A_BLOCK
        end = max(begin + 1, int(np.searchsorted(layout.start, room, "right")) - 1)
        yield _examples(selection, layout, options, begin, end)
        begin = end


def _examples(
    selection: SelectedTables, layout: Layout, options: ExportOptions, begin: int, end: int
) -> Examples:
    entries = slice(int(layout.start[begin]), int(layout.start[end]))
    query_rows, query_place = np.unique(layout.query[begin:end], return_inverse=True)
    queries = take_rows(selection.queries, query_rows)
    doc_rows, doc_place = np.unique(layout.doc[entries], return_inverse=True)
    columns = [name for name in ("doc_id", "title", "text") if name in selection.corpus.column_names]
    corpus = take_rows(selection.corpus.select(columns), doc_rows)
    titled = options.text == "encoded" and options.join_title and "title" in columns
    texts = document_texts(corpus, titled)
    titles = pc.utf8_trim_whitespace(pc.fill_null(corpus["title"], "")) if titled else None
    return Examples(
        query_id=_dictionary(query_place, queries["query_id"]),
        query=_dictionary(query_place, queries["text"]),
        prompt=_dictionary(query_place, pc.fill_null(queries["prompt"], "")) if options.prompts else None,
        start=layout.start[begin : end + 1] - layout.start[begin],
        num_positives=layout.num_positives[begin:end],
        doc_id=_dictionary(doc_place, corpus["doc_id"]),
        text=_dictionary(doc_place, texts),
        score=layout.score[entries],
        label=layout.label[entries],
        title=None if titles is None else _dictionary(doc_place, titles),
        body=None if titles is None else _dictionary(doc_place, document_texts(corpus, False)),
    )


# -- from the groups of a training file ------------------------------------------------------------------


def examples_of(groups: pa.Table, *, prompts: bool = False) -> Examples:
    """A table of GROUPS as it stands. Who has no id is named by the text, who has no score gets NaN.

    Ids, scores and labels of another number than their texts count as missing.
    """
    sides = [_texts_of(groups, name) for name in ("pos", "neg")]
    lengths = [np.diff(side.offsets.to_numpy()).astype(np.int64) for side in sides]
    group = np.concatenate([np.repeat(np.arange(len(groups)), length) for length in lengths])
    order = pa.array(np.argsort(group, kind="stable"))

    def entries(name: str) -> pa.Array:
        parts = zip(("pos", "neg"), lengths, strict=True)
        return pa.concat_arrays([_aligned(groups[f"{side}_{name}"], length) for side, length in parts]).take(
            order
        )

    text = pa.concat_arrays([side.flatten() for side in sides]).take(order).dictionary_encode()
    query = groups["query"].combine_chunks().dictionary_encode()
    num_all = lengths[0] + lengths[1]
    start = np.concatenate([[0], np.cumsum(num_all)]).astype(np.int64)
    hard = np.concatenate([np.full(lengths[0].sum(), 1.0), np.full(lengths[1].sum(), 0.0)])
    prompt = pc.fill_null(groups["prompt"], "").cast(pa.large_string()).combine_chunks()
    label = entries("label").to_numpy(zero_copy_only=False)
    titles = pc.fill_null(entries("title"), "")
    return Examples(
        query_id=_named(groups["query_id"].combine_chunks(), query, "q-"),
        query=query,
        prompt=prompt.dictionary_encode() if prompts else None,
        start=start,
        num_positives=lengths[0],
        doc_id=_named(entries("id"), text, "d-"),
        text=text,
        score=entries("score").to_numpy(zero_copy_only=False),
        label=np.where(np.isnan(label), hard[order], label).astype(np.float32),
        title=titles.dictionary_encode(),
        body=_without(titles, text).dictionary_encode(),
    )


def _without(titles: pa.Array, texts: pa.DictionaryArray) -> pa.Array:
    """The texts without the titles that they begin with."""
    if not pc.any(pc.not_equal(titles, "")).as_py():
        return texts.dictionary.take(texts.indices)
    pairs = zip(texts.to_pylist(), titles.to_pylist(), strict=True)
    return pa.array(
        [text.removeprefix(title).removeprefix(" ") if title else text for text, title in pairs],
        pa.large_string(),
    )


def _texts_of(groups: pa.Table, name: str) -> pa.ListArray:
    return groups[name].combine_chunks()


def _aligned(column: pa.ChunkedArray, lengths: Int64) -> pa.Array:
    """A value an entry; null where the group has none, or another number of them."""
    lists = column.combine_chunks()
    found = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    fits = found == lengths
    begin = np.cumsum(found) - found
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    index = np.repeat(begin, lengths) + place
    return lists.flatten().take(pa.array(index, mask=~np.repeat(fits, lengths)))


def _named(ids: pa.Array, texts: pa.DictionaryArray, prefix: str) -> pa.DictionaryArray:
    """The ids, and where one is missing the id that the text gives."""
    if ids.null_count:
        own = pa.array([text_id(one, prefix) for one in texts.dictionary.to_pylist()], pa.large_string())
        ids = pc.coalesce(ids.cast(pa.large_string()), own.take(texts.indices))
    return ids.cast(pa.large_string()).dictionary_encode()


def _dictionary(place: Int64, values: pa.ChunkedArray) -> pa.DictionaryArray:
    one = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in values.chunks])
    return pa.DictionaryArray.from_arrays(pa.array(place, pa.int32()), one)


def take_rows(table: pa.Table, rows: Int32) -> pa.Table:
    """These rows, ascending. Arrow's own take may first join a column's chunks: the whole corpus."""
    parts, begin = [], 0
    for batch in table.to_batches():
        inside = rows[np.searchsorted(rows, begin) : np.searchsorted(rows, begin + batch.num_rows)]
        if len(inside):
            parts.append(batch.take(pa.array(inside - begin)))
        begin += batch.num_rows
    return pa.Table.from_batches(parts, table.schema)
