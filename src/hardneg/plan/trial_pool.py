"""The documents that a trial's students search: all, or of a large corpus what makes it as hard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hardneg.errors import HardnegError
from hardneg.plan.retrieve import base_parts, read_block
from hardneg.plan.trial_data import Data
from hardneg.plan.trial_queries import Queries
from hardneg.records import NO_DOC, Bool, Int32
from hardneg.trialing import DEPTH, of_queries, ranked


@dataclass(frozen=True)
class Pool:
    """rows   int32, ascending corpus rows
    facts  as JSON values: how large it is, and what had no room
    """

    rows: Int32
    facts: Mapping[str, int]


def pool(queries: Queries, data: Data, asked: Bool) -> Pool:
    """All documents; of a large corpus the answers, then the candidates, then random ones."""
    documents, most = queries.prepared.collection.corpus.num_rows, queries.options.pool
    answers = np.unique(of_queries(queries.positives, asked).doc)
    facts = {"documents": documents, "pool": min(documents, most)}
    if documents <= most:
        return Pool(np.arange(documents, dtype=np.int32), facts)
    candidates = np.setdiff1d(
        np.concatenate([_found(queries, asked), _searched(queries, data, asked)]), answers
    )
    order = np.random.Generator(np.random.Philox(key=queries.options.trial_seed)).permutation(documents)
    # Of each kind a random part where there is no room for all.
    rank = np.full(documents, 2)
    rank[candidates] = 1
    rank[answers] = 0
    first = order[np.argsort(rank[order], kind="stable")]
    facts |= {
        "answers_left_out": max(len(answers) - most, 0),
        "candidates": min(len(candidates), max(most - len(answers), 0)),
    }
    return Pool(np.sort(first[:most]).astype(np.int32), facts)


def _found(queries: Queries, asked: Bool) -> Int32:
    """What the run's search found for those of its own queries that are asked."""
    within = np.flatnonzero(asked[: queries.own]).astype(np.int32)
    looking = replace(queries.prepared, within=within)
    found = [np.zeros(0, np.int32)]
    for name in base_parts(queries.prepared.run):
        doc = read_block(looking, name).doc
        found.append(doc[doc != NO_DOC])
    return np.unique(np.concatenate(found))


def _searched(queries: Queries, data: Data, asked: Bool) -> Int32:
    """What stored vectors find for the evaluation's, which the run never searched; none without vectors."""
    rows = np.flatnonzero(asked & queries.given).astype(np.int32)
    if not len(rows):
        return np.zeros(0, np.int32)
    try:
        every = np.arange(queries.prepared.collection.corpus.num_rows, dtype=np.int32)
        return np.unique(ranked(data.query_vectors(rows), data.document_vectors, every, DEPTH))
    except HardnegError as error:
        queries.prepared.progress.say(
            f"trial: the pool holds no candidates of the evaluation's queries, so they are easier than over "
            f"the whole corpus ({error})"
        )
        return np.zeros(0, np.int32)
