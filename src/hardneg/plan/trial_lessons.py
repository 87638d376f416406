"""What each arm of a trial teaches: its rule chooses anew, by the labels of the learning queries alone.

A selection that is stored in the run was chosen with the labels of all queries, those that are asked among
them. A guard that has seen those knows which documents will be asked for. So its settings are used anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hardneg.config import Config, SelectConfig
from hardneg.errors import UsageError
from hardneg.plan.choose import Choosing, blocks
from hardneg.plan.labels import Judgments, judgments
from hardneg.plan.lazily import lazy_if_allowed
from hardneg.plan.mine import document_vectors
from hardneg.plan.prepare import Prepared
from hardneg.plan.retrievers import Source
from hardneg.plan.trial_queries import Queries, View
from hardneg.plan.trial_teacher import Teacher
from hardneg.progress import Silent
from hardneg.records import NO_DOC, Bool, Float32, Int32, Int64, Lesson, Pairs
from hardneg.select import Selection, alone, deepest_rank
from hardneg.trialing import Arm, of_queries

LEAST_WEIGHT = 0.01


@dataclass(frozen=True)
class Chosen:
    """What a rule chose for the learning queries, flat.

    query, document  int32 (negatives,), in the order of choice for each query
    chance           float32 (negatives,): p_false_negative, NaN where no guard judged
    added            pairs that became positives: promoted, or judged so by people
    """

    query: Int32
    document: Int32
    chance: Float32
    added: tuple[Int32, Int32]

    @property
    def counts(self) -> Mapping[str, int]:
        return {"negatives": len(self.document), "added_positives": len(self.added[0])}


NOTHING = Chosen(
    np.zeros(0, np.int32),
    np.zeros(0, np.int32),
    np.zeros(0, np.float32),
    (np.zeros(0, np.int32), np.zeros(0, np.int32)),
)


class Lessons:
    """The arms' lessons of one view."""

    def __init__(
        self,
        queries: Queries,
        view: View,
        config: Config,
        found: Callable[[], Sequence[Source]],
        teacher: Teacher | None = None,
    ) -> None:
        """found    the run's retrievers, looked at where the guard or a sampler needs their vectors
        teacher  of the arms that are taught; None: there is none
        """
        run = queries.prepared
        rows = np.flatnonzero(view.learning[: queries.own]).astype(np.int32)
        learning = view.learning[: queries.own]
        positives = _of_rows(queries.positives, queries.own, learning)
        looking = replace(run, positives=positives, within=rows, progress=Silent())
        self._queries, self._view, self._config = queries, view, config
        self._prepared = looking
        self._found = found
        self._teacher = teacher
        self._depth = run.run.depth()

    def chosen(self, arm: Arm) -> Chosen:
        """Raises UsageError where the rule cannot be used: too few labels, a window beyond the depth."""
        if not arm.negatives:
            return NOTHING
        config = config_of(arm, self._config)
        if deepest_rank(config.select.window) > self._depth:
            raise UsageError(f"the window reaches beyond the run's depth of {self._depth:,}")
        documents = document_vectors(self._found()) if config.select.sampler == "diverse" else None
        people = _of_view(judgments(self._prepared, config, self._found), self._prepared)
        choosing = Choosing.of(self._prepared, config, self._depth, self._found, documents, people)
        return _together(list(_selections(choosing)))

    def lesson(self, arm: Arm, chosen: Chosen, view: View | None = None) -> Lesson:
        """view  a further split of this one: only its learning queries and pairs"""
        view = view or self._view
        query = np.flatnonzero(view.learning).astype(np.int32)
        added = np.isin(chosen.added[0], query)
        added &= ~np.isin(self._queries.document[chosen.added[1]], view.withheld)
        new = chosen.added[0][added], chosen.added[1][added]
        taught = _with(view.taught, *new)
        kept = np.isin(chosen.query, query)
        row = np.searchsorted(query, chosen.query[kept])
        negatives, chance = _rectangular(row, chosen.document[kept], chosen.chance[kept], len(query))
        weights = np.ones_like(chance)
        if arm.weighted:
            weights = np.clip(1 - np.nan_to_num(chance), LEAST_WEIGHT, 1).astype(np.float32)
        known = _with(self._queries.positives, *new)
        positives = taught.padded(query)
        teacher = None
        if self._teacher is not None and (arm.taught or self._teacher.every_arm):
            teacher = self._teacher.scores(self._prepared, query, positives, negatives)
        return Lesson(query, positives, negatives, weights, known, teacher)


def config_of(arm: Arm, config: Config) -> Config:
    """An own selection's settings as they are; a rule by itself otherwise. Nothing is searched deeper.

    A rule is tried as it can be used: `lazy` of the run is kept from those that need all scores.
    """
    if arm.own:
        changed = Config.from_flat({**config.flat(), **arm.settings})
        if changed.select.shortfall != "deepen":
            return changed
        kept = changed.select.model_copy(update={"shortfall": "keep"})
        return changed.model_copy(update={"select": kept})
    select = {key: value for key, value in arm.settings.items() if key in SelectConfig.model_fields}
    guard = {key: value for key, value in arm.settings.items() if key not in select}
    base = {**config.flat(), "max_p": None, "max_miss_rate": None, "promote": None, "promote_precision": None}
    changed = Config.from_flat({**base, **guard})
    made = changed.model_copy(update={"select": alone(changed.select, select)})
    # Where a run is lazy, its rules go by its scorer.
    return lazy_if_allowed(made, config.select.score_by)


def _selections(choosing: Choosing) -> Iterator[Selection]:
    selector = choosing.selector()
    for block in blocks(choosing):
        yield choosing.with_new_positives(choosing.select(selector, choosing.guarded(block)), block)


def _together(selections: Sequence[Selection]) -> Chosen:
    if not selections:
        return NOTHING
    added = [one.positives.source > 0 for one in selections]
    return Chosen(
        np.concatenate([one.negatives.query for one in selections]),
        np.concatenate([one.negatives.doc for one in selections]),
        np.concatenate([one.negatives.p_false_negative for one in selections]),
        (
            np.concatenate([one.positives.query[new] for one, new in zip(selections, added, strict=True)]),
            np.concatenate([one.positives.doc[new] for one, new in zip(selections, added, strict=True)]),
        ),
    )


def _rectangular(row: Int64, document: Int32, chance: Float32, queries: int) -> tuple[Int32, Float32]:
    """Each query's negatives side by side, each document once: int32 and float32 (queries, most of any)."""
    _, first = np.unique(row << 32 | document, return_index=True)
    first = np.sort(first)
    row, document, chance = row[first], document[first], chance[first]
    count = np.bincount(row, minlength=queries)
    place = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    width = int(count.max(initial=0))
    documents = np.full((queries, width), NO_DOC, np.int32)
    chances = np.full((queries, width), np.nan, np.float32)
    documents[row, place], chances[row, place] = document, chance
    return documents, chances


def _with(pairs: Pairs, query: Int32, document: Int32) -> Pairs:
    return Pairs.from_rows(
        np.concatenate([pairs.query, query]), np.concatenate([pairs.doc, document]), len(pairs.counts)
    )


def _of_rows(pairs: Pairs, count: int, queries: Bool) -> Pairs:
    """The pairs of these of the first `count` queries."""
    first = Pairs(pairs.start[: count + 1], pairs.doc[: pairs.start[count]])
    return of_queries(first, queries)


def _of_view(people: Judgments | None, prepared: Prepared) -> Judgments | None:
    """What people judged of the learning queries."""
    if people is None or prepared.within is None:
        return people
    own = np.isin(people.query, prepared.within)
    return replace(
        people,
        query=people.query[own],
        doc=people.doc[own],
        relevant=people.relevant[own],
        weight=people.weight[own],
    )
