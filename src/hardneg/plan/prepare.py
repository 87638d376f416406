"""read: the source's tables into the run directory, unless the same ones are there already."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from hardneg.config import Config
from hardneg.engine import ThisProcess
from hardneg.fingerprints import digest
from hardneg.protocols import Engine, Progress
from hardneg.quantities import of_kind
from hardneg.read import fingerprint, load, positives
from hardneg.records import Collection, Int32, Pairs
from hardneg.run_directory import RunDirectory

THIS_PROCESS = ThisProcess()


@dataclass(frozen=True)
class Prepared:
    """A run whose input is read: what every later step of the plan starts from.

    within  int32, ascending: the queries that are looked at, by `positives` that are not all of the run's
            then; None: all
    """

    run: RunDirectory
    collection: Collection
    positives: Pairs
    fingerprint: str
    progress: Progress
    engine: Engine
    within: Int32 | None = None

    @property
    def view(self) -> str:
        """A digest of what is looked at; "" where that is everything."""
        if self.within is None:
            return ""
        arrays = (self.within, self.positives.start, self.positives.doc)
        return digest([blake2b(array.tobytes()).hexdigest() for array in arrays])


@contextmanager
def timed(run: RunDirectory, stage: str, progress: Progress) -> Iterator[None]:
    """Tell that a stage is at work, and note in the manifest how long it took, in seconds."""
    started = time.monotonic()
    with getattr(progress, "stage", nullcontext)(stage):
        yield
    run.update(timings={stage: round(time.monotonic() - started, 3)})


def prepare(
    source: Any, config: Config, run: RunDirectory, progress: Progress, engine: Engine = THIS_PROCESS
) -> Prepared:
    """Read the source (a `Collection` is taken as it is) and keep its tables in the run directory."""
    run.check_layout()
    with timed(run, "read", progress):
        if isinstance(source, Collection):
            collection = source
        else:
            collection = load(source, config=config.read, refused_path=run.path / "refused_rows.jsonl")
        found = fingerprint(collection)
        show(collection, progress)
        if run.stage("read").get("fingerprint") == found:
            if run.tables_are_whole():
                progress.say("read: unchanged")
            else:
                progress.say("read: a table was damaged, another one or gone; written again")
                run.save_collection(collection, found)
        else:
            with run.doing_stage("read", fingerprint=found, counts=dict(collection.report.counts)):
                run.set_aside()
                run.clear(run.rescoring)  # its pairs are rows of the tables before
                run.save_collection(collection, found)
        run.update(source=collection.report.source, read_again=dict(collection.report.again))
    return _prepared(run, collection, config, progress, engine, found)


def reopen(run: RunDirectory, config: Config, progress: Progress, engine: Engine = THIS_PROCESS) -> Prepared:
    """The same from a run that has read its input before."""
    return _prepared(run, run.collection(), config, progress, engine, run.stage("read")["fingerprint"])


def _prepared(
    run: RunDirectory, collection: Collection, config: Config, progress: Progress, engine: Engine, found: str
) -> Prepared:
    known = positives(collection, config.read.min_relevance)
    return Prepared(run, collection, known, found, progress, engine)


def show(collection: Collection, progress: Progress) -> None:
    """What was read, for people."""
    report = collection.report
    counts = ", ".join(of_kind(number, what) for what, number in report.counts.items() if number)
    progress.say(f"read {report.source}: {counts}")
    if report.first_row:
        progress.say(f"  first row: {_short(report.first_row)}")
    for note in report.notes:
        progress.say(f"  {note}")


def _short(row: Any, longest: int = 160) -> str:
    text = ", ".join(f"{key}={value!r}" for key, value in row.items())
    return text if len(text) <= longest else text[: longest - 1] + "…"
