"""max_reuse: how often one document may serve as a negative.

It looks across queries. They are served in the order of their rows, which is that of the bytes of their ids,
whatever the seed: earlier ones take what they prefer, later ones what is not used up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hardneg.records import Bool, Int32


class Reuse:
    """Counts the uses of each document through all blocks of one selection; blocks come in ascending order.

    With `limit` None everything may be used for ever, and nothing is counted.
    """

    def __init__(self, limit: int | None, num_docs: int) -> None:
        self.limit = limit
        self._uses = np.zeros(num_docs if limit is not None else 0, np.int32)
        self._last_query = -1

    def start_block(self, query: Int32) -> None:
        """Note the block's queries, so that no order but the stated one goes through unseen."""
        if self.limit is None or not len(query):
            return
        rows = np.concatenate([[self._last_query], query])
        if (np.diff(rows) <= 0).any():
            raise ValueError("max_reuse: queries must come in ascending order of their rows, each once")
        self._last_query = int(query[-1])

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What is used inside is not counted afterwards."""
        uses, last = self._uses.copy(), self._last_query
        try:
            yield
        finally:
            self._uses, self._last_query = uses, last

    def free(self, doc: Int32) -> Bool:
        """Where a document may still be used: bool like doc."""
        if self.limit is None:
            return np.ones(doc.shape, np.bool_)
        free: Bool = self._uses[doc] < self.limit
        return free

    def use(self, doc: Int32) -> None:
        """Count one use of each of these documents, all different."""
        if self.limit is not None:
            self._uses[doc] += 1
