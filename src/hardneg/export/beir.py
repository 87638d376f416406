"""BEIR's qrels: a header line, then `query-id TAB corpus-id TAB score`; the negatives have relevance 0.

To a name in `.parquet`, the same columns, as collections on the Hub have them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.export.examples import Examples
from hardneg.export.formats import Format
from hardneg.export.identifiers import refuse_ids
from hardneg.export.options import ExportOptions

LINE_BREAKING = r'[\t\n\x0B\x0C\r\x{1C}-\x{1E}\x{85}\x{2028}\x{2029}]|^"|^$'
"""A tab; what `str.splitlines` ends a line at; a quote, which CSV readers would look for the other of."""


def rows(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a negative, and with the option `positives` one before them for each positive, relevance 1."""
    is_positive = examples.is_positive
    entry = np.arange(len(is_positive)) if options.positives else np.flatnonzero(~is_positive)
    query_id = examples.query_id.take(pa.array(examples.group[entry]))
    doc_id = examples.doc_id.take(pa.array(entry))
    relevance = pa.array(is_positive[entry].astype(np.int64))
    return pa.table({"query-id": query_id, "corpus-id": doc_id, "score": relevance})


def refuse(table: pa.Table) -> None:
    """Raises InputError for an id that would break the line: a tab or a line end in it, a quote before it."""
    for column, name in (("query-id", "query_id"), ("corpus-id", "doc_id")):
        refuse_ids(
            table[column].combine_chunks(),
            LINE_BREAKING,
            name,
            "tabs, line ends and a leading quote cannot stand in lines of qrels; write .parquet",
        )


FORMATS = {
    "beir": Format(
        rows=rows,
        kinds={"": "lines", ".parquet": "parquet"},
        takes=frozenset({"ids", "positives"}),
        header=True,
        refuse=refuse,
        needs_positives=False,
        holds_texts=False,
    )
}
