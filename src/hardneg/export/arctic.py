"""Arctic Embed's training data before it is tokenised: a table of queries, of documents, and of their pairs.

Read in snowflakedb/ArcticTraining, `projects/arctic_embed/src/arctic_embed/data_processing/pretokenize.py`
(`PretokenizeAndBatchMinedDataConfig`) and `projects/arctic_embed/examples/finetune_models/README.md`:
`QUERY_ID` and `DOCUMENT_ID` are uint64, `RELEVANCE` is 1 or -1, and above 0 is a positive; a query without
positives, or without negatives, ends the tokenising. An id that is a decimal number stays the number, any
other is hashed; with ids asked for, they stand beside it in a column that Arctic does not read.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.export.examples import Examples
from hardneg.export.formats import FOLDER, FolderFile, Format
from hardneg.export.identifiers import as_numbers
from hardneg.export.options import ExportOptions


def pairs(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a query and a document, positives first: QUERY_ID, DOCUMENT_ID, RELEVANCE."""
    return pa.table(
        {
            "QUERY_ID": as_numbers(examples.query_id).take(pa.array(examples.group)),
            "DOCUMENT_ID": as_numbers(examples.doc_id),
            "RELEVANCE": pa.array(np.where(examples.is_positive, 1, -1).astype(np.int8)),
        }
    )


def queries(examples: Examples, options: ExportOptions) -> pa.Table:
    return _texts("QUERY", examples.query_id, examples.query, options)


def documents(examples: Examples, options: ExportOptions) -> pa.Table:
    return _texts("DOCUMENT", examples.doc_id, examples.text, options)


def _texts(kind: str, ids: pa.DictionaryArray, texts: pa.DictionaryArray, options: ExportOptions) -> pa.Table:
    columns = {f"{kind}_ID": as_numbers(ids), f"{kind}_TEXT": texts}
    # Lower case: its script for joining data sets makes numbers of all columns that end in `ID`.
    return pa.table(columns | ({f"{kind.lower()}_id": ids} if options.ids else {}))


FORMATS = {
    "arctic": Format(
        rows=pairs,
        kinds=FOLDER,
        takes=frozenset({"ids"}),
        folder={
            "labels.parquet": FolderFile(pairs, "parquet"),
            "queries.parquet": FolderFile(queries, "parquet", key="QUERY_ID"),
            "documents.parquet": FolderFile(documents, "parquet", key="DOCUMENT_ID"),
        },
    )
}
