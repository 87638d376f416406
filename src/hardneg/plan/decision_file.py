"""A selection's decisions on disk: as many rows as candidates, so what a row costs is what counts.

Ids are dictionaries, and Parquet writes a dictionary with every row group. So row groups are large, and all
share the corpus's ids as they are; where those are many for the rows of a group, ids are written out instead.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hardneg.errors import HardnegError
from hardneg.files import LARGEST_DICTIONARY, ROWS_A_BATCH, check_written, parquet_writer, refuse_not_finite
from hardneg.records import DECISIONS
from hardneg.select import Selection, decision_table

ROWS_A_GROUP = 1 << 24
"""Rows held before they are written, 20 bytes each; as many again may be on their way to the disk."""
ROWS_AN_ID = 4
"""From so many rows of a group for each document on, a dictionary of all documents is less work."""
_NAMED = ["query_id", "decision", "reason"]


class DecisionFile:
    """Takes block after block; a thread of its own writes a group while the next is chosen.

    `finish` writes the rest; `close` lets the file go, whether it is whole or not.
    """

    def __init__(self, path: Path, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> None:
        self._path, self._query_ids = path, query_ids
        whole = doc_ids.nbytes < LARGEST_DICTIONARY
        self._doc_ids = doc_ids.cast(pa.string()).combine_chunks() if whole else doc_ids
        self._held: list[pa.Table] = []
        self._rows = 0
        self._closing = ExitStack()
        self._writer: pq.ParquetWriter | None = None
        self._thread = ThreadPoolExecutor(1)
        self._behind: Future[None] | None = None

    @property
    def rows_held(self) -> int:
        return sum(map(len, self._held))

    def add(self, selection: Selection) -> None:
        self._held.append(decision_table(selection, self._query_ids, self._doc_ids))
        if self.rows_held >= ROWS_A_GROUP:
            self._pass_on()

    def finish(self) -> None:
        """Raises DamagedError where the file, read back, is not what was written."""
        if self._held or self._writer is None:
            self._pass_on()
        self._wait()
        self._closing.close()
        check_written(self._path, DECISIONS.names, self._rows)

    def close(self) -> None:
        self._thread.shutdown()
        # An error on the way is told by whom it met; a file that is thrown away need not be whole.
        with suppress(OSError, HardnegError, pa.ArrowInvalid):
            self._closing.close()

    def _pass_on(self) -> None:
        self._wait()
        held, self._held = self._held, []
        self._behind = self._thread.submit(self._write, held)

    def _wait(self) -> None:
        if self._behind is not None:
            self._behind.result()
            self._behind = None

    def _write(self, held: list[pa.Table]) -> None:
        table = pa.concat_tables(held) if held else DECISIONS.empty_table()
        table = table.set_column(0, DECISIONS.field(0), table["query_id"].unify_dictionaries())
        if self._writer is None:
            self._writer = self._closing.enter_context(self._open(len(table)))
        refuse_not_finite(table, str(self._path))
        self._rows += len(table)
        self._writer.write_table(table, row_group_size=max(len(table), 1))

    def _open(self, rows: int) -> AbstractContextManager[pq.ParquetWriter]:
        """rows: of a group, about"""
        few = isinstance(self._doc_ids, pa.Array) and len(self._doc_ids) * ROWS_AN_ID <= rows
        return parquet_writer(
            self._path,
            DECISIONS,
            compression="snappy",
            use_dictionary=[*_NAMED, "doc_id"] if few else _NAMED,
            dictionary_pagesize_limit=LARGEST_DICTIONARY,
            # Statistics of columns that nobody filters by would take as long as the writing itself.
            write_statistics=["query_id"],
            write_batch_size=ROWS_A_BATCH,
        )
