"""Rows that stand in a file once, however many blocks they come with: texts by their ids."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.texts import text_number


class WrittenOnce:
    """Remembers the keys that passed, as 64-bit digests: ids of millions of documents would be too much."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._seen: set[int] = set()

    def unseen(self, table: pa.Table) -> pa.Table:
        """The first row of each key that was not met before."""
        column = table[self._key].combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        used = column.indices.unique()
        first = pc.index_in(used, value_set=column.indices)
        numbers = [text_number(str(one)) for one in column.dictionary.take(used).to_pylist()]
        new = []
        for number in numbers:
            new.append(number not in self._seen)
            self._seen.add(number)
        return table.take(first.filter(pa.array(new, pa.bool_())))
