"""Rows that stand one after another and belong together → groups.

They are put together only where taking the group apart again, in the order of the writers, gives the same
rows: so nothing is lost, and what stands apart in the file stays apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hardneg.read.training.groups import Group, Side

Placed = tuple[int, Group]


@dataclass(frozen=True)
class Pair:
    """A query and one document, on the side that it is on."""

    query: str
    positives: Side
    negatives: Side


def triplets_joined(rows: Iterable[Placed]) -> Iterator[Placed]:
    """Rows of one negative each: those of one query and positive, and of one score of it, as one group."""
    run: list[Placed] = []
    for row in rows:
        if run and not _same_positive(run[-1][1], row[1]):
            yield _negatives_together(run)
            run = []
        run.append(row)
    if run:
        yield _negatives_together(run)


def _same_positive(one: Group, other: Group) -> bool:
    both_scored = (one.negatives.score is None) == (other.negatives.score is None)
    aligned = all(group.negatives.score is None or len(group.negatives.score) == 1 for group in (one, other))
    return _same_query(one, other) and _same(one.positives, other.positives) and both_scored and aligned


def _same_query(one: Group, other: Group) -> bool:
    return (one.query, one.query_id, one.prompt) == (other.query, other.query_id, other.prompt)


def _negatives_together(run: Sequence[Placed]) -> Placed:
    line, first = run[0]
    if len(run) == 1:
        return run[0]
    negatives = joined([group.negatives for _, group in run])
    return line, Group(first.query, first.positives, negatives, first.query_id, first.prompt)


def positives_joined(groups: Iterable[Placed]) -> Iterator[Placed]:
    """Groups of one query and the same negatives with the same scores: one group of all their positives."""
    run: list[Placed] = []
    for group in groups:
        if run and not _same_negatives(run[-1][1], group[1]):
            yield _positives_together(run)
            run = []
        run.append(group)
    if run:
        yield _positives_together(run)


def _same_negatives(one: Group, other: Group) -> bool:
    both_scored = (one.positives.score is None) == (other.positives.score is None)
    aligned = all(group.positives.score is None or len(group.positives.score) == 1 for group in (one, other))
    same = _same_query(one, other) and _same(one.negatives, other.negatives)
    return same and not _same(one.positives, other.positives) and both_scored and aligned


def _same(one: Side, other: Side) -> bool:
    """Equal, and written the same: 0.0 equals -0.0."""
    return one == other and str(one.score) == str(other.score)


def _positives_together(run: Sequence[Placed]) -> Placed:
    line, first = run[0]
    if len(run) == 1:
        return run[0]
    positives = joined([group.positives for _, group in run])
    return line, Group(first.query, positives, first.negatives, first.query_id, first.prompt)


def pairs_joined(pairs: Iterable[tuple[int, Pair]]) -> Iterator[Placed]:
    """Pairs of one query. A positive after a negative begins the next group, as writers put positives first;
    in a run that begins with a negative it does not, for there the order says nothing."""
    run: list[tuple[int, Pair]] = []
    for line, pair in pairs:
        if run and (run[-1][1].query != pair.query or _begins_anew(run, pair)):
            yield _pairs_together(run)
            run = []
        run.append((line, pair))
    if run:
        yield _pairs_together(run)


def _begins_anew(run: Sequence[tuple[int, Pair]], pair: Pair) -> bool:
    return bool(pair.positives.text and run[0][1].positives.text and run[-1][1].negatives.text)


def _pairs_together(run: Sequence[tuple[int, Pair]]) -> Placed:
    line, first = run[0]
    positives = joined([pair.positives for _, pair in run])
    return line, Group(first.query, positives, joined([pair.negatives for _, pair in run]))


def joined(sides: Sequence[Side]) -> Side:
    """Sides after one another. A part that some have is there, null for the others."""
    lengths = [len(side.text) for side in sides]
    return Side(
        [text for side in sides for text in side.text],
        _together([side.doc_id for side in sides], lengths),
        _together([side.score for side in sides], lengths),
        _together([side.label for side in sides], lengths),
        _together([side.title for side in sides], lengths),
    )


Value = TypeVar("Value")


def _together(
    parts: Sequence[Sequence[Value | None] | None], lengths: Sequence[int]
) -> list[Value | None] | None:
    if all(part is None for part in parts):
        return None
    none: list[Value | None] = [None]
    filled = zip(parts, lengths, strict=True)
    return [one for part, length in filled for one in (none * length if part is None else part)]
