"""Vectors of a table's rows, read from the store's shards a part at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hardneg.encode.hashes import Hashes
from hardneg.encode.store import Locations, Space
from hardneg.encode.widening import widened
from hardneg.errors import StoreError
from hardneg.records import Float32, Int32


class StoredVectors:
    """`protocols.Vectors` over memory-mapped shards: row i of the table is (shard[i], row[i]).

    In memory are eight bytes a row; a part is gathered into float32 when it is asked for. Rows that have one
    text share one stored vector. Raises StoreError, naming the file, where a shard is damaged.
    """

    def __init__(self, space: Space, locations: Locations, dimension: int) -> None:
        self.folder = space.folder
        self.shape = (len(locations.shard), dimension)
        self._space = space
        self._locations = locations

    @classmethod
    def open(cls, folder: Path | str, hashes: Hashes) -> StoredVectors:
        """The vectors of these texts from a store folder; no model is loaded.

        Raises StoreError where the folder is gone or some texts are no longer in it.
        """
        space = Space(folder)
        locations = space.lookup(hashes)
        if locations.missing.any():
            raise StoreError(
                f"{folder}: holds no vector of {int(locations.missing.sum())} of {len(hashes)} texts "
                "any more; run `hardneg mine` again"
            )
        return cls(space, locations, space.dimension or 0)

    def take(self, rows: Int32) -> Float32:
        """float32 (len(rows), dimension)."""
        return self._gather(self._locations.shard[rows], self._locations.row[rows])

    def block(self, start: int, stop: int) -> Float32:
        """float32 (stop - start, dimension)."""
        return self._gather(self._locations.shard[start:stop], self._locations.row[start:stop])

    def _gather(self, shard: Int32, row: Int32) -> Float32:
        out = np.empty((len(shard), self.shape[1]), np.float32)
        order = np.argsort(shard, kind="stable")
        cuts = np.flatnonzero(np.diff(shard[order])) + 1
        for places in np.split(order, cuts) if len(order) else []:
            vectors = self._space.shard(self._locations.stems[shard[places[0]]])
            wanted = row[places]
            found = vectors[_as_run(wanted)]
            if len(found) == len(shard):
                return widened(found)
            out[places] = widened(found) if found.dtype == np.float16 else found
        return out


def _as_run(rows: Int32) -> Int32 | slice:
    """A slice, which copies nothing, where the rows follow on each other."""
    return slice(rows[0], rows[-1] + 1) if (np.diff(rows) == 1).all() else rows
