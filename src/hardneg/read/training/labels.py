"""Documents with a number each → positives and negatives."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hardneg.read.bad_rows import RowError
from hardneg.read.training.groups import Side
from hardneg.read.training.options import ReadOptions

_SAY = "say from which on a document is a positive (--min-relevance)"


def labelled_sides(
    documents: Sequence[str],
    values: Sequence[float | None],
    column: str,
    are_scores: bool,
    options: ReadOptions,
    doc_ids: Sequence[str | None] | None = None,
) -> tuple[Side, Side]:
    """The documents of labels above 0, and the others; or those of at least `options.file.min_relevance`.

    are_scores  the numbers are scores, which by themselves make no positive. Labels that are not just 1 and 0
                are kept as soft ones

    Raises RowError where the numbers do not say it.
    """
    positive = [_is_positive(value, column, are_scores, options.file.min_relevance) for value in values]
    soft = not are_scores and any(value != float(one) for value, one in zip(values, positive, strict=True))

    def side(wanted: bool) -> Side:
        places = [place for place, one in enumerate(positive) if one is wanted]
        kept = [values[place] for place in places] or None
        return Side(
            [documents[place] for place in places],
            doc_id=None if doc_ids is None else [doc_ids[place] for place in places],
            score=kept if are_scores else None,
            label=kept if soft else None,
        )

    return side(True), side(False)


def _is_positive(value: float | None, column: str, is_score: bool, least: float | None) -> bool:
    if value is None or not math.isfinite(value):
        raise RowError("must be a finite number", column)
    if least is not None:
        return value >= least
    if is_score:
        raise RowError(f"holds scores, which do not say what is a positive; {_SAY}", column)
    if 0 < value < 1:
        raise RowError(f"the label {value:g} is neither 0 nor 1; {_SAY}", column)
    return value > 0
