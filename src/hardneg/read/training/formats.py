"""The readers by the names of formats. A trainer's module is imported only when its format is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hardneg.config import TrainingFileOptions
from hardneg.errors import InputError, UsageError
from hardneg.named_files import kind_of_path
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.sample import FOLDER, Sample, sample_of
from hardneg.trainers import MODULES, trainer_module

_BY = "--from (of convert) or --format (of check)"


@dataclass(frozen=True)
class TrainingReader:
    """How a trainer's file is read.

    groups     the file → tables of `records.GROUPS`, in the file's order, some thousand texts a table
    kinds      what the names of such files end in, packing left away ("": any; "/": a folder)
    recognise  whether a file begins as this format does
    positives  whether the file itself holds positives; else a group may be without any
    options    which of TrainingFileOptions it has a use for
    """

    groups: Callable[[Path, ReadOptions], Iterator[pa.Table]]
    kinds: tuple[str, ...]
    recognise: Callable[[Sample], bool]
    positives: bool = True
    options: frozenset[str] = frozenset()


def find_reader(name: str) -> TrainingReader:
    """Raises UsageError for a format that is not known."""
    found: TrainingReader = trainer_module("hardneg.read.training", name).READERS[name]
    return found


def fits(reader: TrainingReader, kind: str) -> bool:
    """Whether such a file (its suffix, or "/") can be of the reader's format."""
    return kind in reader.kinds or (kind != FOLDER and "" in reader.kinds)


def refuse_unused(name: str, file: TrainingFileOptions) -> None:
    """Raises UsageError for what is said of a file whose format has no use for it."""
    reader = find_reader(name)
    for option, value in file:
        if value is not None and option not in reader.options:
            users = [one for one in sorted(MODULES) if option in find_reader(one).options]
            raise UsageError(
                f"{option}: a file of the format {name} has no use for it; leave it out (it goes with "
                f"{', '.join(users)})"
            )


def is_folder_of_format(files: frozenset[str]) -> bool:
    """Whether a folder of these names is one that a trainer reads."""
    sample = Sample(FOLDER, files=files)
    readers = map(find_reader, MODULES)
    return any(fits(reader, FOLDER) and reader.recognise(sample) for reader in readers)


def recognised(path: Path) -> str:
    """The one format that the file begins as. Raises InputError where there is none, or more than one."""
    if kind_of_path(path) == "nothing":
        raise InputError("there is no such file or folder", file=path)
    sample = sample_of(path)
    readers = {name: find_reader(name) for name in MODULES}
    found = [
        name for name, reader in readers.items() if fits(reader, sample.kind) and reader.recognise(sample)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"could be {' or '.join(found)}; say which with {_BY}", file=path)
    raise InputError(
        f"is of no format that is known by how it begins{sample.shown}; say which it is with {_BY}, "
        f"one of {', '.join(sorted(MODULES))}",
        file=path,
    )
