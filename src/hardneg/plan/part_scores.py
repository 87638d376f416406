"""The scores of one part's pairs: those that it holds, and those that are asked for and not there yet.

Pairs are scored in groups of one length, and each group is kept on disk before the next begins, under a
folder of what asks for them (`plan`). Who asks the same again after a crash makes up the same groups, so that
it finds them, and those that are missing go to the scorer in the same company as before. What another plan
left behind is taken over first: no pair is scored twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hardneg.files import replacing
from hardneg.plan.retrieve import SCORER_KEY, read_block, save_block
from hardneg.plan.scoring import Scoring
from hardneg.records import Float32, Int32, Int64
from hardneg.rescore import score_pairs
from hardneg.run_directory import RunDirectory

PAIRS_KEPT_AT_ONCE = 4096
PARTLY = " partly"
"""After a part's mark: some of its pairs are not scored."""
MIXED = "mixed"
"""In place of a part's mark: its candidates' scores are not those of its positives' scorer."""


class PartScores:
    """Of the part `name`, by `scoring.name`.

    plan  a digest of what decides which pairs are asked for, and in what order
    """

    def __init__(self, scoring: Scoring, name: str, plan: str) -> None:
        self._scoring, self._name = scoring, name
        run = scoring.prepared.run
        block = read_block(scoring.prepared, name, partial_scores=True)
        known = part_mark(run, name) in (scoring.mark, scoring.mark + PARTLY)
        # One scorer's scores a part: an earlier one's may be of some pairs only, and would look like all.
        self._block = block.by_retrievers()
        self._places = [pair_keys(block.query, places) for places in (block.doc, block.positive)]
        self.keys: Int64 = np.unique(np.concatenate([places[places >= 0] for places in self._places]))
        self._score = np.full(len(self.keys), np.nan, np.float32)
        for places, scores in zip(self._places, (block.scores, block.positive_scores), strict=True):
            if known and scoring.name in scores:
                self._put(places.ravel(), scores[scoring.name].ravel())
        self._folder = run.rescoring / f"{scoring.mark}-{name}" / plan
        self._groups, self._changed = 0, not known
        self._take_over()

    @property
    def lacking(self) -> int:
        """How many of the part's pairs have no score."""
        return int(np.isnan(self._score).sum())

    def of(self, keys: Int64) -> Float32:
        """float32 like keys (as `pair_keys` gives them), NaN where there is no score yet."""
        out = np.full(keys.shape, np.nan, np.float32)
        there = keys >= 0
        out[there] = self._score[np.searchsorted(self.keys, keys[there])]
        return out

    def add(self, keys: Int64, advance: Callable[[int], None] = lambda _: None) -> None:
        """Score these of the part's pairs, int64 (pairs,), where they are not scored.

        advance  is told of the pairs of each group
        """
        missing = np.unique(keys[np.isnan(self.of(keys))])
        for group in self._grouped(missing):
            self._put(group, self._scored(group))
            self._changed = True
            advance(len(group))

    def save(self) -> None:
        """Write the part with all scores that there are."""
        scoring, block = self._scoring, self._block
        if self._changed:
            doc, positive = (self.of(places) for places in self._places)
            whole = not np.isnan(self._score).any()
            scored = replace(
                block,
                scores={**block.scores, scoring.name: doc},
                positive_scores={**block.positive_scores, scoring.name: positive},
            )
            mark = scoring.mark if whole else scoring.mark + PARTLY
            save_block(scoring.prepared, scored, self._name, mark)
            self._changed = False
        shutil.rmtree(self._folder.parent, ignore_errors=True)

    def _put(self, keys: Int64, scores: Float32) -> None:
        there = (keys >= 0) & np.isfinite(scores)
        self._score[np.searchsorted(self.keys, keys[there])] = scores[there]

    def _grouped(self, keys: Int64) -> Iterator[Int64]:
        """Longest first, so that a group holds texts of one length; equal ones by row."""
        of_query, of_document = self._scoring.lengths if len(keys) else (keys, keys)
        length = of_query[keys >> 32] + of_document[keys & 0xFFFFFFFF]
        ordered = keys[np.argsort(-length, kind="stable")]
        for start in range(0, len(ordered), PAIRS_KEPT_AT_ONCE):
            yield ordered[start : start + PAIRS_KEPT_AT_ONCE]

    def _scored(self, group: Int64) -> Float32:
        """From disk where the group was scored before, else by the scorer."""
        path = self._folder / f"{self._groups:05d}.npz"
        self._groups += 1
        if path.exists():
            keys, scores = _loaded(path)
            if np.array_equal(keys, group):
                return scores
        scoring = self._scoring
        query, document = (group >> 32).astype(np.int32), (group & 0xFFFFFFFF).astype(np.int32)
        scores = score_pairs(query, document, scoring.opened(), scoring.queries, scoring.documents)
        with replacing(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, keys=group, scores=scores)
        return scores

    def _take_over(self) -> None:
        """What other plans scored and did not live to save goes into the part, and their folders go."""
        others = [path for path in self._folder.parent.glob("*") if path != self._folder]
        for path in sorted(path for folder in others for path in folder.glob("*.npz")):
            keys, scores = _loaded(path)
            mine = np.isin(keys, self.keys)
            self._put(keys[mine], scores[mine])
            self._changed = True
        if others:
            self.save()


def pair_keys(query: Int32, doc: Int32) -> Int64:
    """query row << 32 | document row, int64 like doc (queries, any); -1 where there is no document."""
    keys: Int64 = query.astype(np.int64)[:, None] << 32 | doc  # all bits of NO_DOC are set
    return keys


def part_mark(run: RunDirectory, name: str) -> str:
    """Whose scores a part holds: a scorer's mark, with PARTLY where some are missing; "": nobody's.

    Its two files are written one after the other. Where a process died in between they may be of two minds:
    MIXED, unless both are of one scorer.
    """
    candidates, positives = (_mark(folder / f"{name}.parquet") for folder in (run.candidates, run.positives))
    if positives in (candidates, None):  # None: by a version that did not mark them
        return candidates or ""
    whose = {(mark or "").removesuffix(PARTLY) for mark in (candidates, positives)}
    return whose.pop() + PARTLY if len(whose) == 1 else MIXED


def _mark(path: Path) -> str | None:
    mark: bytes | None = (pq.read_schema(path).metadata or {}).get(SCORER_KEY)
    return None if mark is None else mark.decode()


def _loaded(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    with np.load(path, allow_pickle=False) as stored:
        return stored["keys"], stored["scores"]
