"""One pass over scores that are never stored: multiply, compare with a threshold, keep what is above.

Each program multiplies a tile of queries with a tile of documents in half precision, summed in float32, and
appends what lies above a query's threshold to that query's row of a buffer. Of ten million documents some
hundreds are above, so next to nothing is written, and the product's own rate is nearly kept.

Importing this module needs Triton, a compiler of such programs, which torch's builds for GPUs bring along.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

QUERIES, DOCUMENTS, INNER = 128, 256, 64
"""A tile; dimensions are filled up with zeros to a multiple of the last."""
_STAGE_BYTES = 2 * (QUERIES + DOCUMENTS) * INNER
_TILES_IN_A_GROUP = 16
"""Tiles of queries that follow each other over one tile of documents, which then stays in the L2 cache."""


@triton.jit  # type: ignore[untyped-decorator]  # Triton has no types
def _keep_above(
    queries: Any,
    documents: Any,
    threshold: Any,
    count: Any,
    score: Any,
    row: Any,
    query_rows: Any,
    document_rows: Any,
    first_row: Any,
    capacity: Any,
    scale: Any,
    dimension: tl.constexpr,
    queries_a_tile: tl.constexpr,
    documents_a_tile: tl.constexpr,
    inner_a_step: tl.constexpr,
    tiles_in_a_group: tl.constexpr,
) -> None:
    tiles_of_queries = tl.cdiv(query_rows, queries_a_tile)
    tiles_of_documents = tl.cdiv(document_rows, documents_a_tile)
    tile = tl.program_id(0)
    group = tile // (tiles_in_a_group * tiles_of_documents)
    in_group = min(tiles_of_queries - group * tiles_in_a_group, tiles_in_a_group)
    within = tile % (tiles_in_a_group * tiles_of_documents)
    query = (group * tiles_in_a_group + within % in_group) * queries_a_tile + tl.arange(0, queries_a_tile)
    document = (within // in_group) * documents_a_tile + tl.arange(0, documents_a_tile)
    inner = tl.arange(0, inner_a_step)
    # What lies past the end is read from a row that exists, and not kept.
    left = queries + (query % query_rows).to(tl.int64)[:, None] * dimension + inner[None, :]
    right = documents + (document % document_rows).to(tl.int64)[None, :] * dimension + inner[:, None]
    sums = tl.zeros((queries_a_tile, documents_a_tile), dtype=tl.float32)
    for _ in range(0, dimension, inner_a_step):
        sums = tl.dot(tl.load(left), tl.load(right), sums)
        left += inner_a_step
        right += inner_a_step
    sums *= scale
    least = tl.load(threshold + query, mask=query < query_rows, other=float("inf"))
    kept = (sums > least[:, None]) & (document < document_rows)[None, :]
    ones = tl.full((queries_a_tile, documents_a_tile), 1, tl.int32)
    counts = tl.broadcast_to((count + query)[:, None], (queries_a_tile, documents_a_tile))
    place = tl.atomic_add(counts, ones, mask=kept)
    fits = kept & (place < capacity)
    place = query.to(tl.int64)[:, None] * capacity + place
    rows = tl.broadcast_to(first_row + document[None, :], (queries_a_tile, documents_a_tile))
    tl.store(score + place, sums, mask=fits)
    tl.store(row + place, rows, mask=fits)


def keep_above(
    queries: Any,
    documents: Any,
    scale: float,
    threshold: Any,
    count: Any,
    score: Any,
    row: Any,
    first_row: int,
) -> None:
    """Append to each query's row of `score` and `row` the documents that score above its threshold.

    queries, documents  float16 (n, dimension), contiguous, the dimension a multiple of INNER
    scale               what scores are multiplied by
    threshold           float32 (queries,)
    count               int32 (queries,): how many a row holds; counts on where a row is full, so that a
                        count above the buffer's width tells what was lost
    score, row          float32 and int32 (queries, capacity), contiguous; row numbers begin at `first_row`

    All on one device. The order within a row is left to chance.
    """
    programs = triton.cdiv(len(queries), QUERIES) * triton.cdiv(len(documents), DOCUMENTS)
    _keep_above[(programs,)](
        queries,
        documents,
        threshold,
        count,
        score,
        row,
        len(queries),
        len(documents),
        first_row,
        score.shape[1],
        scale,
        dimension=queries.shape[1],
        queries_a_tile=QUERIES,
        documents_a_tile=DOCUMENTS,
        inner_a_step=INNER,
        tiles_in_a_group=_TILES_IN_A_GROUP,
        num_warps=8,
        num_stages=_stages(queries.device),
    )


def _stages(device: Any) -> int:
    """How many steps along the dimension are loaded ahead: what the device's shared memory holds."""
    if device.type != "cuda":
        return 1
    import torch

    room = torch.cuda.get_device_properties(device).shared_memory_per_block_optin
    return int(min(4, room // _STAGE_BYTES))
