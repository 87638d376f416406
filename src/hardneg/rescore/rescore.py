"""Scores of one scorer for pairs of a query and a document, each distinct pair of texts scored once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import LARGEST_SCORE
from hardneg.errors import ModelError
from hardneg.protocols import Scorer
from hardneg.records import Float32, Int32, Int64
from hardneg.texts import take

_PAIRS = 1024  # pairs handed to the scorer at a time


def score_pairs(
    query: Int32,
    document: Int32,
    scorer: Scorer,
    query_texts: pa.ChunkedArray,
    document_texts: pa.ChunkedArray,
) -> Float32:
    """float32 (pairs,), all finite.

    query           int32 (pairs,): rows of the query table; `document` likewise of the corpus
    query_texts     text of each row of the query table
    document_texts  encoded text of each row of the corpus

    Pairs of the same two texts are scored once. They go to the scorer longest first, so that a batch holds
    texts of one length and what does not fit into memory shows at once. Raises ModelError for a score that is
    missing or not finite.
    """
    queries, query_of = _distinct(query_texts, query)
    documents, document_of = _distinct(document_texts, document)
    pair = query_of.astype(np.int64) << 32 | document_of
    distinct, pair_of = np.unique(pair, return_inverse=True)
    scores: Float32 = _score(distinct, queries, documents, scorer)[pair_of]
    return scores


def _distinct(texts: pa.ChunkedArray, rows: Int32) -> tuple[pa.Array, Int32]:
    """The distinct texts of these rows, and for each row the place of its text among them."""
    used, used_of = np.unique(rows, return_inverse=True)
    encoded = take(texts, used).dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()[used_of]


def _score(pairs: Int64, query: pa.Array, document: pa.Array, scorer: Scorer) -> Float32:
    """float32 (pairs,); a pair is the place of its query << 32 | the place of its document."""
    first, second = pairs >> 32, pairs & 0xFFFFFFFF
    length = lengths(query)[first] + lengths(document)[second]
    order = np.argsort(-length, kind="stable")
    scores = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _PAIRS):
        part = order[start : start + _PAIRS]
        queries = query.take(pa.array(first[part])).to_pylist()
        documents = document.take(pa.array(second[part])).to_pylist()
        scores[part] = _checked(scorer, list(zip(queries, documents, strict=True)))
    return scores


def lengths(texts: pa.Array | pa.ChunkedArray) -> Int64:
    """Characters of each text."""
    found: Int64 = pc.utf8_length(texts).to_numpy().astype(np.int64)
    return found


def _checked(scorer: Scorer, pairs: list[tuple[str, str]]) -> Float32:
    """What the scorer gives, if it is one finite number a pair."""
    try:
        given = np.asarray(scorer.score(pairs))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"scorer {scorer.name!r} gave what are no numbers ({error})") from error
    if given.dtype.kind not in "fiu":
        raise ModelError(f"scorer {scorer.name!r} gave {given.dtype}; floats are needed")
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused
        scores: Float32 = given.astype(np.float32)
    if scores.shape != (len(pairs),):
        raise ModelError(f"scorer {scorer.name!r} gave shape {scores.shape} for {len(pairs)} pairs")
    if not (np.abs(scores) <= LARGEST_SCORE).all():
        raise ModelError(
            f"scorer {scorer.name!r} gave NaN, or a number beyond {LARGEST_SCORE:g}; check its model and its "
            "precision"
        )
    return scores
