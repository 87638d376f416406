"""How well a ranking finds a query's answers: nDCG@10, MRR@10 and recall@100, a value each query.

nDCG as trec_eval has it (Järvelin and Kekäläinen, TOIS 2002, with linear gains): the gain is the relevance,
the discount log2(rank + 1), and the ideal ranking is that of all of the query's answers. Answers outside the
pool count as not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardneg.records import NO_DOC, Bool, Float32, Float64, Int32
from hardneg.trialing.lookup import looked_up

NDCG, MRR, RECALL = "nDCG@10", "MRR@10", "recall@100"
MEASURES = (NDCG, MRR, RECALL)
DEPTH = 100
TOP = 10


@dataclass(frozen=True)
class Answers:
    """What should be found.

    query      int32 (queries,): rows of the trial's queries, each with an answer
    document   int32 (queries, answers), NO_DOC filled
    relevance  float32 like document, above 0; 0 where there is none
    """

    query: Int32
    document: Int32
    relevance: Float32

    def rows(self, rows: Bool) -> Answers:
        return Answers(self.query[rows], self.document[rows], self.relevance[rows])


def measured(ranked: Int32, answers: Answers) -> dict[str, Float64]:
    """ranked  int32 (queries, depth): documents, the best first → measure → float64 (queries,)."""
    gain = _gains(ranked, answers)
    best = -np.sort(-answers.relevance.astype(np.float64), axis=1)[:, :TOP]
    found, count = gain > 0, (answers.document != NO_DOC).sum(axis=1)
    first = np.where(found[:, :TOP].any(axis=1), found[:, :TOP].argmax(axis=1) + 1.0, np.inf)
    return {
        NDCG: _discounted(gain[:, :TOP]) / _discounted(best),
        MRR: 1 / first,
        RECALL: found[:, :DEPTH].sum(axis=1) / count,
    }


def _discounted(gain: Float64) -> Float64:
    total: Float64 = gain @ (1 / np.log2(np.arange(gain.shape[1]) + 2.0))
    return total


def _gains(ranked: Int32, answers: Answers) -> Float64:
    """float64 like ranked: the relevance of what stands there."""
    return looked_up(ranked, answers.document, answers.relevance, 0).astype(np.float64)
