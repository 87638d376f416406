"""An arm of a trial in one split: tried in every setting, trained by each seed, and kept where it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from hardneg.errors import DamagedError, ModelError
from hardneg.files import read_arrays, write_arrays
from hardneg.fingerprints import digest
from hardneg.plan.trial_data import Data
from hardneg.protocols import Ranker, Student
from hardneg.records import Budget, Float64, Int32, Lesson
from hardneg.trialing import DEPTH, MEASURES, NDCG, Answers, measured, seeded

DIVERGED = -1.0
LEARNED = "learned"
"""The mark of what an arm came to: the file's name says the rest."""
Measured = dict[str, Float64]
"""Measure → float64 (seeds, queries asked)."""


@dataclass(frozen=True)
class Learned:
    """values of the final trainings; the setting that was taken, and what each did on the tuning part."""

    values: Measured
    budget: Budget
    tuned: Mapping[str, float]


@dataclass(frozen=True)
class Exam:
    """pool  int32, ascending: the documents that are searched"""

    pool: Int32
    answers: Answers

    def taken(self, ranker: Ranker) -> dict[str, Float64]:
        return measured(ranker(self.answers.query, self.pool, DEPTH), self.answers)


@dataclass(frozen=True)
class Job:
    """An arm in a view: tried in every setting on the tuning part, then trained in the best by each seed.

    seeds  which of the trial's, counted from 0; the batches' are the settings' and those after it
    """

    student: Student
    data: Data
    lesson: Lesson
    exam: Exam
    tuning: tuple[Lesson, Exam] | None
    seeds: range
    settings: Sequence[Budget]

    def done(self, folder: Path, advance: Callable[[int], None]) -> Learned:
        """From the folder where it was done before. Raises ModelError where a final training diverges."""
        path = folder / f"{self._mark()}.npz"
        trainings = len(self.seeds) + (len(self.settings) if len(self.settings) > 1 else 0)
        done = _load(path, self.settings)
        if done is not None:
            advance(trainings)
            return done
        tuned = self._tuned(advance)
        budget = self.settings[int(np.argmax(tuned))]
        each = []
        for seed in self.seeds:
            of_seed = seeded(budget, budget.seed + seed)
            try:
                each.append(self.exam.taken(self.student.train(self.data, self.lesson, of_seed)))
            except ModelError as error:
                raise ModelError(f"seed {seed}: {error}") from error
            advance(1)
        values = {name: np.stack([one[name] for one in each]) for name in MEASURES}
        write_arrays(path, LEARNED, tuned=tuned, **values)
        return _learned(values, tuned, self.settings)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many negatives have a teacher's score, where there is a teacher."""
        if self.lesson.teacher is None:
            return {}
        return {"scored_negatives": int(np.isfinite(self.lesson.teacher.negatives).sum())}

    def _tuned(self, advance: Callable[[int], None]) -> Float64:
        """float64 (settings,): mean nDCG of the tuning part; the first setting wins where there is none.

        A setting in which the student diverges is never taken where another does not.
        """
        if len(self.settings) < 2:
            return np.zeros(1)
        found = np.zeros(len(self.settings))
        for place, budget in enumerate(self.settings):
            if self.tuning is not None:
                lesson, exam = self.tuning
                try:
                    found[place] = exam.taken(self.student.train(self.data, lesson, budget))[NDCG].mean()
                except ModelError:
                    found[place] = DIVERGED
            advance(1)
        return found

    def _mark(self) -> str:
        """A digest of all that decides the outcome."""
        lessons = [self.lesson, *(() if self.tuning is None else (self.tuning[0],))]
        exams = [self.exam, *(() if self.tuning is None else (self.tuning[1],))]
        arrays = [array for lesson in lessons for array in _arrays(lesson)]
        for exam in exams:
            arrays += [exam.pool, exam.answers.query, exam.answers.document, exam.answers.relevance]
        return digest(
            {
                "student": dict(self.student.fingerprint()),
                "run": self.data.prepared.run.stage("search")["fingerprint"],
                "data": self.data.mark,
                "queries": digest(self.data.queries.take(pa.array(self.exam.answers.query)).to_pylist()),
                "seeds": list(self.seeds),
                "settings": [asdict(budget) for budget in self.settings],
                "arrays": [blake2b(np.ascontiguousarray(array).tobytes()).hexdigest() for array in arrays],
            }
        )


def _arrays(lesson: Lesson) -> Iterator[Any]:
    yield from (lesson.query, lesson.positives, lesson.negatives, lesson.weights)
    yield from (lesson.known.start, lesson.known.doc)
    if lesson.teacher is not None:
        yield from (lesson.teacher.positives, lesson.teacher.negatives)


def _load(path: Path, settings: Sequence[Budget]) -> Learned | None:
    """None where there is no such file, or a damaged one: then it is trained anew."""
    try:
        stored = read_arrays(path, LEARNED)
        return _learned({name: stored[name] for name in MEASURES}, stored["tuned"], settings)
    except (DamagedError, KeyError):
        return None


def _learned(values: Measured, tuned: Float64, settings: Sequence[Budget]) -> Learned:
    said = {
        f"{one.learning_rate:g}, {one.temperature:g}": float(v)
        for one, v in zip(settings, tuned, strict=True)
    }
    return Learned(values, settings[int(np.argmax(tuned))], said if len(settings) > 1 else {})


def done_jobs(
    jobs: Mapping[str, Job], at_once: int, folder: Path, advance: Callable[[int], None]
) -> tuple[dict[str, Learned], dict[str, str]]:
    """What each arm came to; of those whose student diverged, why.

    Several arms at a time where the student lets itself be trained so, each on one thread.
    """

    def done(job: Job) -> Learned | str:
        try:
            return job.done(folder, advance)
        except ModelError as error:
            return str(error)

    if at_once < 2:
        found = list(map(done, jobs.values()))
    else:
        with threadpool_limits(1), ThreadPoolExecutor(at_once) as pool:
            found = list(pool.map(done, jobs.values()))
    of_arm = dict(zip(jobs, found, strict=True))
    return (
        {name: one for name, one in of_arm.items() if not isinstance(one, str)},
        {name: one for name, one in of_arm.items() if isinstance(one, str)},
    )
