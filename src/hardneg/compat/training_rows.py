"""FlagEmbedding's training files, row by row: read strictly, written whole or not at all, other keys kept."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardneg.errors import HardnegWarning, InputError, UsageError
from hardneg.files import replacing
from hardneg.named_files import kind_of_path
from hardneg.read.bad_rows import MEND, BadRows, RowError
from hardneg.read.labelled import parse_row
from hardneg.read.roles import Roles
from hardneg.read.row_files import jsonl_rows
from hardneg.texts import is_blank

TRAINED_FROM = (".json", ".jsonl")
"""Names of the files that FlagEmbedding's trainers look at; any other they pass over without a word."""

IDS_OF_NEGATIVES = ("neg_id", "neg_ids")


@dataclass(frozen=True)
class TrainingRow:
    """A line: its JSON object, and the texts in it.

    A `pos` or `neg` that is one text is a list of one; empty negatives are left out.
    """

    line: int
    row: dict[str, Any]
    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


def training_rows(path: Path) -> Iterator[TrainingRow]:
    """The rows of a file, whatever its name. Raises InputError, with the line, for one that is none."""
    for line, row in jsonl_rows(path).read(BadRows(hint=MEND)):
        missing = [name for name in ("query", "pos") if name not in row]
        if missing:
            raise InputError(f"there is no {missing[0]!r}", file=path, line=line)
        roles = Roles(query="query", positive="pos", negatives=("neg",) if "neg" in row else ())
        try:
            found = parse_row(row, roles)
        except RowError as error:
            raise InputError(error.reason, file=path, line=line, column=error.column) from error
        yield TrainingRow(
            line,
            row,
            found.query,
            tuple(passage.text for passage in found.positives),
            tuple(passage.text for passage in found.negatives),
        )


def ids_of_negatives(row: dict[str, Any]) -> dict[str, list[Any]]:
    """The ids that stand beside `neg`, without those of the empty texts that are left out of it."""
    texts = row.get("neg")
    if not isinstance(texts, list):
        return {}
    beside = {name: row[name] for name in IDS_OF_NEGATIVES if isinstance(row.get(name), list)}
    return {
        name: [one for one, text in zip(ids, texts, strict=True) if not is_blank(text)]
        for name, ids in beside.items()
        if len(ids) == len(texts)
    }


def write_rows(rows: Iterable[dict[str, Any]], path: Path, elsewhere: str = "--output_file") -> int:
    """JSON lines, UTF-8; how many. What UTF-8 has not is escaped, as JSON may."""
    count = 0
    with (
        replacing(path, f"choose another file ({elsewhere})") as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as handle,
    ):
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count


def check_output(output: Path, inputs: Iterable[Path], flag: str = "--output_file") -> None:
    """Raises UsageError for a folder, and where writing would replace one of these files."""
    if kind_of_path(output) == "folder":
        raise UsageError(f"{output} is a folder; name a file in it ({flag})")
    for path in inputs:
        with suppress(OSError):
            if path.samefile(output):
                raise UsageError(f"{output}: input is read from it; choose another {flag}")


def warn_of_name(output: Path) -> None:
    """Where FlagEmbedding's trainers would not read a file of this name."""
    if output.suffix not in TRAINED_FROM:
        warn(
            f"{output.name}: FlagEmbedding's trainers read only names that end in {' or '.join(TRAINED_FROM)}"
        )


def warn(text: str) -> None:
    warnings.warn(text, HardnegWarning, stacklevel=3)
