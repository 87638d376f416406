"""Never a part of the document that a positive is a part of (chunks of one document share a `group`)."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.guard.known_positives import KnownPositives
from hardneg.guard.members import NOTHING, by_document, matches
from hardneg.records import Block, Bool


class Group:
    """The document has the group of a positive of the query, or of a query with the same text."""

    code = "group"

    def __init__(self, known: KnownPositives, group: pa.ChunkedArray) -> None:
        """`group` is the corpus's column; null is no group."""
        self._known = known
        indices = group.combine_chunks().dictionary_encode().indices
        self._group = by_document(pc.fill_null(indices, NOTHING).to_numpy(zero_copy_only=False))

    def exclude(self, block: Block) -> Bool:
        return matches(self._group[block.doc], self._group[self._known.shared(block.query)])
