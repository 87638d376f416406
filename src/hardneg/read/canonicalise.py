"""Where every source becomes a Collection: ids unique, tables sorted, labels checked, all counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import ReadConfig
from hardneg.errors import InputError
from hardneg.quantities import counted
from hardneg.read.bad_rows import BadRows
from hardneg.read.judgments import Labels, canonical_given, canonical_judgments
from hardneg.read.labels import is_positive
from hardneg.read.merge import merge_same_id
from hardneg.read.parsed import DOCUMENTS, FILE, GIVEN, JUDGMENTS, LINE, QUERIES, Parsed
from hardneg.read.same_text import named_ids
from hardneg.read.tables import concatenated
from hardneg.records import CORPUS, Bool, Collection, ReadReport
from hardneg.records import QUERIES as FINAL_QUERIES
from hardneg.texts import blank_documents, normalise


def canonicalise(parsed: Parsed, source: str, config: ReadConfig, bad: BadRows) -> Collection:
    """Merge, sort and check. Raises InputError for a bad row, or where no query is left."""
    counts, notes = dict(parsed.counts), list(parsed.notes)
    corpus, renamed = _corpus(parsed, counts, notes, bad)
    queries = _unique(parsed.queries, QUERIES, "query_id", "queries", counts, notes, bad)
    judgments = _rename(_all(parsed.judgments, JUDGMENTS), renamed)
    given = _rename(_all(parsed.given, GIVEN), renamed)
    labels = canonical_judgments(judgments, queries["query_id"], corpus, config, counts, notes, bad)
    given_labels = canonical_given(
        given, labels, queries["query_id"], corpus["doc_id"], config, counts, notes
    )
    if queries.num_rows == 0 or len(labels) == 0:
        raise InputError(_nothing_left(bad, queries.num_rows), file=source)
    _refuse_without_positives(labels, config, source)
    keep = _kept_queries(labels, queries["text"], config, notes)
    labels, given_labels = labels.filter(keep[labels.query]), given_labels.filter(keep[given_labels.query])
    tables = {
        "qrels": labels.table(queries["query_id"], corpus["doc_id"], with_relevance=True),
        "given": given_labels.table(queries["query_id"], corpus["doc_id"], with_relevance=False),
        "queries": _final(queries.filter(pa.array(keep)), FINAL_QUERIES, ("prompt", "lang"), notes),
        "corpus": _final(corpus, CORPUS, ("group", "lang"), notes),
    }
    first_row = parsed.first_row or _first_judgment(judgments, queries, corpus)
    _count(tables, labels, config, counts, notes)
    counts["rows refused"] = len(bad.refused)
    report = ReadReport(source, counts, first_row, tuple(notes), tuple(bad.refused))
    return Collection(**tables, report=report)


# -- documents and queries --------------------------------------------------------------------------


def _corpus(
    parsed: Parsed, counts: dict[str, int], notes: list[str], bad: BadRows
) -> tuple[pa.Table, Mapping[str, str]]:
    """The corpus sorted by id; and id by text → id of the document that it gave way to."""
    named = _unique(parsed.named, DOCUMENTS, "doc_id", "documents", counts, notes, bad)
    if not parsed.loose:
        return named, {}
    loose = _unique(parsed.loose, DOCUMENTS, "doc_id", "documents", counts, notes, bad)
    if not named.num_rows:
        return loose, {}
    renamed = named_ids(loose, named)
    if renamed:
        those = counted(len(renamed), "text without an id stands", "texts without ids stand")
        notes.append(f"{those} in the corpus and took its ids")
    left = pc.invert(pc.is_in(loose["doc_id"], value_set=pa.array(list(renamed), pa.string())))
    both = [named, loose.filter(left)]
    return _unique(both, DOCUMENTS, "doc_id", "documents", counts, notes, bad), renamed


def _unique(
    tables: list[pa.Table],
    schema: pa.Schema,
    id_column: str,
    what: str,
    counts: dict[str, int],
    notes: list[str],
    bad: BadRows,
) -> pa.Table:
    """The tables as one, sorted by id, ids unique."""
    merged = merge_same_id(_all(tables, schema), id_column, bad)
    name = f"duplicate {what} merged"
    counts[name] = counts.get(name, 0) + merged.repeats
    if merged.differing:
        notes.append(
            f"{merged.differing:,} {what} stood there more than once with the same text and other values "
            "beside it; one of them was taken, whatever the order of rows"
        )
    return merged.table


def _all(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    return concatenated(tables) if tables else schema.empty_table()


def _rename(table: pa.Table, renamed: Mapping[str, str]) -> pa.Table:
    """Document ids that gave way to others of the same text."""
    if not renamed:
        return table
    old, new = pa.array(list(renamed), pa.string()), pa.array(list(renamed.values()), pa.string())
    place = pc.index_in(table["doc_id"], value_set=old)
    ids = pc.coalesce(new.take(place.combine_chunks()), table["doc_id"].combine_chunks())
    return table.set_column(table.column_names.index("doc_id"), "doc_id", pa.chunked_array([ids]))


def _final(table: pa.Table, schema: pa.Schema, optional: tuple[str, ...], notes: list[str]) -> pa.Table:
    """Columns of the records' schema first, optional ones only where they hold something, then the others.

    What is no finite number in those becomes null, and is told.
    """
    names = [name for name in optional if table[name].null_count < table.num_rows]
    known = {*schema.names, *optional, FILE, LINE}
    names += sorted(name for name in table.column_names if name not in known)
    return _finite(table.select([*schema.names, *names]), notes)


def _finite(table: pa.Table, notes: list[str]) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            finite = pc.is_finite(table[place])
            bad = pc.sum(pc.invert(finite)).as_py()
            if bad:
                notes.append(f"column {field.name!r}: {bad:,} values are NaN or infinite, and became null")
                nothing = pa.scalar(None, field.type)
                table = table.set_column(place, field, pc.if_else(finite, table[place], nothing))
    return table


# -- which queries, and what there is ---------------------------------------------------------------


def _kept_queries(labels: Labels, texts: pa.ChunkedArray, config: ReadConfig, notes: list[str]) -> Bool:
    """bool (queries,): those that have a judgment; under a limit the first of those with a positive, and
    with them all of the same normalised text, for their positives are no negatives."""
    keep = np.zeros(len(texts), bool)
    keep[labels.query] = True
    if config.limit_queries is not None:
        with_positive = np.unique(labels.query[is_positive(labels.relevance, config.min_relevance)])
        keep[:] = False
        keep[with_positive[: config.limit_queries]] = True
        notes.append(
            f"limit: the first {int(keep.sum()):,} of "
            f"{counted(len(with_positive), 'query', 'queries')} with a positive"
        )
        judged = np.unique(labels.query)
        normalised = [normalise(text) for text in texts.take(pa.array(judged)).to_pylist()]
        wanted = {text for text, row in zip(normalised, judged, strict=True) if keep[row]}
        first = int(keep.sum())
        keep[judged[[text in wanted for text in normalised]]] = True
        if keep.sum() > first:
            notes.append(f"  and {int(keep.sum()) - first:,} more that have the text of one of them")
    return keep


def _refuse_without_positives(labels: Labels, config: ReadConfig, source: str) -> None:
    if is_positive(labels.relevance, config.min_relevance).any():
        return
    least = "above 0" if config.min_relevance is None else f"{config.min_relevance:g} or more"
    raise InputError(
        f"holds no positive: the highest relevance is {labels.relevance.max():g}, and a positive has {least} "
        "(--min-relevance)",
        file=source,
    )


def _nothing_left(bad: BadRows, num_queries: int) -> str:
    if not bad.refused:
        return "holds no query with a judgment" if num_queries else "is empty: it holds no row"
    first = bad.refused[0]
    return (
        f"no row is left of it: {len(bad.refused):,} were refused, "
        f"the first in {first['file']}, line {first['line']}: {first['reason']}"
    )


def _count(
    tables: Mapping[str, pa.Table],
    labels: Labels,
    config: ReadConfig,
    counts: dict[str, int],
    notes: list[str],
) -> None:
    """Put what there is before what happened to it."""
    positive = is_positive(labels.relevance, config.min_relevance)
    low = ~positive & (labels.relevance > 0)
    now = {
        "documents": tables["corpus"].num_rows,
        "queries": tables["queries"].num_rows,
        "positives": int(positive.sum()),
        "judged negatives": int((~positive & (labels.relevance <= 0)).sum()),
        "given negatives": tables["given"].num_rows,
        "judgments below min_relevance": int(low.sum()),
        "empty documents": int(blank_documents(tables["corpus"]).sum()),
    }
    events = {name: number for name, number in counts.items() if name not in now}
    counts.clear()
    counts.update({**now, **events})
    without = tables["queries"].num_rows - len(np.unique(labels.query[positive]))
    if without:
        notes.append(f"{counted(without, 'query has', 'queries have')} judgments but no positive")


def _first_judgment(judgments: pa.Table, queries: pa.Table, corpus: pa.Table) -> dict[str, Any]:
    """The first judgment that was read, with its texts."""
    for row in judgments.slice(0, 100).to_pylist():
        query = _row(queries, "query_id", row["query_id"])
        doc = _row(corpus, "doc_id", row["doc_id"])
        if query is not None and doc is not None:
            shown = {"query_id": row["query_id"], "query": query["text"], "doc_id": row["doc_id"]}
            shown |= {name: doc[name] for name in ("title", "text") if doc[name]}
            return {**shown, "relevance": row["relevance"]}
    return {}


def _row(table: pa.Table, column: str, value: str) -> dict[str, Any] | None:
    place = pc.index(table[column], value).as_py()
    found: dict[str, Any] | None = table.slice(place, 1).to_pylist()[0] if place >= 0 else None
    return found
