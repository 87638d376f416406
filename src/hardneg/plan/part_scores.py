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

import numpy as np

from hardneg.plan.kept_scores import PARTLY, kept_folder, load_scores, pair_keys, part_mark, save_scores
from hardneg.plan.retrieve import read_block, save_block
from hardneg.plan.scoring import Scoring
from hardneg.records import Float32, Int64
from hardneg.rescore import score_pairs

PAIRS_KEPT_AT_ONCE = 4096


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
        self._folder = kept_folder(scoring.prepared, scoring.mark, name) / plan
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
            save_block(scoring.prepared, scored, self._name, scoring.prepared.run.stage("search"), mark)
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
        keys, scores = load_scores(path)
        if np.array_equal(keys, group):
            return scores
        scoring = self._scoring
        query, document = (group >> 32).astype(np.int32), (group & 0xFFFFFFFF).astype(np.int32)
        scores = score_pairs(query, document, scoring.opened(), scoring.queries, scoring.documents)
        save_scores(path, group, scores)
        return scores

    def _take_over(self) -> None:
        """What other plans scored and did not live to save goes into the part, and their folders go."""
        others = [path for path in self._folder.parent.glob("*") if path != self._folder]
        for path in sorted(path for folder in others for path in folder.glob("*.npz")):
            keys, scores = load_scores(path)
            mine = np.isin(keys, self.keys)
            self._put(keys[mine], scores[mine])
            self._changed = True
        if others:
            self.save()
