"""What a retriever gave, where it is what a retriever may give: nothing else becomes a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hardneg.config import LARGEST_SCORE
from hardneg.errors import ModelError
from hardneg.records import NO_DOC, Bool, Float32, Int32, Ranking

Naming = Callable[[int], str]
"""The id of the query in this row of the ranking."""


def checked(
    ranking: Ranking, name: str, positives: Int32, depth: int, documents: int, query_id: Naming
) -> Ranking:
    """The ranking in the types of `records.Ranking`.

    positives  int32 (queries, positives): what was asked for
    documents  how many there are

    Raises ModelError, which names retriever, query and row, for another shape or name, a row that is no
    document's, a document twice, a gap, a score that is no finite number, or scores that increase.
    """
    if not isinstance(ranking, Ranking):
        raise ModelError(f"retriever {name!r} gave {type(ranking).__name__}; give a hardneg.records.Ranking")
    if ranking.retriever != name:
        raise ModelError(f"retriever {name!r} calls what it found {ranking.retriever!r}; give both one name")
    given = (ranking.doc, ranking.score, ranking.positive_score)
    try:
        doc, score, positive_score = (np.asarray(array) for array in given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"retriever {name!r} gave what are no arrays ({error})") from error
    _refuse_shapes(name, doc, score, positive_score, positives, depth)

    def refuse(bad: Bool, what: str) -> None:
        if bad.any():
            row, place = (int(found[0]) for found in np.nonzero(bad))
            said = what.format(doc[row, place])
            raise ModelError(f"retriever {name!r}, query {query_id(row)!r}, rank {place + 1}: {said}")

    refuse((doc < NO_DOC) | (doc >= documents), f"document row {{}}, of a corpus of {documents:,} rows")
    rows: Int32 = doc.astype(np.int32)
    found = rows != NO_DOC
    refuse(found[:, 1:] & ~found[:, :-1], "nothing, but a document after it; leave no gaps")
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused
        scores: Float32 = score.astype(np.float32)
        of_positives: Float32 = positive_score.astype(np.float32)
    refuse(found & ~np.isfinite(scores), "a score of document row {} that is no finite number")
    refuse(found & (np.abs(scores) > LARGEST_SCORE), f"a score of document row {{}} beyond {LARGEST_SCORE:g}")
    scores = np.where(found, scores, np.float32(np.nan))
    refuse(scores[:, 1:] > scores[:, :-1], "a score below the next; the best come first")
    refuse(_again(rows), "document row {}, which it has found for this query already")
    beyond = np.abs(of_positives) > LARGEST_SCORE
    if beyond.any():
        row = int(np.nonzero(beyond)[0][0])
        raise ModelError(
            f"retriever {name!r}, query {query_id(row)!r}: a score of a positive beyond {LARGEST_SCORE:g}; "
            "give NaN for none"
        )
    return Ranking(name, rows, scores, of_positives)


def _refuse_shapes(
    name: str, doc: np.ndarray, score: np.ndarray, positive_score: np.ndarray, positives: Int32, depth: int
) -> None:
    """Raises ModelError for arrays of other shapes or kinds than a ranking's."""
    queries = len(positives)
    if doc.ndim != 2 or len(doc) != queries or doc.shape[1] > depth or score.shape != doc.shape:
        raise ModelError(
            f"retriever {name!r}: documents of shape {doc.shape} and scores of shape {score.shape}; "
            f"({queries}, {depth}) was asked for"
        )
    if positive_score.shape != positives.shape:
        raise ModelError(
            f"retriever {name!r}: scores of positives of shape {positive_score.shape}, not {positives.shape}"
        )
    if doc.dtype.kind not in "iu" or score.dtype.kind not in "fiu" or positive_score.dtype.kind not in "fiu":
        raise ModelError(
            f"retriever {name!r}: documents are {doc.dtype} and scores {score.dtype} and "
            f"{positive_score.dtype}; whole numbers and floats are needed"
        )


def _again(doc: Int32) -> Bool:
    """bool like doc: where a document stands that stands before it in its row."""
    order = np.argsort(doc, axis=1, kind="stable")
    ordered = np.take_along_axis(doc, order, axis=1)
    same = np.zeros(doc.shape, np.bool_)
    same[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_DOC)
    again = np.zeros(doc.shape, np.bool_)
    np.put_along_axis(again, order, same, axis=1)
    return again
