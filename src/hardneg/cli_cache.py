"""`hardneg cache`: what the cache holds, and how it is made smaller."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hardneg.cli_options import Debug, Json, LogJson, Quiet, show_result
from hardneg.errors import UsageError
from hardneg.quantities import counted

if TYPE_CHECKING:
    from hardneg.encode.cache_listing import Held, Listing

cache = typer.Typer(
    help="Show what the cache holds, and make it smaller.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Folder = Annotated[
    Path | None,
    typer.Option("--cache-dir", help="The cache; default $HARDNEG_CACHE or the platform's cache folder."),
]


@cache.command()
def ls(
    cache_dir: Folder = None, as_json: Json = False, log_json: LogJson = False, debug: Debug = False
) -> None:
    """List every encoder whose vectors are kept: how many texts, how large, when used last."""
    from hardneg.report.cache import render_listing

    found = _listing(cache_dir).as_dict()
    show_result(found, render_listing(found), quiet=False, as_json=as_json)


@cache.command()
def rm(
    which: Annotated[
        list[str], typer.Argument(metavar="WHICH...", help="The beginning of an id, or a model's name.")
    ],
    cache_dir: Folder = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
) -> None:
    """Remove the vectors of these encoders; not those that a process is using."""
    from hardneg.encode.cache_removal import remove
    from hardneg.report.cache import render_removal

    found = _listing(cache_dir)
    chosen = list({held.id: held for word in which for held in [_one(found, word)]}.values())
    _confirm(chosen, yes)
    done = remove(chosen)
    show_result(done.as_dict(), render_removal(done.as_dict()), quiet=quiet, as_json=as_json)
    if done.kept:
        raise typer.Exit(1)


@cache.command()
def prune(
    older_than: Annotated[
        str | None, typer.Option(help="Remove what was not used for so long: 30d, 12h, 2w.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(help="Remove what was used longest ago until the rest fits: 20GB.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    cache_dir: Folder = None,
    quiet: Quiet = False,
    as_json: Json = False,
    log_json: LogJson = False,
    debug: Debug = False,
) -> None:
    """Remove what runs that were killed have left, and, if asked, what was not used for long.

    Never what a process is using. `hardneg doctor --cache` looks for damage byte by byte.
    """
    from hardneg.encode.cache_removal import prune as pruned
    from hardneg.quantities import parse_size, parse_span
    from hardneg.report.cache import render_removal

    done = pruned(
        _listing(cache_dir),
        older_than=None if older_than is None else parse_span(older_than, "--older-than"),
        max_size=None if max_size is None else parse_size(max_size, "--max-size"),
        dry_run=dry_run,
    )
    show_result(done.as_dict(), render_removal(done.as_dict()), quiet=quiet, as_json=as_json)


def _listing(cache_dir: Path | None) -> Listing:
    from hardneg.encode import store_root
    from hardneg.encode.cache_listing import Listing, listing

    root = store_root(None if cache_dir is None else str(cache_dir))
    return Listing(root) if cache_dir is None and not root.exists() else listing(root)


def _one(found: Listing, word: str) -> Held:
    """Raises UsageError where none or several are meant."""
    from hardneg.encode.cache_listing import matching

    meant = matching(found, word) if word else []
    if not meant:
        raise UsageError(
            f"{word!r}: no encoder in {found.root} has such an id or name; see `hardneg cache ls`"
        )
    if len(meant) > 1:
        several = ", ".join(f"{one.id[:12]} ({one.model or 'no name'}, {one.precision})" for one in meant)
        raise UsageError(f"{word!r} may be any of {several}; write more of an id")
    return meant[0]


def _confirm(chosen: list[Held], yes: bool) -> None:
    """Raises UsageError where nobody is there to be asked."""
    from hardneg.quantities import size_text
    from hardneg.terminal import printable

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("rm asks before it removes, and here is nobody to be asked; add --yes")
    for one in chosen:
        typer.echo(
            printable(f"{one.id[:12]}  {one.model}  {counted(one.texts, 'text')}, {size_text(one.size)}"),
            err=True,
        )
    typer.confirm("Remove these? Their texts are encoded anew by the next run that needs them.", abort=True)
