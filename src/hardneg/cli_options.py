"""Command-line options: what commands share, and what is made from the configuration models.

Those are the one source for names, types, help and defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from hardneg.config import Names, Stage
from hardneg.json_log import ASKED
from hardneg.terminal import show, show_json

NAMES = get_args(Names)[0]

Command = Callable[..., Any]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and warnings.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
LogJson = Annotated[bool, typer.Option(ASKED, help="Tell what happens as lines of JSON on standard error.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def show_result(value: Any, text: str, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        show_json(value)
    elif not quiet:
        show(text)


def with_options(*stages: type[Stage]) -> Callable[[Command], Command]:
    """Add an option for each key of these stages; the command gets those given, in `settings`.

    An option that was not given stays out of `settings`, so that a config file's or a recipe's value holds.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "settings"]
        keys = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(key, info, stage)
            )
            for stage in stages
            for key, info in stage.model_fields.items()
        ]
        names = {key.name for key in keys}

        def run(**values: Any) -> Any:
            settings = {k: v for k, v in values.items() if k in names and not _not_given(v)}
            rest = {k: v for k, v in values.items() if k not in names}
            return command(**rest, settings=settings)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + keys
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__doc__, run.__name__ = command.__doc__, command.__name__
        return run

    return decorate


def _not_given(value: Any) -> bool:
    return value is None or (isinstance(value, list) and not value)


def _option(key: str, info: FieldInfo, stage: type[Stage]) -> Any:
    default = info.default
    help_text = info.description or ""
    if default is not None and default != () and "default" not in help_text:
        shown = (
            ", ".join(default)
            if isinstance(default, tuple)
            else str(default).lower()
            if isinstance(default, bool)
            else default
        )
        help_text += f" (default: {shown})"
    flag = "--" + key.replace("_", "-")
    names: Sequence[str] = [flag, flag.replace("--", "--no-", 1)] if info.annotation is bool else [flag]
    declaration = f"{names[0]}/{names[1]}" if len(names) == 2 else names[0]
    panel = (stage.__doc__ or "").strip().rstrip(".")
    return Annotated[
        _annotation(info),
        typer.Option(declaration, help=help_text, rich_help_panel=panel, show_default=False),
    ]


def _annotation(info: FieldInfo) -> Any:
    """The type that typer parses. What has a syntax of its own, or takes `none`, is text for pydantic."""
    if info.annotation == NAMES:
        return list[str] | None
    if info.annotation in (int, float, str, bool) or get_origin(info.annotation) is Literal:
        return info.annotation | None  # type: ignore[operator]  # a type or a Literal, both take |
    return str | None
