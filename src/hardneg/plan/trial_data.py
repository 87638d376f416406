"""What a trial's students may look at: texts, and the vectors that the run searched with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from hardneg.config import Config
from hardneg.errors import UsageError
from hardneg.fingerprints import digest
from hardneg.plan.prepare import Prepared
from hardneg.plan.retrievers import OwnParts, Source, sources
from hardneg.protocols import Kind, Vectors
from hardneg.records import Float32, Int32
from hardneg.run_directory import RunDirectory
from hardneg.texts import document_texts, take


@dataclass(frozen=True)
class Data:
    """`protocols.Studied`: rows of the trial's queries and of the run's corpus.

    queries  the trial's, `text` and perhaps `prompt`
    """

    prepared: Prepared
    queries: pa.Table
    config: Config
    own: OwnParts

    def query_texts(self, rows: Int32) -> list[str]:
        texts: list[str] = take(self.queries["text"], rows).to_pylist()
        return texts

    def document_texts(self, rows: Int32) -> list[str]:
        texts: list[str] = take(self._documents, rows).to_pylist()
        return texts

    def query_vectors(self, rows: Int32) -> Float32:
        return self._vectors("query", rows)

    def document_vectors(self, rows: Int32) -> Float32:
        return self._vectors("document", rows)

    @cached_property
    def mark(self) -> str:
        """A digest of what decides the vectors and texts, beside the run's tables."""
        try:
            vectors = next((one.identity for one in self._sources if one.vectors is not None), None)
        except UsageError:  # a caller's own retriever that is not here; whoever needs vectors will say so
            vectors = None
        return digest([vectors, self.config.encode.join_title])

    @cached_property
    def _documents(self) -> pa.ChunkedArray:
        return document_texts(self.prepared.collection.corpus, self.config.encode.join_title)

    def _vectors(self, kind: Kind, rows: Int32) -> Float32:
        # A pool of rows one after another is read as a block.
        found = self._stored[kind]
        if len(rows) and int(rows[-1]) - int(rows[0]) + 1 == len(rows) and bool((np.diff(rows) == 1).all()):
            return found.block(int(rows[0]), int(rows[-1]) + 1)
        return found.take(rows)

    @cached_property
    def _stored(self) -> dict[Kind, Vectors]:
        vectors = self._source()
        return {"query": vectors("query"), "document": vectors("document")}

    def _source(self) -> Callable[[Kind], Vectors]:
        """Vectors of the first of the run's retrievers that has any."""
        for source in self._sources:
            if source.vectors is not None:
                return source.vectors
        raise UsageError(
            "the student `adapter` learns from stored vectors, and no retriever of this run has any; mine "
            "with a dense retriever too, or take --student static --trial-model NAME"
        )

    @cached_property
    def _sources(self) -> Sequence[Source]:
        """The run's retrievers, over the trial's queries.

        What encoding notes of itself goes to a folder of the trial, so that the run's own notes stay.
        """
        collection = replace(self.prepared.collection, queries=self.queries)
        run = RunDirectory(self.prepared.run.trial / "encoded")
        joined = replace(self.prepared, collection=collection, run=run)
        return sources(joined, self.config, self.own)
