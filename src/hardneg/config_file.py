"""Config files: YAML or JSON, flat, `depth: 200`; or a run's manifest.json."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from hardneg.config import shown
from hardneg.errors import InputError, UsageError
from hardneg.json_values import NotJsonError, parse_json
from hardneg.named_files import named_text

_LONGEST = 1 << 20  # bytes; of JSON, which is read quickly:
_LONGEST_JSON = 1 << 26
_HINT = "write `key: value` lines, a value that holds or ends in a colon in quotes"


def load_config_file(path: Path) -> dict[str, Any]:
    """A flat mapping of keys, `-` in them as `_`; of a manifest its `config`. Raises InputError."""
    text = named_text(path, _LONGEST_JSON)
    values = _values(text, path)
    if isinstance(values, dict) and isinstance(values.get("config"), dict):
        values = values["config"]
    if not isinstance(values, dict):
        raise InputError("holds no keys; write `key: value` lines", file=path)
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = str(name).replace("-", "_")
        if key in found:
            raise InputError(f"the key {key!r} stands there twice; keep one", file=path)
        found[key] = value
    return found


def refuse_no_text(key: str, value: Any) -> None:
    """Raises UsageError for a value that is no name: those of a command's own flags are."""
    if isinstance(value, list | dict | bool):
        raise UsageError(f"{key}: must be text (given: {shown(value)})")
    if isinstance(value, str) and "\0" in value:
        raise UsageError(f"{key}: holds a NUL character; leave it out")


def _values(text: str, path: Path) -> Any:
    fault = "is longer than 1 MiB and no JSON; is it the right file?"
    if text.lstrip().startswith("{"):
        try:
            return parse_json(text)
        except NotJsonError as error:  # YAML has braces too
            fault = f"is not JSON ({error})"
    if len(text) > _LONGEST:
        raise InputError(fault, file=path)
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or "holds a character that YAML has not"
        raise InputError(f"{problem}; {_HINT}", file=path, line=line) from error
    except RecursionError as error:
        raise InputError(f"is nested too deep; {_HINT}", file=path) from error


class _Loader(yaml.SafeLoader):
    """Texts, lists, objects, truth values, and numbers as JSON writes them: YAML 1.1 takes 10:20 for 620, a
    number of base 60, where a window is meant. Dates are texts.

    Refused are tags; aliases, for a few lines of them stand for billions of values; and a key that stands
    there twice, for one of the two would be lost.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # yaml has no types for it
        if isinstance(event, yaml.AliasEvent):
            raise _fault("an alias (*name) is not taken; write the value out", event)
        if getattr(event, "tag", None) is not None:
            raise _fault(f"a tag ({event.tag}) is not taken; leave it out", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    raise _fault(f"the key {key.value!r} stands there twice; keep one", key)
                names.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_whole(self, node: Any) -> int:
        if len(node.value) > _MOST_DIGITS:
            raise _fault("a number has more than 4,300 digits", node)
        return int(node.value)


def _fault(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


_MOST_DIGITS = 4_300  # that Python reads: it would take the square of their number
_NOT_TAKEN = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "merge", "value")}
_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9]*)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$|[-+]?[0-9]+[eE][-+]?[0-9]+$|[-+]?\.(inf|nan)$"
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, _NUMBERS.get(tag, pattern)) for tag, pattern in patterns if tag not in _NOT_TAKEN]
    for first, patterns in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole)
