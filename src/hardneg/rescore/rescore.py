"""Scores of one scorer for all candidates and positives of a block, each distinct pair scored once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import ModelError, UsageError
from hardneg.protocols import Progress, Scorer
from hardneg.records import NO_DOC, Block, Float32, Int32, Int64
from hardneg.texts import take

_PAIRS = 1024  # pairs handed to the scorer at a time


def rescore_block(
    block: Block,
    scorer: Scorer,
    query_texts: pa.ChunkedArray,
    document_texts: pa.ChunkedArray,
    progress: Progress,
) -> Block:
    """The block with `scorer.name` among its `scores` and `positive_scores`: no candidate and no positive
    without a score, NaN only where there is no document.

    query_texts     text of each row of the query table
    document_texts  encoded text of each row of the corpus

    Pairs of the same two texts are scored once. They go to the scorer longest first, so that a batch holds
    texts of one length and what does not fit into memory shows at once. Raises ModelError for a score that is
    missing or not finite, UsageError for a scorer with the name of a retriever.
    """
    if scorer.name in block.scores:
        raise UsageError(f"the block has scores of {scorer.name!r} already; give the scorer another name")
    documents = np.concatenate([block.doc, block.positive], axis=1)
    row, column = np.nonzero(documents != NO_DOC)
    query, query_of = _distinct(query_texts, block.query)
    document, document_of = _distinct(document_texts, documents[row, column])
    pair = query_of[row].astype(np.int64) << 32 | document_of
    distinct, pair_of = np.unique(pair, return_inverse=True)
    scores = np.full(documents.shape, np.nan, np.float32)
    scores[row, column] = _score(distinct, query, document, scorer, progress)[pair_of]
    width = block.doc.shape[1]
    return replace(
        block,
        scores={**block.scores, scorer.name: scores[:, :width].copy()},
        positive_scores={**block.positive_scores, scorer.name: scores[:, width:].copy()},
    )


def _distinct(texts: pa.ChunkedArray, rows: Int32) -> tuple[pa.Array, Int32]:
    """The distinct texts of these rows, and for each row the place of its text among them."""
    used, used_of = np.unique(rows, return_inverse=True)
    encoded = take(texts, used).dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()[used_of]


def _score(pairs: Int64, query: pa.Array, document: pa.Array, scorer: Scorer, progress: Progress) -> Float32:
    """float32 (pairs,); a pair is the place of its query << 32 | the place of its document."""
    first, second = pairs >> 32, pairs & 0xFFFFFFFF
    length = _lengths(query)[first] + _lengths(document)[second]
    order = np.argsort(-length, kind="stable")
    scores = np.empty(len(pairs), np.float32)
    with progress.track(f"scoring with {scorer.name}", len(pairs), "pairs") as advance:
        for start in range(0, len(pairs), _PAIRS):
            part = order[start : start + _PAIRS]
            queries = query.take(pa.array(first[part])).to_pylist()
            documents = document.take(pa.array(second[part])).to_pylist()
            scores[part] = _checked(scorer, list(zip(queries, documents, strict=True)))
            advance(len(part))
    return scores


def _lengths(texts: pa.Array) -> Int64:
    lengths: Int64 = pc.utf8_length(texts).to_numpy().astype(np.int64)
    return lengths


def _checked(scorer: Scorer, pairs: list[tuple[str, str]]) -> Float32:
    """What the scorer gives, if it is one finite number a pair."""
    scores = np.asarray(scorer.score(pairs), np.float32)
    if scores.shape != (len(pairs),):
        raise ModelError(f"scorer {scorer.name!r} gave shape {scores.shape} for {len(pairs)} pairs")
    if not np.isfinite(scores).all():
        raise ModelError(f"scorer {scorer.name!r} gave NaN or infinity; check its model and its precision")
    return scores
