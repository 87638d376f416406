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
from triton.tools.tensor_descriptor import TensorDescriptor

QUERIES, DOCUMENTS, INNER = 128, 128, 64
"""A tile; dimensions are filled up with zeros to a multiple of the last."""
_STEPS_AHEAD = 3
"""Along the dimension: two programs then share a multiprocessor, one comparing while the other multiplies."""
_TILES_IN_A_GROUP = 16
"""Tiles of queries that follow each other over one tile of documents, which then stays in the L2 cache."""


@triton.jit  # type: ignore[untyped-decorator]  # Triton has no types
def _keep_above(
    queries: tl.tensor,
    documents: tl.tensor,
    threshold: tl.tensor,
    count: tl.tensor,
    score: tl.tensor,
    row: tl.tensor,
    query_rows: tl.tensor,
    document_rows: tl.tensor,
    first_row: tl.tensor,
    capacity: tl.tensor,
    scale: tl.tensor,
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
    first_query = (group * tiles_in_a_group + within % in_group) * queries_a_tile
    first_document = (within // in_group) * documents_a_tile
    sums = tl.zeros((queries_a_tile, documents_a_tile), dtype=tl.float32)
    for step in range(0, dimension, inner_a_step):
        left = queries.load([first_query, step])
        right = documents.load([first_document, step])
        sums = tl.dot(left, right.T, sums)
    sums *= scale
    query = first_query + tl.arange(0, queries_a_tile)
    document = first_document + tl.arange(0, documents_a_tile)
    least = tl.load(threshold + query, mask=query < query_rows, other=float("inf"))
    kept = (sums > least[:, None]) & (document < document_rows)[None, :]
    found = tl.sum(kept.to(tl.int32), axis=1)
    place = tl.atomic_add(count + query, found, mask=found > 0, sem="relaxed")
    # Of each query one at a time: next to no query has more than one in a tile.
    for _ in range(tl.max(found, axis=0)):
        last = tl.max(tl.where(kept, document[None, :], -1), axis=1)
        chosen = kept & (document[None, :] == last[:, None])
        fits = (last >= 0) & (place < capacity)
        target = query.to(tl.int64) * capacity + place
        tl.store(score + target, tl.max(tl.where(chosen, sums, -float("inf")), axis=1), mask=fits)
        tl.store(row + target, first_row + last, mask=fits)
        kept = kept & (document[None, :] != last[:, None])
        place += 1


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
        TensorDescriptor.from_tensor(queries, [QUERIES, INNER]),
        TensorDescriptor.from_tensor(documents, [DOCUMENTS, INNER]),
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
        num_warps=4,
        num_stages=_STEPS_AHEAD,
    )
