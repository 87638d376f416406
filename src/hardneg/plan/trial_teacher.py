"""The teacher of a trial: the scorer whose scores the run stores. No model is called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.config import Config
from hardneg.errors import UsageError
from hardneg.plan.prepare import Prepared
from hardneg.plan.rescoring import stored_scorer
from hardneg.plan.retrieve import base_parts, read_block
from hardneg.plan.scoring import scorer_mark
from hardneg.protocols import Student
from hardneg.records import Float32, Int32, TeacherScores
from hardneg.run_directory import RunDirectory
from hardneg.trialing import UNTAUGHT, Arm, FineTuned, looked_up


@dataclass(frozen=True)
class Teacher:
    """scorer    its name in the run
    every_arm  whether all arms' lessons get its scores, for a loss that is made of them
    """

    scorer: str
    every_arm: bool

    @classmethod
    def of(cls, run: RunDirectory, config: Config, student: Student) -> Teacher | None:
        """None where the run has no scorer's scores."""
        stored = stored_scorer(run)
        if stored is None:
            return None
        name, mark = stored
        if not isinstance(student, FineTuned) or student.loss != "margin-mse" or student.teacher is None:
            return cls(name, every_arm=False)
        # Scores of another scorer than the student's own teacher would be on another scale.
        return cls(name, every_arm=scorer_mark(student.teacher, config) == mark)

    def scores(self, prepared: Prepared, query: Int32, positives: Int32, negatives: Int32) -> TeacherScores:
        """What the run stores of a lesson's pairs."""
        width = positives.shape[1]
        found = stored_scores(prepared, self.scorer, query, np.concatenate([positives, negatives], axis=1))
        return TeacherScores(found[:, :width], found[:, width:])


def refuse_unfit(student: Student, arm: Arm) -> None:
    """Raises UsageError where the student's loss cannot learn an arm, or learns another one by it."""
    if not isinstance(student, FineTuned):
        return
    if arm.taught and student.loss in UNTAUGHT:
        raise UsageError(f"loss {student.loss} takes no teacher scores; take --loss mnrl")
    if student.loss != "margin-mse":
        return
    if arm.taught:
        raise UsageError("loss margin-mse learns the teacher's scores in every arm")
    if not arm.negatives:
        raise UsageError("loss margin-mse learns from negatives, and this arm has none")


def stored_scores(prepared: Prepared, scorer: str, query: Int32, doc: Int32) -> Float32:
    """The scorer's scores of pairs, float32 like doc; NaN for what is no candidate and no labelled positive.

    query  int32 (queries,), each once
    doc    int32 (queries, documents), NO_DOC filled
    """
    out = np.full(doc.shape, np.nan, np.float32)
    for name in base_parts(prepared.run):
        block = read_block(prepared, name)
        _, mine, theirs = np.intersect1d(query, block.query, return_indices=True)
        scored = np.concatenate([block.doc, block.positive], axis=1)[theirs]
        score = np.concatenate([block.scores[scorer], block.positive_scores[scorer]], axis=1)[theirs]
        out[mine] = looked_up(doc[mine], scored, score, np.nan)
    return out
