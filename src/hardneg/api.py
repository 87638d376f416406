"""The Python face: `load`, `mine`, `audit`, `trial`, `convert`, `check`; and what a finished run can be
asked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import pyarrow as pa

from hardneg.arguments import (
    optional_path,
    path_of,
    refuse_no_number,
    refuse_no_text,
    refuse_unlike,
    texts_of,
)
from hardneg.config import Config, TrainingFileOptions, build, nearest
from hardneg.errors import UsageError
from hardneg.plan.retrievers import NOTHING_OWN, OwnParts, object_name
from hardneg.progress import Silent
from hardneg.protocols import Engine, Progress, Student
from hardneg.recipes import recipe_settings
from hardneg.records import Collection
from hardneg.refusals import plainly
from hardneg.remote import address_of, refuse_remote, sent
from hardneg.run_directory import RunDirectory

TableName = Literal["negatives", "positives", "decisions", "outcomes", "candidates"]
TABLES: tuple[str, ...] = get_args(TableName)
Read = TypeVar("Read")

if TYPE_CHECKING:
    from hardneg.export import ExportReport, SelectedTables
    from hardneg.plan.check_file import CheckReport
    from hardneg.plan.convert_report import ConvertReport
    from hardneg.plan.publish import Publication


@plainly()
def load(source: Any, *, corpus: Any = None, **settings: Any) -> Collection:
    """Read a source into tables.

    source    a BEIR folder, a Hub data set id (`hf:ID` forces the Hub), a JSONL, CSV, TSV or Parquet file,
              each also in an object store (`s3://bucket/key`); a `datasets.Dataset` or `IterableDataset`, a
              pandas, polars or Arrow table, whatever else has `__arrow_c_stream__`, a list of dicts, or a
              dict of such tables under the names corpus, queries and qrels
    corpus    a further pool of documents: a path or a table with `text`
    settings  keys of the read stage: split, qrels, query_column, on_bad_row, ... (hardneg.config.ReadConfig)

    Raises InputError for bad input, UsageError for a setting that cannot be right.
    """
    from hardneg.config import ReadConfig
    from hardneg.read import load as read

    if isinstance(corpus, str | os.PathLike):
        settings["corpus"], corpus = os.fspath(corpus), None
    return read(source, config=build(ReadConfig, settings), corpus=corpus)


@plainly()
def mine(
    source: Any,
    *,
    run_dir: str | os.PathLike[str] | None = None,
    name: str = "default",
    recipe: str | None = None,
    progress: Progress | None = None,
    engine: Engine | None = None,
    **settings: Any,
) -> Mined:
    """Read, encode, search, rescore, guard and select; go on where an earlier run of the same was stopped.

    source    what `load` takes, or its result
    run_dir   where the run is kept; without one, a temporary folder that lives as long as the result
    recipe    a name of `hardneg.RECIPES`; settings beside it win
    engine    who runs the parts of encoding, searching and rescoring (`hardneg.protocols.Engine`)
    settings  any key of any stage, by the names and with the defaults of the command line; `model` may be a
              SentenceTransformer or an Encoder, `cross_encoder` a CrossEncoder or a Scorer, and `retriever`
              may hold Retrievers (see hardneg.protocols)

    Raises HardnegError: InputError, UsageError, ModelError or StoreError.
    """
    from hardneg.plan.mine import mine as run_plan

    refuse_unlike(progress=progress, engine=engine)
    refuse_no_text(name=name, recipe=recipe)
    kept_in = optional_path("run_dir", run_dir)
    values = {**(recipe_settings(recipe) if recipe else {}), **settings}
    own = _take_objects(values)
    if engine is not None:
        own = replace(own, engine=engine)
    config = Config.from_flat(values)
    keep = None if run_dir is not None else tempfile.TemporaryDirectory(prefix="hardneg-")
    run = RunDirectory(keep.name if keep is not None else kept_in or Path())
    progress = progress or Silent()
    run_plan(source, config, run, name=name, progress=progress, own=own)
    return Mined(run, name, progress, keep, own)


def _take_objects(values: dict[str, Any]) -> OwnParts:
    """Take models, retrievers and scorers given as objects out of the settings; names take their place."""
    models: dict[str, Any] = {}
    for key in ("model", "cross_encoder"):
        if isinstance(values.get(key), list | tuple | dict | bool | int | float):
            continue  # out of a file: no model, and refused with its key
        if not isinstance(values.get(key), str | os.PathLike | None):
            models[object_name(key)] = values[key]
            values[key] = object_name(key)
        elif key in values and values[key] is not None:
            values[key] = os.fspath(values[key])
    given = values.get("retriever", ())
    given = [given] if isinstance(given, str) or hasattr(given, "search") else given
    given = list(given) if isinstance(given, Iterable) else []  # else no retriever, and refused with its key
    retrievers = tuple(item for item in given if hasattr(item, "search"))
    if retrievers:
        values["retriever"] = tuple(item for item in given if not hasattr(item, "search"))
    scorer = models.get(object_name("cross_encoder"))
    own_scorer = scorer if hasattr(scorer, "fingerprint") and hasattr(scorer, "score") else None
    return OwnParts(models, retrievers, own_scorer)


@plainly()
def open_run(
    run_dir: str | os.PathLike[str], *, selection: str = "default", progress: Progress | None = None
) -> Mined:
    """A finished run. Raises InputError where there is none."""
    refuse_unlike(progress=progress)
    refuse_no_text(selection=selection)
    return Mined(RunDirectory.existing(path_of("run_dir", run_dir)), selection, progress or Silent())


@plainly()
def audit(
    source: Any,
    *,
    run_dir: str | os.PathLike[str] | None = None,
    selection: str = "default",
    recipe: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """How many positives each rule would take for negatives: known ones are hidden, and are counted there.

    source    a run directory, or what `mine` takes, which is mined first
    run_dir   where such a run is kept, `audit/` with the numbers and the chart among it
    settings  `hide`, `repeats`, `max_queries` (hardneg.auditing.AuditOptions); of a run guard and select
              settings in the place of the selection's, else what `mine` takes

    Returns what is in audit.json; docs/audit.md says how to read it. Raises UsageError where no query has
    two positives, so that none can be hidden.
    """
    from hardneg.auditing import AuditOptions

    refuse_no_text(recipe=recipe, selection=selection)
    kept_in = optional_path("run_dir", run_dir)
    values = {**(recipe_settings(recipe) if recipe else {}), **settings}
    options = {key: values.pop(key) for key in AuditOptions.model_fields if key in values}
    build(AuditOptions, options)  # before anything is mined
    if isinstance(source, str | os.PathLike) and RunDirectory.at(Path(source)):
        if kept_in is not None and kept_in != Path(source):
            raise UsageError(f"{os.fspath(source)} is a run directory itself; leave run_dir (--run-dir) out")
        mined = open_run(source, selection=selection, progress=progress)
        return mined.audit(**options, **values)
    mined = mine(source, run_dir=run_dir, name=selection, progress=progress, **values)
    return mined.audit(**options)


@plainly()
def trial(
    run_dir: str | os.PathLike[str],
    *,
    selections: str | Sequence[str] = (),
    evaluation: Any = None,
    student: str | Student | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Which negatives train best: a student learns from each selection, and is asked unseen queries.

    selections  names of the run's; none: a grid of the field's rules and the guard's
    evaluation  queries that are asked, as `load` takes them, with the run's document ids; None: a part of the
                run's own, that shares no answer with the rest
    student     adapter, full or static, or a `hardneg.protocols.Student`
    options     hardneg.trialing.TrialOptions

    Returns what is in RUN/trial/trial.json; docs/trial.md says how to read it. Raises UsageError where
    nothing can be learned or asked.
    """
    mined = open_run(run_dir, progress=progress)
    return mined.trial(selections=selections, evaluation=evaluation, student=student, **options)


@plainly()
def convert(
    source: str | os.PathLike[str],
    to: str,
    output: str | os.PathLike[str],
    *,
    format: str | None = None,
    list_to: str | os.PathLike[str] | None = None,
    **options: Any,
) -> ConvertReport:
    """A training file → another trainer's, without mining, checked as every run's; the file's order stays.

    source, output  a file or folder, or an address in an object store (`s3://bucket/key`)
    format   of the source; by default the one that it begins as
    list_to  a file for all that was dropped as faulty, as JSON lines
    options  `on_fault`, `scores`, `ids`, `num_negatives`, `shortfall`, ... (hardneg.export.ConvertOptions);
             `corpus`, `queries`, `qrels`, `min_relevance` for what the file does not say
             (hardneg.config.TrainingFileOptions)

    Raises UsageError for what cannot be asked, InputError with file and line for what is wrong in the source.
    """
    from hardneg.export import ConvertOptions, check_destination
    from hardneg.plan.convert import convert
    from hardneg.read.at_hand import at_hand

    refuse_no_text(to=to, format=format)
    source_path, output_path = path_of("source", source), path_of("output", output)
    list_path = optional_path("list_to", list_to)
    refuse_remote(list_to, "the list of faults")
    of_file = {key: options.pop(key) for key in TrainingFileOptions.model_fields if key in options}
    file, chosen = build(TrainingFileOptions, of_file), build(ConvertOptions, options)
    named, address = address_of(source) or source_path, address_of(output)
    check_destination(to, address or output_path, [str(named), *file.named])
    with at_hand(source, file) as have, nullcontext(output) if address is None else sent(address) as local:
        report = convert(
            Path(have.source),
            to,
            Path(local),
            format_name=format,
            file=have.config,
            options=chosen,
            list_to=list_path,
        )
    return replace(report, source=named, path=address or report.path)


@plainly()
def check(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    num_negatives: int | None = None,
    list_to: str | os.PathLike[str] | None = None,
    **file: Any,
) -> CheckReport:
    """What is wrong with a training file, whatever its trainer: see the report's `faults` and `clean`.

    path           a file or folder, or an address in an object store (`s3://bucket/key`)
    format         by default the one that the file begins as
    num_negatives  that every row should have; by default where the format asks for one number
    list_to        a file for all faults, as JSON lines
    file           `corpus`, `queries`, `qrels`, `min_relevance` for what the file does not say

    Raises InputError where it cannot be read at all.
    """
    from hardneg.plan.check_file import check_file
    from hardneg.read.at_hand import at_hand

    refuse_no_text(format=format)
    refuse_no_number(num_negatives=num_negatives)
    path_of("path", path)
    list_path = optional_path("list_to", list_to)
    refuse_remote(list_to, "the list of faults")
    with at_hand(path, build(TrainingFileOptions, file)) as have:
        report = check_file(
            Path(have.source),
            format,
            have.config,
            num_negatives=num_negatives,
            list_to=list_path,
        )
    return replace(report, path=address_of(path) or report.path)


class Mined:
    """A run and one of its selections. Tables are read when asked for, as Arrow."""

    def __init__(
        self,
        run: RunDirectory,
        selection: str,
        progress: Progress,
        keep: Any = None,
        own: OwnParts = NOTHING_OWN,
    ) -> None:
        self._run, self._progress, self._keep, self._own = run, progress, keep, own
        self.selection = selection

    def __repr__(self) -> str:
        return f"Mined({str(self.run_dir)!r}, selection={self.selection!r})"

    @property
    def run_dir(self) -> Path:
        return self._run.path

    @property
    def config(self) -> dict[str, Any]:
        """The selection's settings, flat; `mine(source, **config)` does the same again."""
        return self._steadily(self._config)

    @property
    def summary(self) -> Mapping[str, Any]:
        """Queries by outcome, negatives a query, hardness, drops by reason, times a stage."""

        def read() -> dict[str, Any]:
            self._run.selection_table(self.selection, "outcomes", ["query_id"])  # says so where it is no more
            summary: dict[str, Any] = self._run.told_of(self.selection)["summary"]
            return summary

        return self._steadily(read)

    @property
    def negatives(self) -> pa.Table:
        return self._table("negatives")

    @property
    def positives(self) -> pa.Table:
        return self._table("positives")

    @property
    def outcomes(self) -> pa.Table:
        return self._table("outcomes")

    @property
    def decisions(self) -> pa.Table:
        return self._table("decisions")

    @property
    @plainly()
    def candidates(self) -> pa.Table:
        """Every candidate with its retriever, raw rank and scores."""
        from hardneg.plan.retrieve import candidate_table

        def read() -> pa.Table:
            self._run.depth()  # says so where they are on their way
            return candidate_table(self._run)

        return self._steadily(read)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The negatives, for whatever takes an Arrow stream: `polars.DataFrame(mined)`, DuckDB, ..."""
        return self.negatives.__arrow_c_stream__(requested_schema)

    def to_pandas(self, table: TableName = "negatives") -> Any:
        """One of the tables as a pandas.DataFrame; ids and words are categories."""
        return self._named(table).to_pandas()

    def to_polars(self, table: TableName = "negatives") -> Any:
        """One of the tables as a polars.DataFrame, without a copy where polars needs none."""
        try:
            import polars
        except ImportError as error:
            raise UsageError("to_polars needs an optional part: pip install polars") from error
        return polars.from_arrow(self._named(table))

    def _named(self, table: str) -> pa.Table:
        if table not in TABLES:
            raise UsageError(
                f"there is no table {table!r}{nearest(table, TABLES)}; there are {', '.join(TABLES)}"
            )
        found: pa.Table = getattr(self, table)
        return found

    @property
    @plainly()
    def collection(self) -> Collection:
        return self._run.collection()

    @plainly()
    def select(
        self, *, name: str = "default", recipe: str | None = None, from_trial: bool = False, **settings: Any
    ) -> Mined:
        """Choose again with other rules, from the stored candidates; the rest stays as it was in the run.

        from_trial  takes the settings that the run's last trial recommends; those given beside it win
        settings    keys of the guard and select stages
        """
        from hardneg.plan.mine import select_again

        refuse_no_text(name=name, recipe=recipe)
        values = {**(recipe_settings(recipe) if recipe else {}), **settings}
        if from_trial:
            from hardneg.plan.trial import from_trial as recommended

            values = {**recommended(self._run), **values}
        select_again(self._run, values, name=name, progress=self._progress, own=self._own)
        return Mined(self._run, name, self._progress, self._keep, self._own)

    @plainly()
    def preview(self, **settings: Any) -> list[dict[str, Any]]:
        """What each of a grid of rules would give: yield, hardness, shortfall. Writes nothing."""
        from hardneg.plan.mine import preview

        return preview(self._run, settings, progress=self._progress, own=self._own)

    @plainly()
    def suspects(
        self, n: int = 200, *, output: str | os.PathLike[str] | None = None, seed: int = 0
    ) -> pa.Table:
        """The negatives of this selection whose judgment would teach most, to be judged by people.

        Half are those likeliest to be positives, half a random sample of the others; a row says which, and
        with what probability it had to be drawn (`hardneg.records.SUSPECTS`).

        output  writes them too, by its suffix: .csv, .jsonl or .parquet; filled in, `select(labels=...)`
                takes the file
        """
        from hardneg.plan.suspects import suspects, write_suspects

        refuse_no_number(n=n, seed=seed)
        file = optional_path("output", output)
        read = partial(suspects, self._run, self.selection, n, seed, self._progress)
        if file is None:
            return self._steadily(read)
        with self._run.locked_for(file, "suspects"):
            table = self._steadily(read)
            write_suspects(table, file)
        return table

    @plainly()
    def audit(self, **settings: Any) -> dict[str, Any]:
        """How many positives each rule would take for negatives; see `hardneg.audit`."""
        from hardneg.auditing import AuditOptions
        from hardneg.plan.audit import audit

        options = {key: settings.pop(key) for key in AuditOptions.model_fields if key in settings}
        return audit(
            self._run,
            settings,
            build(AuditOptions, options),
            selection=self.selection,
            progress=self._progress,
            own=self._own,
        )

    @plainly()
    def trial(
        self,
        *,
        selections: str | Sequence[str] = (),
        evaluation: Any = None,
        student: str | Student | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Which negatives train best; see `hardneg.trial`."""
        from hardneg.plan.trial import trial
        from hardneg.plan.trial_students import refuse_no_student
        from hardneg.trialing import TrialOptions

        if isinstance(evaluation, str | os.PathLike):
            options["evaluation"], evaluation = os.fspath(evaluation), None
        if isinstance(student, str):
            options["student"], student = student, None
        elif student is not None:
            refuse_no_student(student)
        return trial(
            self._run,
            build(TrialOptions, options),
            selections=texts_of("selections", selections),
            progress=self._progress,
            own=self._own,
            evaluation=evaluation,
            student=student,
        )

    @plainly()
    def inspect(self, query_id: str) -> dict[str, Any]:
        """Every candidate of a query with its ranks, scores, decision and reason."""
        from hardneg.plan.inspect import inspect_query

        return self._steadily(lambda: inspect_query(self._run, self.selection, query_id))

    @plainly()
    def to(self, to: str, output: str | os.PathLike[str] | None = None, **options: Any) -> ExportReport | Any:
        """Write the selection in a trainer's format; without `output`, return a `datasets.Dataset`.

        output   a file or folder, or an address in an object store (`s3://bucket/key`)
        options  scores, ids, prompts, text: see `hardneg.export.ExportOptions`
        """
        from hardneg.export import ExportOptions, check_destination, export, to_dataset

        refuse_no_text(to=to)
        file = optional_path("output", output)
        tables, join_title = self._steadily(self._selected)
        chosen = build(ExportOptions, {"join_title": join_title, **options})
        if file is None:
            return to_dataset(tables, to, options=chosen)
        if (address := address_of(output)) is not None:
            check_destination(to, address, self._run.inputs(), chosen)
            with sent(address) as local:
                return replace(export(tables, to, local, options=chosen), path=address)
        with self._run.locked_for(file, "export"):
            return export(tables, to, file, options=chosen)

    @plainly()
    def to_hub(
        self,
        repo_id: str,
        *,
        to: str = "st-triplet",
        license: str | None = None,
        private: bool = True,
        folder: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Publication:
        """Send the selection to the Hugging Face Hub as a data set, in one commit, with a card.

        to       the format; the file is Parquet where the format has it, else JSON lines
        license  of the card's metadata; None: the card says that none is stated
        private  whether a new data set is private; one that is there and public is refused then
        folder   write there what would be sent, and send nothing
        options  as of `to`

        The token is that of HF_TOKEN or `hf auth login`. Raises UsageError without one, StorageError where
        the Hub refuses.
        """
        from hardneg.export import ExportOptions
        from hardneg.plan.publish import publish

        refuse_no_text(repo_id=repo_id, to=to, license=license)
        sent_from = optional_path("folder", folder)
        refuse_remote(folder, "this folder")
        tables, join_title = self._steadily(self._selected)
        return publish(
            self._run,
            self.selection,
            tables,
            to,
            repo_id,
            build(ExportOptions, {"join_title": join_title, **options}),
            licence=license,
            private=private,
            folder=sent_from,
        )

    def _selected(self) -> tuple[SelectedTables, bool]:
        """What an export is made from, and whether titles were joined to texts."""
        from hardneg.export import SelectedTables

        collection = self._run.collection()
        tables = SelectedTables(
            corpus=collection.corpus,
            queries=collection.queries,
            positives=self._run.selection_table(self.selection, "positives"),
            negatives=self._run.selection_table(self.selection, "negatives"),
        )
        return tables, self._config()["join_title"]

    def _config(self) -> dict[str, Any]:
        manifest = self._run.manifest()
        return {**manifest["config"], **manifest["selections"].get(self.selection, {}).get("config", {})}

    def _table(self, table: str) -> pa.Table:
        return self._steadily(lambda: self._run.selection_table(self.selection, table))

    @plainly()
    def _steadily(self, read: Callable[[], Read]) -> Read:
        """What `read` gives, all of it of one state of the run."""
        from hardneg.plan.steadily import steadily

        return steadily(self._run, self.selection, read)
