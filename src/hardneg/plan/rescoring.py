"""rescore: the scorer's column in every part, whole; and whether the run's pairs all have scores."""

from __future__ import annotations

from collections.abc import Sequence

from hardneg.config import Config
from hardneg.errors import UsageError
from hardneg.plan.kept_scores import PARTLY, part_mark
from hardneg.plan.part_scores import PartScores
from hardneg.plan.prepare import Prepared, timed
from hardneg.plan.retrieve import base_parts, partly_scored
from hardneg.plan.retrievers import OwnParts
from hardneg.plan.scoring import Scoring
from hardneg.run_directory import RunDirectory

EVERY_PAIR = "all"
"""What asks for the pairs, in place of a selection's digest."""


def begin(scoring: Scoring) -> None:
    """Note whose scores the run is about to hold. While not all pairs have one (`whole`), none is seen but by
    who asks for them pair by pair: what others make of scores must not hang on who was there before.

    Raises UsageError for a scorer with the name of a retriever.
    """
    run = scoring.prepared.run
    if scoring.name in run.stage("search")["retrievers"]:
        raise UsageError(f"a retriever is called {scoring.name!r} already; give the scorer another name")
    if _whole(run, scoring.mark):
        scoring.prepared.progress.say(f"rescore {scoring.name}: unchanged")
    else:
        run.finish_stage("rescore", scorer=scoring.name, fingerprint=scoring.mark, whole=False)


def rescore(scoring: Scoring, parts: Sequence[str]) -> None:
    """Give these parts the scorer's scores; parts that have them are left as they are."""
    prepared, run = scoring.prepared, scoring.prepared.run
    missing = _lacking(run, scoring.mark, parts)
    if not missing and not partly_scored(run):
        return

    def rescore_part(name: str) -> None:
        scores = PartScores(scoring, name, EVERY_PAIR)
        label = f"rescore with {scoring.name}"
        with prepared.progress.track(label, scores.lacking, "pairs") as advance:
            scores.add(scores.keys, advance)
        scores.save()

    if missing:
        with timed(run, "rescore", prepared.progress):
            prepared.engine.each(rescore_part, missing)
    run.clear(run.rescoring)
    whole = not _lacking(run, scoring.mark, base_parts(run))
    run.finish_stage("rescore", scorer=scoring.name, fingerprint=scoring.mark, whole=whole)


def holds_others(scoring: Scoring) -> bool:
    """Whether a part has another scorer's scores, which would be shown as this one's."""
    run = scoring.prepared.run
    marks = (part_mark(run, name).removesuffix(PARTLY) for name in base_parts(run))
    return any(mark not in ("", scoring.mark) for mark in marks)


def complete(prepared: Prepared, config: Config, own: OwnParts) -> None:
    """Score what a finished run's scorer has not seen, for what looks at all candidates."""
    scoring = Scoring.stored(prepared, config, own)
    if scoring is None or not partly_scored(prepared.run):
        return
    prepared.progress.say(f"all pairs are looked at here; scoring those that {scoring.name} has not seen")
    rescore(scoring, base_parts(prepared.run))


def stored_scorer(run: RunDirectory) -> tuple[str, str] | None:
    """Whose scores all of the run's candidates and positives have, and its mark; None: nobody's."""
    stage = run.stage("rescore")
    if not stage or not _whole(run, stage["fingerprint"]):
        return None
    return stage["scorer"], stage["fingerprint"]


def _whole(run: RunDirectory, mark: str) -> bool:
    """Whether the run says so of this scorer, and no part was searched anew since."""
    stage = run.stage("rescore")
    said = bool(stage) and stage["fingerprint"] == mark and not partly_scored(run)
    return said and not _lacking(run, mark, base_parts(run))


def _lacking(run: RunDirectory, mark: str, parts: Sequence[str]) -> list[str]:
    """Those of the parts that have not all of this scorer's scores."""
    return [name for name in parts if part_mark(run, name) != mark]
