"""Arctic Embed's folder of pairs, queries and documents. A query's pairs stand one after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, group_tables
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.sample import FOLDER, Sample
from hardneg.read.training.texts_by_id import TextColumns, TextsById, texts_beside
from hardneg.read.values import as_id, as_number

_FILES = ("labels.parquet", "queries.parquet", "documents.parquet")


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    labels, queries, documents = (path / name for name in _FILES)
    of_queries = TextColumns("QUERY_ID", "QUERY_TEXT", name="query_id")
    of_documents = TextColumns("DOCUMENT_ID", "DOCUMENT_TEXT", name="document_id")
    return group_tables(
        _grouped(
            labels,
            options,
            texts_beside(queries, of_queries, options),
            texts_beside(documents, of_documents, options),
        )
    )


def _grouped(
    labels: Path, options: ReadOptions, queries: TextsById, documents: TextsById
) -> Iterator[tuple[int, Group]]:
    rows = file_rows(labels)

    def pairs() -> Iterator[tuple[int, str, str, bool]]:
        for line, row in rows.read(options.bad):
            try:
                query, document, positive = _pair(row)
                queries.row_of(query, "QUERY_ID")
                documents.row_of(document, "DOCUMENT_ID")
            except RowError as error:
                options.bad.refuse(error, rows.name, line)
                continue
            yield line, query, document, positive

    for query, of_query in groupby(pairs(), key=lambda pair: pair[1]):
        several = list(of_query)
        positives, negatives = (
            documents.side([pair[2] for pair in several if pair[3] is wanted], "DOCUMENT_ID")
            for wanted in (True, False)
        )
        text = queries.text_of(query, "QUERY_ID")
        yield several[0][0], Group(text, positives, negatives, query_id=queries.name_of(query))


def _pair(row: Row) -> tuple[str, str, bool]:
    """Query, document, whether it is a positive."""
    for name in ("QUERY_ID", "DOCUMENT_ID", "RELEVANCE"):
        if name not in row:
            raise RowError("is not there", name)
    relevance = as_number(row["RELEVANCE"], "RELEVANCE", "relevance")
    return as_id(row["QUERY_ID"], "QUERY_ID"), as_id(row["DOCUMENT_ID"], "DOCUMENT_ID"), relevance > 0


def _recognise(sample: Sample) -> bool:
    return sample.files >= set(_FILES)


READERS = {"arctic": TrainingReader(_groups, (FOLDER,), _recognise)}
