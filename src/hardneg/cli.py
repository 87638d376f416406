"""The command line: one command a stage that people call by name, and `mine` for all of them."""

from __future__ import annotations

import gc
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from hardneg.auditing.options import AuditOptions
from hardneg.cli_cache import cache
from hardneg.cli_options import Debug, Json, LogJson, Quiet, show_result, with_options
from hardneg.config import (
    SELECTING,
    STAGES,
    Config,
    EncodeConfig,
    Format,
    GuardConfig,
    ReadConfig,
    RescoreConfig,
    SearchConfig,
    SelectConfig,
    Stage,
    TrainingFileOptions,
    nearest,
    refuse_credentials,
)
from hardneg.config_file import load_config_file, refuse_no_text
from hardneg.errors import HardnegError, UsageError, within
from hardneg.export.options import ConvertOptions, ExportOptions
from hardneg.interruption import end_on_signals
from hardneg.json_log import ASKED, Events, Logged, events_on_stderr
from hardneg.progress import Silent, Terminal, warned_once
from hardneg.protocols import Progress
from hardneg.recipes import recipe_help, recipe_settings
from hardneg.refusals import plainly
from hardneg.remote import address_of
from hardneg.run_directory import RunDirectory
from hardneg.terminal import guard_streams, printable, show
from hardneg.trialing.options import TrialOptions

app = typer.Typer(
    help="Mine hard negatives that are really negative, for training text-retrieval models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cache, name="cache")

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory made by `hardneg mine`.")]
Recipe = Annotated[str | None, typer.Option(help=recipe_help())]


def _file_first(context: typer.Context, path: Path | None) -> Path | None:
    """The file's values for the command's own flags (--run-dir, --to, ...) become their defaults."""
    if path is not None:
        values = {key: value for key, value in load_config_file(path).items() if key in OF_COMMANDS}
        for key, value in values.items():
            refuse_no_text(key, value)
        given = {key: str(value) for key, value in values.items() if value is not None}
        context.default_map = {**(context.default_map or {}), **given}
    return path


OF_COMMANDS = ("run_dir", "name", "recipe", "to", "output")
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML or JSON with settings, or a run's manifest.json.",
        is_eager=True,
        callback=_file_first,
    ),
]
SelectionName = Annotated[str, typer.Option("--name", help="Name of the selection.")]
To = Annotated[Format | None, typer.Option("--to", help="Format of the training file.")]
# Not a Path, which takes a slash out of an address.
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="PATH", help="The training file; also s3://BUCKET/NAME and the like."
    ),
]
ListTo = Annotated[Path | None, typer.Option("--list", help="Write all faults there, as lines of JSON.")]


def _progress(quiet: bool) -> Progress:
    if quiet:
        return Silent()
    return Logged(sys.stderr) if isinstance(sys.stderr, Events) else Terminal()


def _settings(
    config: Path | None, recipe: str | None, flags: dict[str, Any], stages: Sequence[str] = tuple(STAGES)
) -> dict[str, Any]:
    """Later wins: config file, recipe, flags. A file may hold settings of other stages too."""
    passed = {
        *OF_COMMANDS,
        *(key for name in STAGES if name not in stages for key in STAGES[name].model_fields),
    }
    file = load_config_file(config) if config else {}
    every: list[type[Stage]] = [AuditOptions, *STAGES.values()]
    known = {*OF_COMMANDS, *(key for model in every for key in model.model_fields)}
    for key in file:
        if key not in known:  # it may be the name of what a function takes besides settings
            raise UsageError(f"unknown key {key!r}{nearest(key, known)}")
    return {
        **{key: value for key, value in file.items() if key not in passed},
        **(recipe_settings(recipe) if recipe else {}),
        **flags,
    }


MINE_HELP = (
    "Read, encode, search, rescore, guard and select; with --to and --output also export.\n\n"
    "By default negatives are the best candidates that score 5 % below the mean positive, filled up with "
    "random documents (--relative-margin 0.05 --shortfall backfill). Of ten rules that MiniLM was fine-tuned "
    "by on nfcorpus and scifact this one lost least against the best, 0.0012 nDCG@10 on average; not filled "
    "up 0.0020, random documents alone 0.0037, the top candidates 0.0139, no hard negatives 0.0102. "
    "(Each rule at the better of two learning rates; over all students and rates of the benchmark random "
    "documents alone lost less, 0.0023 against 0.0037.) `hardneg trial` finds what is best on your data."
)


@app.command(help=MINE_HELP)
@with_options(ReadConfig, EncodeConfig, SearchConfig, RescoreConfig, GuardConfig, SelectConfig)
def mine(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Folder, file, Hub data set id (hf:ID forces the Hub), or s3://..."
        ),
    ],
    run_dir: Annotated[Path, typer.Option(help="Where the run is kept.")] = Path("hardneg-run"),
    name: SelectionName = "default",
    recipe: Recipe = None,
    config: ConfigFile = None,
    dry_run: Annotated[bool, typer.Option(help="Read, estimate time, memory and disk, and stop.")] = False,
    to: To = None,
    output: Output = None,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Read, encode, search, rescore, guard and select; with --to and --output also export."""
    import hardneg
    from hardneg.report.summary import render_summary

    if (to is None) != (output is None):
        raise UsageError("--to FORMAT and --output FILE go together")
    if to is not None and output is not None:
        from hardneg.export import check_destination

        check_destination(to, output, [source])  # before hours of work
    progress = _progress(quiet)
    values = _settings(config, recipe, settings)
    if dry_run:
        from hardneg.plan.estimate import estimate, render_estimate

        found = estimate(source, Config.from_flat(values), progress)
        show_result(found, render_estimate(found), quiet=quiet, as_json=as_json)
        return
    mined = hardneg.mine(source, run_dir=run_dir, name=name, progress=progress, **values)
    summary = dict(mined.summary)
    if to is not None and output is not None:
        summary["export"] = mined.to(to, output).as_dict()
    show_result(summary, render_summary(summary), quiet=quiet, as_json=as_json)
    if not quiet and not as_json:
        show(f"run directory: {printable(str(run_dir))}")
        if output is not None:
            show(f"training file: {printable(address_of(output) or output)}")


@app.command()
@with_options(GuardConfig, SelectConfig)
def select(
    run: Run,
    name: SelectionName = "default",
    recipe: Recipe = None,
    config: ConfigFile = None,
    preview: Annotated[bool, typer.Option(help="Show what a grid of rules would do; write nothing.")] = False,
    from_trial: Annotated[
        bool, typer.Option("--from-trial", help="Take what the run's last `hardneg trial` recommends.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Choose again from a finished run's candidates, with other rules; stored under --name."""
    import hardneg
    from hardneg.report.summary import render_preview, render_summary

    mined = hardneg.open_run(run, progress=_progress(quiet))
    values = _settings(config, recipe, settings, SELECTING)
    if preview:
        if from_trial:
            raise UsageError("--preview shows a grid of rules; leave --from-trial out")
        rows = mined.preview(**values)
        show_result(rows, render_preview(rows), quiet=quiet, as_json=as_json)
        return
    chosen = mined.select(name=name, from_trial=from_trial, **values)
    show_result(dict(chosen.summary), render_summary(chosen.summary), quiet=quiet, as_json=as_json)


@app.command()
@with_options(ExportOptions)
def export(
    run: Run,
    to: Annotated[Format, typer.Option("--to", help="Format of the training file.")],
    output: Output = None,
    to_hub: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Send it to the Hugging Face Hub, with a card.")
    ] = None,
    to_folder: Annotated[
        Path | None, typer.Option(help="With --to-hub: write there what would be sent, and send nothing.")
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="With --to-hub: the data's licence, by the Hub's name for it.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="With --to-hub: for everybody; default: private.")
    ] = False,
    selection: Annotated[str, typer.Option(help="Which selection.")] = "default",
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Write a selection in a trainer's format: to a file, an object store, or the Hugging Face Hub."""
    import hardneg

    if output is None and to_hub is None:
        raise UsageError("name the file (--output) or the data set on the Hub (--to-hub)")
    if output is not None and to_hub is not None:
        raise UsageError(
            "--output and --to-hub do not go together; a file for the Hub has a name of its own, and "
            "--to-folder shows it"
        )
    if to_hub is None and (to_folder is not None or license is not None or public):
        raise UsageError("--to-folder, --license and --public go with --to-hub")
    mined = hardneg.open_run(run, selection=selection, progress=_progress(quiet))
    report: Any
    if to_hub is None:
        report = mined.to(to, output, **settings)
    else:
        report = mined.to_hub(
            to_hub, to=to, license=license, private=not public, folder=to_folder, **settings
        )
    show_result(report.as_dict(), str(report), quiet=quiet, as_json=as_json)


@app.command()
@with_options(ConvertOptions, TrainingFileOptions)
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A training file (or folder).")],
    to: Annotated[Format, typer.Option("--to", help="Format of the new training file.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="PATH", help="The new training file.")],
    format: Annotated[
        Format | None, typer.Option("--from", help="Format of IN; default: as it begins.")
    ] = None,
    list_to: ListTo = None,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Write a training file in another trainer's format, checked, without mining."""
    import hardneg

    report = hardneg.convert(source, to, output, format=format, list_to=list_to, **settings)
    show_result(report.as_dict(), str(report), quiet=quiet, as_json=as_json)


@app.command()
@with_options(TrainingFileOptions)
def check(
    path: Annotated[str, typer.Argument(metavar="FILE", help="A training file (or folder).")],
    format: Annotated[
        Format | None, typer.Option("--format", help="Its format; default: as it begins.")
    ] = None,
    num_negatives: Annotated[int | None, typer.Option(min=1, help="How many every row should have.")] = None,
    list_to: ListTo = None,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Say what is wrong with a training file, whatever the trainer; exit code 1 where something is."""
    import hardneg

    report = hardneg.check(path, format=format, num_negatives=num_negatives, list_to=list_to, **settings)
    show_result(report.as_dict(), str(report), quiet=quiet, as_json=as_json)
    if not report.clean:
        raise typer.Exit(1)


@app.command()
def suspects(
    run: Run,
    n: Annotated[int, typer.Option("-n", help="How many negatives to judge.")] = 200,
    selection: Annotated[str, typer.Option(help="Which selection's negatives.")] = "default",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="FILE.csv, .jsonl or .parquet; default: RUN/suspects/NAME.csv."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random half.")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
) -> None:
    """Write the negatives whose judgment would teach most; filled in, they go to `select --labels`."""
    import hardneg
    from hardneg.report.suspects import render_suspects, suspects_summary
    from hardneg.run_directory import RunDirectory

    mined = hardneg.open_run(run, selection=selection, progress=_progress(quiet))
    path = output or RunDirectory(run).suspects(selection)
    table = mined.suspects(n, output=path, seed=seed)
    found = suspects_summary(table, path, mined.config.get("labels", ()))
    show_result(found, render_suspects(found, run), quiet=quiet, as_json=as_json)


@app.command()
@with_options(AuditOptions, ReadConfig, EncodeConfig, SearchConfig, RescoreConfig, GuardConfig, SelectConfig)
def audit(
    source: Annotated[
        str,
        typer.Argument(metavar="RUN|SOURCE", help="A run directory, or what `mine` takes: then that first."),
    ],
    run_dir: Annotated[Path | None, typer.Option(help="Where a SOURCE's run is kept.")] = None,
    selection: Annotated[str, typer.Option(help="Whose settings are measured too.")] = "default",
    recipe: Recipe = None,
    config: ConfigFile = None,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Hide known positives, mine by every rule, and show what comes back against how hard it is."""
    import hardneg
    from hardneg.report.audit import render_audit

    of_run = RunDirectory.at(source)
    options = {key: settings.pop(key) for key in AuditOptions.model_fields if key in settings}
    values = _settings(config, recipe, settings, SELECTING if of_run else tuple(STAGES))
    kept = Path(source) if of_run else run_dir or Path("hardneg-run")
    found = hardneg.audit(
        source,
        run_dir=run_dir if of_run else kept,
        selection=selection,
        progress=_progress(quiet),
        **options,
        **values,
    )
    show_result(found, render_audit(found), quiet=quiet, as_json=as_json)
    if not quiet and not as_json:
        drawn = sorted(path.name for path in RunDirectory(kept).audit.glob("audit.*"))
        show(printable(f"written to {RunDirectory(kept).audit}: {', '.join(drawn)}"))


@app.command()
@with_options(TrialOptions)
def trial(
    run: Run,
    selection: Annotated[
        list[str] | None,
        typer.Option(help="A selection to compare; repeatable; default: a grid of the field's rules."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Train a small student on each selection's negatives and show which does best on unseen queries."""
    import hardneg
    from hardneg.report.trial import render_trial

    mined = hardneg.open_run(run, progress=_progress(quiet))
    found = mined.trial(selections=selection or (), **settings)
    show_result(found, render_trial(found, run), quiet=quiet, as_json=as_json)


@app.command()
def inspect(
    run: Run,
    query: Annotated[str, typer.Option(help="Id of the query.")],
    selection: Annotated[str, typer.Option(help="Which selection's decisions.")] = "default",
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
) -> None:
    """Show every candidate of a query: ranks, scores, decision and reason."""
    import hardneg
    from hardneg.report.summary import render_query

    found = hardneg.open_run(run, selection=selection).inspect(query)
    show_result(found, render_query(found), quiet=False, as_json=as_json)


@app.command()
def doctor(
    path: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run directory; with --cache a cache folder.")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Check the cache: the folder named, or the one that is used.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove or mend what the next run can make again.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
) -> None:
    """Read all of a run or of the cache, and say what is damaged, gone, left over or contradictory."""
    from hardneg.encode import store_root
    from hardneg.plan import checkup
    from hardneg.report.checkup import render_checkup

    if path is None and not cache:
        raise UsageError("name a run directory, or give --cache")
    if cache:
        found = checkup.check_cache(path or store_root())
        if repair:
            checkup.repair(found)
    else:
        found = (checkup.repair_run if repair else checkup.check_run)(path or Path())
    show_result(found.as_dict(), render_checkup(found.as_dict(), repair), quiet=quiet, as_json=as_json)
    if found.left:
        raise typer.Exit(1)


_WORDS_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _drop_in(name: str, module: str, text: str) -> None:
    """A command whose flags are another tool's: `parser`, `run` and `render` of this module."""

    @app.command(name, help=text, context_settings=_WORDS_PASSED_ON, add_help_option=False)
    def command(context: typer.Context) -> None:
        tool = import_module(f"hardneg.compat.{module}")
        asked = tool.parser().parse(context.args)
        found = tool.run(asked, _progress(asked.quiet))
        show_result(found, tool.render(found), quiet=asked.quiet, as_json=asked.json)


_drop_in("hn-mine", "hn_mine", "FlagEmbedding's hn_mine.py, flag by flag.")
_drop_in("add-reranker-score", "add_reranker_score", "FlagEmbedding's add_reranker_score.py, flag by flag.")
_drop_in("split-by-length", "split_data_by_length", "FlagEmbedding's split_data_by_length.py, flag by flag.")


@app.command()
def recipes(as_json: Json = False, log_json: LogJson = False, debug: Debug = False) -> None:
    """List the recipes, each with its rules and its source."""
    from hardneg.recipes import RECIPES, render_recipes

    found = {name: {"settings": dict(r.settings), "source": r.source} for name, r in RECIPES.items()}
    show_result(found, render_recipes(), quiet=False, as_json=as_json)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo writes.")] = Path("demo"),
    log_json: LogJson = False,
    debug: Debug = False,
) -> None:
    """Mine the docstrings of Python's standard library, end to end."""
    from hardneg.demo import run_demo

    show(run_demo(folder, _progress(quiet=False)))


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"hardneg {version('hardneg')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Exit codes: 0 done, 1 a failed run (or a fault that `doctor` leaves or `check` finds), 2 bad input or
    usage; 130 and 143 ended by SIGINT and SIGTERM."""
    end_on_signals()
    guard_streams()
    # The models' libraries print bars and notes of their own; ours say what there is to say.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    gc.set_threshold(OBJECTS_TO_COLLECT_AFTER)
    logged = events_on_stderr(sys.argv[1:]) if ASKED in sys.argv else nullcontext()
    try:
        with logged, warned_once(_warn):
            _run()
    finally:
        gc.freeze()  # the process ends: looking at each object of torch once more would take a second


OBJECTS_TO_COLLECT_AFTER = 50_000
"""In place of Python's 700: importing torch and transformers makes millions of objects, none garbage."""


def _run() -> None:
    try:
        with plainly():
            refuse_credentials({"arguments": sys.argv[1:]})
            code = app(standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except typer.Abort:
        raise SystemExit(1) from None
    except HardnegError as error:
        _fail(error, str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if hasattr(error, "format_message"):
            _show_usage(error)
        _fail(error, f"{type(error).__name__}: {_one_line(error)}; --debug shows where", 1)


def _show_usage(error: Any) -> None:
    """What typer says of a command that cannot be, in a line; or the help, where nothing was asked."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        raise SystemExit(error.exit_code)
    line = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    for told, plain in _PLAIN.items():
        line = re.sub(told, plain, line)
    line = within(_with_nearest(line, error), _LONGEST_USAGE, _ITS_END)
    context = getattr(error, "ctx", None)
    command = "hardneg" if context is None else context.command_path
    _fail(UsageError(line), f"{line}; `{command} --help` says what there is", error.exit_code)


_LONGEST_USAGE, _ITS_END = 700, 550
_CHOICE = re.compile(r"'([^']+)' is not one of (.+)")


def _with_nearest(line: str, error: Any) -> str:
    """With what is near among the options, or among the choices of one."""
    if type(error).__name__ == "NoSuchOption":
        return f"no such option: {error.option_name}{nearest(error.option_name, error.possibilities or ())}"
    found = _CHOICE.search(line)
    return line if found is None else line + nearest(found[1], re.findall(r"'([^']+)'", found[2]))


_PLAIN = {
    r"(Input should be a valid|Unable to parse input string as an) integer.*": "must be a whole number",
    r"Input should be a valid number.*": "must be a number",
}
"""What is said of a value of a wrong type, by pydantic → by us."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"


def _warn(text: str) -> None:
    if isinstance(sys.stderr, Events):
        sys.stderr.emit("warning", "warning", message=text)
    else:
        print(printable(f"warning: {text}"), file=sys.stderr)


def _fail(error: Exception, line: str, code: int) -> None:
    if isinstance(sys.stderr, Events):
        sys.stderr.emit("error", "error", message=line, exit_code=code, **_told_of(error))
    elif "--debug" in sys.argv:
        traceback.print_exc()
    else:
        print(printable(f"error: {line}"), file=sys.stderr)
    raise SystemExit(code)


def _told_of(error: Exception) -> dict[str, Any]:
    """The error's class, where it is in the input, and with --debug where in the program."""
    places = {key: getattr(error, key, None) for key in ("file", "line", "column", "row_id")}
    told = {"class": type(error).__name__, **{k: v for k, v in places.items() if v is not None}}
    if "--debug" in sys.argv:
        told["traceback"] = "".join(traceback.format_exception(error))
    return told
