"""The formats by name. A trainer's module is imported only when one of its formats is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from hardneg.errors import UsageError
from hardneg.export.examples import Examples
from hardneg.export.options import ExportOptions
from hardneg.trainers import trainer_module

Kind = Literal["jsonl", "jsonl.gz", "jsonl.zst", "json", "parquet", "csv", "lines", "folder"]
Frame = tuple[bytes, bytes]
FOLDER: Mapping[str, Kind] = {"/": "folder"}
"""The `kinds` of a format of several files."""
ARRAY: Frame = (b"[\n", b"\n]\n")


@dataclass(frozen=True)
class FolderFile:
    """One of the files of a format that is a folder.

    key             column whose values stand there once: a later row of the same one is left out
    frame           what stands before and after the rows of kind `json`
    header, refuse  as in Format
    """

    rows: Callable[[Examples, ExportOptions], pa.Table]
    kind: Kind
    key: str | None = None
    frame: Frame = ARRAY
    header: bool = False
    refuse: Callable[[pa.Table], None] = lambda _: None


@dataclass(frozen=True)
class Format:
    """How a trainer wants its examples.

    rows         a block of groups → the rows of the file, the columns named and ordered as in the file
    kinds        file suffix ("": any) → how rows are written; the longest that fits decides
    takes        which of OPTIONAL_PARTS mean something here
    each         under reference `each`, a group a positive; else a group is always a query
    rectangular  every group needs the same number of negatives
    needs_scores whose scores must be there even when they are not asked for
    needs_positives  its rows cannot be without a positive
    holds_texts  else it is ids alone
    single_spaces  it makes white space in texts single spaces
    separator    between the values of a line of kind `lines`
    header       whether a line of column names stands first there
    refuse       raises InputError for rows that such lines cannot hold
    frame        what stands before and after the rows of kind `json`, which commas part
    folder       the files of a format that is a folder, by their names in it; `rows` are then its examples,
                 which are counted
    """

    rows: Callable[[Examples, ExportOptions], pa.Table]
    kinds: Mapping[str, Kind]
    takes: frozenset[str]
    each: bool = False
    rectangular: bool = False
    needs_scores: Literal["", "negatives", "all"] = ""
    needs_positives: bool = True
    holds_texts: bool = True
    single_spaces: bool = False
    separator: str = "\t"
    header: bool = False
    refuse: Callable[[pa.Table], None] = lambda _: None
    frame: Frame = ARRAY
    folder: Mapping[str, FolderFile] = field(default_factory=dict)

    def holds_positives(self, options: ExportOptions) -> bool:
        """Whether positives have a place in its file."""
        return self.needs_positives or options.positives


OPTIONAL_PARTS = ("scores", "soft_labels", "ids", "prompts", "positives")


def format_named(to: str) -> Format:
    """Raises UsageError for an unknown format."""
    found: Format = trainer_module("hardneg.export", to).FORMATS[to]
    return found


def find_format(to: str, options: ExportOptions) -> Format:
    """Raises UsageError for an unknown format, or an option that has no place in it."""
    found = format_named(to)
    for part in OPTIONAL_PARTS:
        if getattr(options, part) and part not in found.takes:
            named = part.replace("_", "-")
            raise UsageError(f"{to} has no place for {named}; leave --{named} off")
    if options.scores and options.soft_labels:
        raise UsageError("--scores and --soft-labels take the same column; give one of them")
    return found
