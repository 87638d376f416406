"""The whole plan: each stage in turn, each only where its result is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache, partial
from typing import Any

from hardneg.config import SELECTING, Config, SelectConfig, nearest
from hardneg.errors import UsageError
from hardneg.files import write_parquet
from hardneg.fingerprints import digest
from hardneg.named_files import refuse_changed, state_of
from hardneg.plan.choose import Aside, Choosing, blocks, choose
from hardneg.plan.foresee import foresee, needed_depth, not_used
from hardneg.plan.guarding import given_files, label_digests, list_digests
from hardneg.plan.judging import guard_summary
from hardneg.plan.labels import Judgments, judgments
from hardneg.plan.lazily import uses_scores, why_all
from hardneg.plan.mending import until_whole
from hardneg.plan.prepare import Prepared, prepare, reopen, timed
from hardneg.plan.rescoring import begin, complete, holds_others, rescore
from hardneg.plan.retrieve import base_parts, partly_scored, search, search_fingerprint
from hardneg.plan.retrievers import GIVEN_AS_OBJECTS, KINDS, NOTHING_OWN, OwnParts, Source, is_object, sources
from hardneg.plan.scoring import Scoring, open_scorer
from hardneg.plan.selections import SelectionWriter, replacing_selection
from hardneg.protocols import Progress, Retriever, Vectors
from hardneg.report.summary import summary
from hardneg.run_directory import RunDirectory
from hardneg.seals import read_seal
from hardneg.select import deepest_rank, grid_configs
from hardneg.select import preview as preview_blocks


def mine(
    source: Any,
    config: Config,
    run: RunDirectory,
    *,
    name: str,
    progress: Progress,
    own: OwnParts = NOTHING_OWN,
) -> None:
    """Read, encode, search, rescore, guard and select into the run directory."""
    run.selection(name)  # refuses a name that cannot be
    config = with_scorer_used(config, own, progress)
    foresee(config, own)
    for line in not_used(config, own):
        progress.say(line)
    with run.locked("mine", progress.say):
        until_whole(run, progress, lambda: _stages(source, config, run, name, progress, own))


def _stages(
    source: Any, config: Config, run: RunDirectory, name: str, progress: Progress, own: OwnParts
) -> None:
    prepared = prepare(source, config, run, progress, own.engine)
    found = sources(prepared, config, own)
    depth = needed_depth(config)
    run.forget_config(other_than=config.flat())
    search(prepared, found, depth, config)
    scorer = open_scorer(config, own)
    scoring = None if scorer is None else Scoring.by(prepared, config, scorer)
    if scoring is not None:
        begin(scoring)
    run.update(config=config.flat())
    select_into(prepared, config, name, lambda: found, scoring)


def select_again(
    run: RunDirectory,
    values: Mapping[str, Any],
    *,
    name: str,
    progress: Progress,
    own: OwnParts = NOTHING_OWN,
) -> None:
    """Choose from a finished run's candidates with other guard and select settings.

    own  the objects that the run was made with, needed only to search deeper
    """
    run.selection(name)
    with run.locked("select", progress.say):
        config = changed_config(run, values)
        prepared = reopen(run, config, progress, own.engine)
        found = cache(partial(sources_again, prepared, config, own))
        scoring = Scoring.stored(prepared, config, own)
        if scoring is not None and not uses_scores(config, scoring.name):
            scoring = None
        select_into(prepared, config, name, found, scoring)


def preview(
    run: RunDirectory, values: Mapping[str, Any], *, progress: Progress, own: OwnParts = NOTHING_OWN
) -> list[dict[str, Any]]:
    """Yield, hardness and shortfall of a grid of rules; nothing is written but what the guard works out."""
    with run.locked("select --preview", progress.say):
        return _preview(run, values, progress, own)


def _preview(
    run: RunDirectory, values: Mapping[str, Any], progress: Progress, own: OwnParts
) -> list[dict[str, Any]]:
    config = changed_config(run, values)
    prepared = reopen(run, config, progress)
    depth = run.depth()
    refuse_window_beyond(depth, config.select)
    grid = grid_configs(config.select, depth)
    beyond = [name for name, one in grid.items() if deepest_rank(one.window) > depth]
    if beyond:
        progress.say(f"left out, since the run's depth is {depth:,}: {', '.join(beyond)}")
    found = cache(partial(sources_again, prepared, config, own))
    if partly_scored(run):
        complete(prepared, config, own)
    choosing = Choosing.of(prepared, config, depth, found, None, judgments(prepared, config, found))
    guarded = (choosing.guarded(block) for block in blocks(choosing))
    kept = {name: one for name, one in grid.items() if name not in beyond}
    return preview_blocks(guarded, kept, choosing.selector)


def refuse_window_beyond(depth: int, config: SelectConfig) -> None:
    """Raises UsageError for a window that only a deeper search can fill."""
    if deepest_rank(config.window) > depth:
        raise UsageError(
            f"the window reaches beyond the run's depth of {depth:,}; `hardneg select` without --preview "
            "searches that deep, or mine again with a greater --depth"
        )


def changed_config(run: RunDirectory, values: Mapping[str, Any]) -> Config:
    """The run's configuration with these guard and select settings in place of its own."""
    stored = Config.from_flat(run.manifest()["config"])
    changeable = {key for stage in SELECTING for key in type(getattr(stored, stage)).model_fields}
    for key in values:
        if key not in changeable:
            raise UsageError(
                f"{key!r} is no setting of selection{nearest(key, changeable)}; mine again for it"
            )
    return Config.from_flat({**stored.flat(), **values})


def with_scorer_used(config: Config, own: OwnParts, progress: Progress) -> Config:
    """A cross-encoder that is named is used: by default its scores are those that rules and order look at."""
    named = own.scorer is not None or config.rescore.cross_encoder is not None
    if not named or config.select.score_by is not None:
        return config
    name = own.scorer.name if own.scorer is not None else "cross_encoder"
    progress.say(f"margins, thresholds and order use the scores of {name}; --score-by NAME changes that")
    return config.model_copy(update={"select": config.select.model_copy(update={"score_by": name})})


# -- selection --------------------------------------------------------------------------------------------


def select_into(
    prepared: Prepared,
    config: Config,
    name: str,
    found: Callable[[], Sequence[Source]],
    scoring: Scoring | None,
) -> None:
    """The guard and select stages, unless the same selection is there; and the scores that they need.

    found    the run's retrievers, looked at only where something must be searched or a vector be read
    scoring  by the run's scorer; None where there is none
    """
    run, progress = prepared.run, prepared.progress
    depth = needed_depth(config)
    if depth > run.stage("search")["depth"]:
        progress.say(f"the window reaches to rank {depth:,}; searching that deep")
        search(prepared, found(), depth, config)
        if scoring is not None:
            begin(scoring)
    given = state_of(given_files(config))
    mark = _selection_fingerprint(run, config, depth)
    stored = run.manifest()["selections"].get(name, {})
    same = stored.get("fingerprint") == mark and run.selection_is_whole(name)
    if same and (scoring is None or not holds_others(scoring)):
        progress.say(f"select {name}: unchanged")
        return
    why = None if scoring is None else why_all(config, scoring.name)
    if scoring is not None and why is not None:
        rescore(scoring, base_parts(run))
    documents = None
    if config.select.sampler == "diverse":
        documents = document_vectors(found())
    opened: list[Retriever] = []

    def retrievers() -> Sequence[Retriever]:
        opened[:] = opened or [source.open() for source in found()]
        return opened

    def rescored(part: str) -> None:
        if scoring is not None:
            rescore(scoring, [part])

    with timed(run, f"select {name}", progress), replacing_selection(run, name) as folder:
        people = judgments(prepared, config, found)
        choosing = Choosing.of(prepared, config, depth, found, documents, people)
        messages = {row: text for row, text in enumerate(choosing.left_out_messages) if text is not None}
        collection = prepared.collection
        query_ids, doc_ids = collection.queries["query_id"], collection.corpus["doc_id"]
        with closing(SelectionWriter(folder, query_ids, doc_ids, messages)) as writer:
            lazily = (scoring, mark) if scoring is not None and why is None else None
            aside = choose(choosing, retrievers, rescored, writer.add, lazily)
            tables = writer.finish()
        if people is not None:
            write_parquet(people.read.table, folder / "labels.parquet")
        refuse_changed(given)
    if aside.seconds:
        _note_scoring(run, name, aside.seconds)
    facts = _facts(choosing, tables, aside, people)
    if scoring is not None:
        facts["rescore"] = {"scorer": scoring.name, "why_all": why, **aside.pairs.told()}
    _note(run, config, name, mark, tables, facts)


def _facts(
    choosing: Choosing, tables: Mapping[str, Any], aside: Aside, people: Judgments | None
) -> dict[str, Any]:
    """What the encoders, the guard and people say, for the summary."""
    facts: dict[str, Any] = {}
    if zeros := _zero_vectors(choosing.prepared.run):
        facts["zero_vectors"] = zeros
    guard = guard_summary(choosing.judged, tables, aside.without, choosing.config.guard)
    if guard is not None:
        facts["guard"] = guard
    if people is not None:
        facts |= {"labels": people.summary(), "measured": people.measured}
    return facts


def _zero_vectors(run: RunDirectory) -> dict[str, Any]:
    """Retriever and kind → how many texts with words have a vector of zeros, and the first of them."""
    stages = {
        f"{name} {kind}": f"encode {name} {kind}"
        for name in run.stage("search")["retrievers"]
        for kind in KINDS
    }
    found = {which: run.stage(stage).get("zeros") for which, stage in stages.items()}
    return {which: zeros for which, zeros in found.items() if zeros}


def _note_scoring(run: RunDirectory, name: str, seconds: float) -> None:
    """Count the time of scoring apart from that of choosing."""
    choosing = run.manifest()["timings"][f"select {name}"]
    own = max(choosing - seconds, 0.0)
    run.update(timings={"rescore": round(seconds, 3), f"select {name}": round(own, 3)})


def _note(
    run: RunDirectory,
    config: Config,
    name: str,
    mark: str,
    tables: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """facts  what the summary says beside the tables' own numbers"""
    timings = run.manifest().get("timings", {})
    shown = {k: v for k, v in timings.items() if not k.startswith("select ") or k == f"select {name}"}
    own = {
        key: value
        for stage in SELECTING
        for key, value in getattr(config, stage).model_dump(mode="json").items()
    }
    numbers = summary(tables["outcomes"], tables["negatives"], shown, config.select.score_by)
    made_from = {stage: run.stage(stage)["fingerprint"] for stage in ("read", "search")}
    seals = {path.stem: read_seal(path) for path in sorted(run.selection(name).glob("*.parquet"))}
    checksums = {table: seal.crc32 for table, seal in seals.items() if seal is not None}
    summarised = {**numbers, **facts}
    entry = {"config": own, "fingerprint": mark, **made_from, "checksums": checksums, "summary": summarised}
    if config.guard.labels:
        entry["labels"] = label_digests(config)
    run.update(selections={name: entry})


def _selection_fingerprint(run: RunDirectory, config: Config, depth: int) -> str:
    found = digest(
        {
            "search": run.stage("search")["fingerprint"],
            "depth": depth,
            "rescore": run.stage("rescore").get("fingerprint"),
            "guard": config.guard.model_dump(mode="json", exclude={"labels"}),  # by what they hold, below
            "select": config.select.model_dump(mode="json"),
            "join_title": config.encode.join_title,
            "lists": list_digests(config),
        }
    )
    return digest([found, sorted(label_digests(config).values())]) if config.guard.labels else found


def document_vectors(found: Sequence[Source]) -> Vectors | None:
    """The document vectors of the first retriever that has any."""
    return next((source.vectors("document") for source in found if source.vectors is not None), None)


# -- going back to the retrievers -------------------------------------------------------------------------


def sources_again(prepared: Prepared, config: Config, own: OwnParts) -> list[Source]:
    """The retrievers of a finished run.

    Raises UsageError where they were objects that are not at hand, or are not those of the candidates.
    """
    named = (config.encode.model, config.rescore.cross_encoder)
    gone = [name for name in named if name is not None and is_object(name) and name not in own.models]
    if gone or not (config.search.retriever or own.retrievers):
        raise UsageError(f"{prepared.run.path}: {GIVEN_AS_OBJECTS}")
    found = sources(prepared, config, own)
    _same_retrievers(prepared, config, found)
    return found


def _same_retrievers(prepared: Prepared, config: Config, found: Sequence[Source]) -> None:
    """Raises UsageError where the retrievers are not those that the stored candidates came from."""
    stored = prepared.run.stage("search")["fingerprint"]
    if search_fingerprint(prepared, found, config) != stored:
        raise UsageError(
            f"{prepared.run.path}: its candidates cannot be searched deeper, nor their vectors be read: the "
            "models or files have changed since, or were given as objects; mine again"
        )
