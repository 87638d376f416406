"""trial: a student is trained on each arm's negatives, and asked queries that it has not seen.

It writes into the run's folder `trial`: `trial.json`, `values.parquet` (what each query came to), and under
`learned` what each arm came to in each split, so that a trial that was stopped goes on where it was. No table
of the run changes; what the guard works out for the queries that learn is kept beside what it worked out for
all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.config import SELECTING, Config
from hardneg.errors import DamagedError, InputError, ModelError, UsageError
from hardneg.files import read_json, write_json, write_parquet
from hardneg.fingerprints import digest
from hardneg.plan.mine import changed_config, sources_again
from hardneg.plan.prepare import reopen
from hardneg.plan.rescoring import complete
from hardneg.plan.retrievers import OwnParts, Source
from hardneg.plan.trial_data import Data
from hardneg.plan.trial_evaluation import read_evaluation
from hardneg.plan.trial_jobs import Exam, Job, Learned, Measured, done_jobs
from hardneg.plan.trial_lessons import Lessons, config_of
from hardneg.plan.trial_pool import pool
from hardneg.plan.trial_queries import Queries, View
from hardneg.plan.trial_students import not_used, opened
from hardneg.plan.trial_teacher import Teacher, refuse_unfit
from hardneg.progress import Silent
from hardneg.protocols import Progress, Student
from hardneg.quantities import counted
from hardneg.records import Budget, Float64, Int32
from hardneg.run_directory import RunDirectory
from hardneg.seals import ANOTHERS
from hardneg.trialing import (
    ADAPTER,
    IN_BATCH,
    MEASURES,
    NDCG,
    UNTRAINED,
    Arm,
    TrialOptions,
    budgets,
    default_arms,
    leak,
    result,
)


def trial(
    run: RunDirectory,
    options: TrialOptions,
    *,
    selections: Sequence[str] = (),
    progress: Progress,
    own: OwnParts,
    evaluation: Any = None,
    student: Student | None = None,
) -> dict[str, Any]:
    """Compare what a student learns from each arm's negatives; keep the numbers, and return them.

    selections  of the run, whose settings are compared; none: the grid of `trialing.arms`
    evaluation  the queries that are asked, as `hardneg.load` takes them; None: by the options
    student     in the place of the options'

    Raises UsageError where nothing can be learned or asked, InputError for a selection that is not there.
    """
    with run.locked("trial", progress.say):
        for line in not_used(options, student):
            progress.say(line)
        config = changed_config(run, {})
        _refuse_names(run, selections)
        prepared = reopen(run, config, progress)
        learner = student if student is not None else opened(options, config, own)
        asked = read_evaluation(run, config.read, options, evaluation)
        queries = Queries.of(prepared, config, options, asked, thorough=learner.name == ADAPTER)
        data = Data(prepared, queries.table, config, own)
        found = cache(partial(sources_again, replace(prepared, progress=Silent()), config, own))
        complete(prepared, config, own)
        teacher = Teacher.of(run, config, learner)
        tried = _Trial(queries, data, config, options, learner, teacher, found, list(queries.views()))
        numbers, values = tried.run(_arms(run, config, selections, teacher), progress)
        numbers["student"] = learner.name
        numbers["options"] = {**options.model_dump(mode="json"), "student": learner.name}
        numbers["search"] = run.stage("search")["fingerprint"]
        _keep(run, numbers, values)
    return numbers


def _keep(run: RunDirectory, numbers: Mapping[str, Any], values: pa.Table) -> None:
    path = run.trial / "trial.json"
    run.forget_stage("trial")
    write_parquet(values, run.trial / "values.parquet")
    write_json(numbers, path)
    run.finish_stage("trial", checksum=digest(read_json(path)))


def _refuse_names(run: RunDirectory, selections: Sequence[str]) -> None:
    for name in selections:
        run.selection_table(name, "outcomes", ["query_id"])  # says which there are, if not this one
    if UNTRAINED in selections:
        raise UsageError(
            f"a selection named {UNTRAINED!r} cannot be told from the untrained student; rename it"
        )


def _arms(run: RunDirectory, config: Config, selections: Sequence[str], teacher: Teacher | None) -> list[Arm]:
    """No hard negatives first."""
    if not selections:
        depth, wanted = run.depth(), config.select.num_negatives
        return default_arms(
            depth,
            config.guard.guard != "off",
            4 if wanted == "all" else wanted,
            None if teacher is None else teacher.scorer,
        )
    stored = run.manifest()["selections"]
    return [
        Arm(IN_BATCH, negatives=False),
        *(Arm(name, stored[name]["config"], own=True) for name in dict.fromkeys(selections)),
    ]


@dataclass(frozen=True)
class _Trial:
    queries: Queries
    data: Data
    config: Config
    options: TrialOptions
    student: Student
    teacher: Teacher | None
    found: Callable[[], Sequence[Source]]
    views: Sequence[View]

    def run(self, arms: Sequence[Arm], progress: Progress) -> tuple[dict[str, Any], pa.Table]:
        """What is said, and each query's values."""
        facts = self.queries.facts(list(self.views))
        progress.say(_said(facts))
        settings = budgets(self.options, self.student.name, int(self.views[0].learning.sum()))
        trainings = len(arms) * len(self.views) * ((len(settings) if len(settings) > 1 else 0) + self._seeds)
        refused: dict[str, str] = {}
        found: list[_OfView] = []
        kept = list(arms)
        with progress.track("trial", trainings, "trainings") as advance:
            for view in self.views:
                found.append(self._view(view, kept, settings, refused, advance))
                kept = [arm for arm in kept if arm.name not in refused]
        every = np.flatnonzero(np.any([view.asked for view in self.views], axis=0))
        values = {name: self._table(name, found, kept, every) for name in MEASURES}
        asked = np.isfinite(values[NDCG]).all(axis=(0, 1))
        values = {name: value[:, :, asked] for name, value in values.items()}
        compared = [Arm(UNTRAINED, negatives=False), *kept]
        numbers = result(
            compared,
            values,
            facts={**facts, **_largest(one.pool for one in found)},
            details={arm.name: _details(arm, found) for arm in kept},
            use={arm.name: _use(arm, self.config) for arm in kept if arm.negatives},
            refused=refused,
            seed=self.options.trial_seed,
        )
        numbers["budget"] = {"steps": settings[0].steps, "batch": settings[0].batch_size}
        query_ids = self.data.queries["query_id"].take(pa.array(every[asked]))
        return numbers, _values(compared, query_ids, values)

    @property
    def _seeds(self) -> int:
        """Trainings of an arm in a view: each seed one, or the one that the view is of."""
        return 1 if self.queries.repeats > 1 else self.options.seeds

    def _view(
        self,
        view: View,
        arms: Sequence[Arm],
        settings: Sequence[Budget],
        refused: dict[str, str],
        advance: Callable[[int], None],
    ) -> _OfView:
        """Train and ask every arm that the labels allow; the reasons of others, and of those whose student
        diverges, go to `refused`. Raises ModelError where one does and no arm with negatives is left."""
        lessons = Lessons(self.queries, view, self.config, self.found, self.teacher)
        searched = pool(self.queries, self.data, view.asked)
        exam = Exam(searched.rows, self.queries.answers(view.asked))
        tuning = self._tuning(view, searched.rows) if len(settings) > 1 else None
        first_seed = view.repeat if self.queries.repeats > 1 else 0
        seeds = range(first_seed, first_seed + self._seeds)
        jobs: dict[str, Job] = {}
        counts: dict[str, Mapping[str, int]] = {}
        for arm in arms:
            try:
                refuse_unfit(self.student, arm)
                chosen = lessons.chosen(arm)
            except UsageError as error:
                refused[arm.name] = str(error)
                continue
            part = None if tuning is None else (lessons.lesson(arm, chosen, tuning[0]), tuning[1])
            lesson = lessons.lesson(arm, chosen)
            jobs[arm.name] = Job(self.student, self.data, lesson, exam, part, seeds, settings)
            counts[arm.name] = {**chosen.counts, **jobs[arm.name].counts}
        _ = self.data.mark  # here, on one thread: it is worked out once
        untrained = exam.taken(self.student.untrained(self.data))
        folder = self.queries.prepared.run.trial / "learned"
        of_arm, diverged = done_jobs(jobs, self.student.at_once, folder, advance)
        if diverged and not any(arm.negatives for arm in arms if arm.name in of_arm):
            name, why = next(reversed(diverged.items()))
            raise ModelError(f"trial: no arm with negatives is left; {name}: {why}")
        refused |= diverged
        first = {name: value[None] for name, value in untrained.items()}
        return _OfView(view, list(seeds), first, of_arm, counts, searched.facts)

    def _tuning(self, view: View, searched: Int32) -> tuple[View, Exam] | None:
        """The split that settings are chosen on; None where nobody would learn there, or be asked."""
        split = self.queries.tuning(view)
        if not split.learning.any() or not split.asked.any():
            return None
        return split, Exam(searched, self.queries.answers(split.asked))

    def _table(self, name: str, found: Sequence[_OfView], arms: Sequence[Arm], asked: Any) -> Float64:
        """float64 (1 + arms, seeds, asked): each query's value by each seed, of the view that asked it.

        NaN where no view of a seed asked the query.
        """
        out = np.full((1 + len(arms), self.options.seeds, len(asked)), np.nan)
        for one in found:
            column = np.searchsorted(asked, np.flatnonzero(one.view.asked))
            grid = np.ix_(np.array(one.seeds), column)
            out[0][grid] = np.broadcast_to(one.untrained[name], (len(one.seeds), len(column)))
            for place, arm in enumerate(arms, 1):
                out[place][grid] = one.of_arm[arm.name].values[name]
        return out


@dataclass(frozen=True)
class _OfView:
    """What came of one view: `untrained` (1, queries) and the arms' values (seeds, queries), each measure.

    seeds  the rows of the trial's values that these are
    """

    view: View
    seeds: Sequence[int]
    untrained: Measured
    of_arm: Mapping[str, Learned]
    counts: Mapping[str, Mapping[str, int]]
    pool: Mapping[str, int]


# -- what is said -----------------------------------------------------------------------------------------


def _values(arms: Sequence[Arm], query_ids: Any, values: Mapping[str, Float64]) -> pa.Table:
    """Arm by arm, seed by seed: a row for each query that was asked."""
    count, seeds, queries = values[NDCG].shape
    return pa.table(
        {
            "arm": np.repeat([arm.name for arm in arms], seeds * queries),
            "seed": np.tile(np.repeat(np.arange(seeds), queries), count),
            "query_id": pa.concat_arrays(query_ids.chunks * (count * seeds)),
            **{name: value.ravel() for name, value in values.items()},
        }
    )


def _details(arm: Arm, found: Sequence[_OfView]) -> dict[str, Any]:
    """Means over the views, and the setting that most of them took (`taken_in` is the share of those)."""
    learned = [one.of_arm[arm.name] for one in found]
    queries = sum(int(one.view.learning.sum()) for one in found)
    total = Counter[str]()
    for one in found:
        total.update(one.counts[arm.name])
    settings = Counter((one.budget.learning_rate, one.budget.temperature) for one in learned)
    (rate, temperature), views = settings.most_common(1)[0]
    return {
        "negatives_a_query": total["negatives"] / queries,
        "added_positives": total["added_positives"] / len(found),
        **({"scored_negatives_a_query": total["scored_negatives"] / queries} if arm.taught else {}),
        "learning_rate": rate,
        "temperature": temperature,
        "taken_in": views / len(found),
        "tuned": _mean([one.tuned for one in learned]),
    }


def _mean(tuned: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in tuned) / len(tuned) for name in tuned[0]}


def _largest(facts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Of each fact the largest of any view."""
    every = list(facts)
    return {name: max(one[name] for one in every) for name in every[0]}


def _use(arm: Arm, config: Config) -> dict[str, Any]:
    """The guard and select settings that make the arm's selection, as JSON values."""
    made = config_of(arm, config)
    return {
        key: value
        for stage in SELECTING
        for key, value in getattr(made, stage).model_dump(mode="json").items()
    }


def from_trial(run: RunDirectory) -> dict[str, Any]:
    """The settings that the last trial recommends.

    Raises InputError where there was none, or where the run was mined anew from other input since, and
    DamagedError where the file is not what the trial wrote.
    """
    path = run.trial / "trial.json"
    if not path.is_file():
        raise InputError("no trial was run here; run `hardneg trial` first", file=run.path)
    found = read_json(path)
    known = run.stage("trial").get("checksum")
    if not isinstance(found, dict) or (known is not None and digest(found) != known):
        raise DamagedError(path, ANOTHERS, f"run `hardneg trial {run.path}` again")
    if found.get("search") != run.stage("search").get("fingerprint"):
        raise InputError(
            "the last trial was of other input or retrievers than the run has now; run `hardneg trial` anew",
            file=run.path,
        )
    if found["recommended"] is None:
        raise UsageError("the last trial tried no selection with negatives, so it recommends none")
    settings: dict[str, Any] = found["recommended"]["settings"]
    return settings


def _said(facts: Mapping[str, Any]) -> str:
    if facts["kind"] == "given":
        apart = "none shares a positive with a query that learns, or is nearly the same text"
        lost = facts["pairs_without_document"]
        missing = (
            f"; {lost:,} of its judgments name documents that the run has not, "
            + counted(facts["queries_without_document"], "query was", "queries were")
            + " left out for it"
        )
        return (
            f"trial: {facts['learning']:,} queries learn, {facts['asked']:,} of the evaluation are asked"
            f"{missing if lost else ''}; {leak(facts) if facts['leaking'] else apart}"
        )
    largest = f"the most that hang together by shared positives or texts are {facts['largest_component']:,}"
    if facts["kind"] == "separate":
        return (
            f"trial: {facts['asked']:,} of {facts['queries']:,} queries are asked in "
            f"{counted(facts['folds'], 'fold')}, apart from those that learn; {largest}"
        )
    return (
        f"trial: queries cannot be kept apart: {largest} of {facts['queries']:,} queries; "
        f"{facts['pairs_removed']:,} training pairs whose document is an answer of a query that is asked "
        f"were taken out{' in the first fold' if facts['folds'] > 1 else ''}, {facts['pairs']:,} pairs of "
        f"{facts['learning']:,} queries remain"
    )
