"""What a teacher's scores add to the contrastive loss: how far the student's choice is from the teacher's.

Of each query it is the Kullback-Leibler divergence from the teacher's softmax, over its scores as they are,
to the student's, over similarities divided by the temperature: both over the query's own positive and those
of its own negatives that are scored and not masked. A query whose positive has no score, or none of whose
negatives, adds nothing.

That is distillation (Hinton et al. 2015), as FlagEmbedding's trainers do it with `--knowledge_distillation
True --kd_loss_type kl_div`: beside the contrastive loss, each counted once. They write the cross-entropy of
the two, which has the same slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.records import Bool, Float32, Int32, Int64, Lesson


@dataclass(frozen=True)
class Distilled:
    """The own documents of a batch's queries, and what the teacher chooses among them.

    column  int64 (queries, 1 + negatives): where they stand among the documents of the batch
    target  float32 like it, as `targets` gives it
    """

    column: Int64
    target: Float32


def group_scores(lesson: Lesson, place: Int32, positive: Int32) -> Float32 | None:
    """The teacher's scores, float32 (rows, 1 + negatives), the positive's first; None where none teaches.

    place     int32 (rows,): places in the lesson's queries
    positive  int32 (rows,): the positive drawn for each, a corpus row
    """
    if lesson.teacher is None:
        return None
    drawn = (lesson.positives[place] == positive[:, None]).argmax(axis=1)
    of_positive = lesson.teacher.positives[place, drawn]
    return np.concatenate([of_positive[:, None], lesson.teacher.negatives[place]], axis=1)


def targets(score: Float32, counts: Bool) -> Float32:
    """The teacher's probabilities, float32 (rows, documents); NaN where a document takes no part.

    score   float32 (rows, documents), the positive's first; NaN where there is none
    counts  bool like score: false where a document is masked
    """
    part = counts & ~np.isnan(score)
    part &= part[:, :1] & part[:, 1:].any(axis=1, keepdims=True)
    return np.where(part, _softmax(score, part), np.float32(np.nan))


def excess(logits: Float32, target: Float32) -> Float32:
    """The slopes of each row's divergence by its logits, float32 like both; 0 where nothing takes part."""
    part = ~np.isnan(target)
    return np.where(part, _softmax(logits, part) - target, np.float32(0))


def _softmax(values: Float32, part: Bool) -> Float32:
    """Over those of each row that take part; 0 elsewhere."""
    inside = np.where(part, values, np.float32(-np.inf))
    highest = inside.max(axis=1, keepdims=True)
    power = np.exp(inside - np.where(part.any(axis=1, keepdims=True), highest, np.float32(0)))
    # The highest adds 1, so a sum below it is one of nothing.
    found: Float32 = power / np.maximum(power.sum(axis=1, keepdims=True), np.float32(1))
    return found


def divergence(logits: Any, target: Float32) -> Any:
    """The mean over the rows, in torch.

    logits  tensor (rows, documents): the student's, of the documents in the order of `target`
    """
    import torch

    part = torch.from_numpy(~np.isnan(target)).to(logits.device)
    teacher = torch.from_numpy(np.nan_to_num(target)).to(logits.device)
    # A row without any part is one of equal numbers, which are not looked at: never NaN.
    inside = logits.masked_fill(~part, -torch.inf).masked_fill(~part.any(dim=1, keepdim=True), 0)
    student = torch.log_softmax(inside, dim=1).masked_fill(~part, 0)
    return (torch.xlogy(teacher, teacher) - teacher * student).sum() / len(logits)
