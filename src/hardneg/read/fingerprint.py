"""What a collection holds, as one short text: equal content, equal fingerprint."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.records import Collection

BLOCK_ROWS = 65_536


def fingerprint(collection: Collection) -> str:
    """Hash of all tables: of their values, not of chunks, string widths or the report."""
    state = hashlib.blake2b(b"hardneg collection 1", digest_size=16)
    for name in ("corpus", "queries", "qrels", "given"):
        table = getattr(collection, name)
        state.update(f"\0{name} {table.num_rows}".encode())
        for column in table.column_names:
            state.update(f"\0{column}\0".encode())
            for start in range(0, table.num_rows, BLOCK_ROWS):
                _add(state, table[column].slice(start, BLOCK_ROWS))
    return state.hexdigest()


def _add(state: Any, block: pa.ChunkedArray) -> None:
    """Feed a block's values: validity, then lengths and bytes of strings, or the bytes of numbers."""
    kind = block.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        filled = pc.fill_null(block, "").cast(pa.large_string()).combine_chunks()
        array = filled.chunk(0) if isinstance(filled, pa.ChunkedArray) else filled
        _add_fixed(state, b"s", block, pc.binary_length(array).to_numpy(zero_copy_only=False))
        offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
        data = array.buffers()[2]
        if data is not None and len(offsets):
            state.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = pc.fill_null(block, 0).to_numpy()
        _add_fixed(state, str(kind).encode(), block, values)
    else:
        state.update(repr(block.to_pylist()).encode("utf-8", "surrogatepass"))


def _add_fixed(state: Any, kind: bytes, block: pa.ChunkedArray, values: np.ndarray) -> None:
    state.update(kind)
    state.update(np.packbits(pc.is_null(block).to_numpy()).tobytes())
    state.update(np.ascontiguousarray(values).tobytes())
