"""guard: the hard exclusions of a run; what they need of the texts is worked out once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hardneg import texts, words
from hardneg.config import Config, GuardConfig
from hardneg.files import read_parquet, write_parquet
from hardneg.fingerprints import digest, file_digest
from hardneg.guard import (
    Sketches,
    TextClasses,
    build_rules,
    describe_unmatched,
    excluded_queries,
)
from hardneg.named_files import refuse_no_file
from hardneg.plan.prepare import Prepared, timed
from hardneg.protocols import Rule
from hardneg.quantities import counted
from hardneg.read import partly_relevant
from hardneg.records import Bool


def texts_mark(prepared: Prepared, config: Config) -> str:
    """A digest of what decides what is worked out of the texts alone."""
    rules = [texts.RULES, words.RULES]
    return digest({"read": prepared.fingerprint, "join_title": config.encode.join_title, "rules": rules})


def text_classes(prepared: Prepared, config: Config) -> TextClasses:
    """The run's text classes, built on first use."""
    path = prepared.run.guard / "text_classes.parquet"
    found = texts_mark(prepared, config)
    if prepared.run.stage("text classes").get("fingerprint") == found and path.exists():
        return TextClasses.from_table(read_parquet(path, mark=found))
    with (
        timed(prepared.run, "text classes", prepared.progress),
        prepared.run.doing_stage("text classes", fingerprint=found),
    ):
        collection = prepared.collection
        classes = TextClasses.build(collection.corpus, collection.queries, config.encode.join_title)
        write_parquet(classes.to_table(), path, mark=found)
    return classes


def rules(prepared: Prepared, config: Config, classes: TextClasses) -> Sequence[Rule]:
    """Every hard exclusion that the configuration asks for, in the stated order."""
    sketches = _sketches(prepared, config) if config.guard.near_duplicate else None
    return build_rules(
        prepared.collection,
        prepared.positives,
        classes,
        sketches,
        config.guard,
        prepared.progress,
        join_title=config.encode.join_title,
        partly_relevant=partly_relevant(prepared.collection, config.read.min_relevance),
    )


def _sketches(prepared: Prepared, config: Config) -> Sketches:
    """The corpus's sketches, worked out on first use."""
    run, corpus = prepared.run, prepared.collection.corpus
    found = texts_mark(prepared, config)
    if run.stage("near duplicates").get("fingerprint") != found or not Sketches.written(run.guard):
        with (
            timed(run, "near duplicates", prepared.progress),
            run.doing_stage("near duplicates", fingerprint=found),
        ):
            Sketches.write(corpus, run.guard, found, config.encode.join_title, prepared.progress)
    return Sketches.open(run.guard, found)


def queries_to_leave_out(prepared: Prepared, config: Config) -> tuple[Bool, list[str | None]]:
    """bool (queries,), and for each of those what it matched."""
    count = prepared.collection.queries.num_rows
    if config.guard.exclude_queries is None:
        return np.zeros(count, np.bool_), [None] * count
    path = Path(config.guard.exclude_queries)
    threshold = config.guard.near_duplicate or GuardConfig().near_duplicate  # switched off for positives only
    listed = excluded_queries(prepared.collection.queries, path, threshold)
    prepared.progress.say(
        f"{path}: {counted(listed.entries, 'entry leaves out', 'entries leave out')} "
        f"{counted(int(listed.queries.sum()), 'query', 'queries')}"
        + describe_unmatched(listed.unmatched, "query")
    )
    reasons = [
        None if way is None else f"on the list of excluded queries ({way}: {matched})"
        for way, matched in zip(listed.reason.to_pylist(), listed.matched.to_pylist(), strict=True)
    ]
    return listed.queries, reasons


def given_files(config: Config) -> list[Path]:
    """Lists and judged pairs, whose digests are taken before they are read."""
    guard = config.guard
    return [Path(path) for path in (guard.exclude_docs, guard.exclude_queries, *guard.labels) if path]


def list_digests(config: Config) -> dict[str, str]:
    """What the lists of excluded documents and queries hold."""
    return {
        key: file_digest(Path(path))
        for key in ("exclude_docs", "exclude_queries")
        if (path := getattr(config.guard, key)) and Path(path).is_file()
    }


def label_digests(config: Config) -> dict[str, str]:
    """What the files of judged pairs hold, by path. Raises InputError for one that is not there."""
    for path in config.guard.labels:
        refuse_no_file(Path(path), "give --labels an existing one, or --labels none")
    return {path: file_digest(Path(path)) for path in config.guard.labels}
