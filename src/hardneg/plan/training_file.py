"""A training file, read once into a scratch file beside numbers for its texts, and then gone through block by
block as often as is needed: what is wrong with a row may stand in another one.

In memory are 8 bytes a row and, for each positive, 8 bytes by its text and by its id.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError, UsageError, within
from hardneg.files import replacing
from hardneg.leftovers import scratch_folder
from hardneg.named_files import kind_of_path, refuse_inputs
from hardneg.read.training.faults import CODES, FAULTS, UNREADABLE, Faults, Wanted, find_faults
from hardneg.read.training.formats import find_reader, recognised, refuse_unused
from hardneg.read.training.keys import (
    GroupKeys,
    Keys,
    group_keys,
    positive_pairs,
    row_keys,
    stored_keys,
    with_keys,
)
from hardneg.read.training.options import ReadOptions
from hardneg.records import GROUPS, Bool, Int64
from hardneg.terminal import printable

_FIRST = 5
"""Of each fault so many are shown."""
_SHOWN = 80  # letters of a text
_PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class TrainingFile:
    """What was read.

    positives  whether the format itself holds positives
    known      uint64, ascending: positives with their queries (`keys.positive_pairs`)
    repeated   bool (groups,): the row stood before
    refused    rows that cannot be read, `refused_groups` of them of the file, others of files beside it
    """

    path: Path
    format: str
    positives: bool
    scratch: Path
    known: Keys
    repeated: Bool
    refused: list[dict[str, Any]]
    refused_groups: int
    noted: Mapping[str, int]

    def blocks(self, wanted: Wanted) -> Iterator[tuple[pa.Table, Faults]]:
        """Tables of GROUPS in the file's order, and what is wrong with them."""
        begin = 0
        with pa.OSFile(str(self.scratch)) as handle:  # mapped, all of it would count as memory
            stored = pa.ipc.open_file(handle)
            for place in range(stored.num_record_batches):
                table = pa.Table.from_batches([stored.get_batch(place)])
                keys, groups = stored_keys(table), table.select(GROUPS.names)
                repeated = self.repeated[begin : begin + len(groups)]
                begin += len(groups)
                yield groups, find_faults(groups, keys, self.known, repeated, wanted)


@contextmanager
def opened(path: Path, format_name: str | None, options: ReadOptions) -> Iterator[TrainingFile]:
    """Read the file, in the format named or the one that it begins as. Raises what its reader raises."""
    name = format_name or recognised(path)
    reader = find_reader(name)
    refuse_unused(name, options.file)
    with scratch_folder() as folder:
        known, rows = _PositivePairs(), [np.zeros(0, np.uint64)]
        with ExitStack() as closing:
            writer: Any = None
            for groups in reader.groups(path, options):
                keys = group_keys(groups)
                known.add(keys)
                rows.append(row_keys(keys))
                table = with_keys(groups, keys).combine_chunks()
                if writer is None:
                    writer = closing.enter_context(pa.ipc.new_file(str(folder / "groups"), table.schema))
                writer.write_table(table)
            if writer is None and not options.bad.refused:
                raise InputError("holds no row that can be used", file=path)
            if writer is None:
                schema = with_keys(GROUPS.empty_table(), group_keys(GROUPS.empty_table())).schema
                closing.enter_context(pa.ipc.new_file(str(folder / "groups"), schema))
        yield TrainingFile(
            path=path,
            format=name,
            positives=reader.positives,
            scratch=folder / "groups",
            known=known.sorted(),
            repeated=_stood_before(np.concatenate(rows)),
            refused=options.bad.refused,
            refused_groups=sum(row["file"] not in options.beside for row in options.bad.refused),
            noted=dict(options.noted),
        )


class _PositivePairs:
    """Gathers them; those of one another's blocks are made unique now and then."""

    def __init__(self) -> None:
        self._parts: list[Keys] = [np.zeros(0, np.uint64)]
        self._waiting = 0

    def add(self, keys: GroupKeys) -> None:
        self._parts.append(positive_pairs(keys))
        self._waiting += len(self._parts[-1])
        if self._waiting > max(_PAIRS_AT_ONCE, len(self._parts[0])):
            self.sorted()

    def sorted(self) -> Keys:
        self._parts, self._waiting = [np.unique(np.concatenate(self._parts))], 0
        return self._parts[0]


def _stood_before(keys: Keys) -> Bool:
    found = np.ones(len(keys), bool)
    found[np.unique(keys, return_index=True)[1]] = False
    return found


# -- what is wrong, for people ----------------------------------------------------------------------------


@dataclass
class FaultList:
    """Counts faults, keeps the first of each, and writes all to a file where one is named."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    handle: Any = None

    def add(self, line: int, code: str, **about: Any) -> None:
        self.counts[code] += 1
        found = {"line": line, **about}
        shown = self.first.setdefault(code, [])
        if len(shown) < _FIRST:
            shown.append(found)
        if self.handle is not None:
            self.handle.write(json.dumps({"fault": code, **found}, ensure_ascii=True, allow_nan=False) + "\n")

    def add_block(self, groups: pa.Table, faults: Faults) -> None:
        """In the order of the rows; of one row its own fault, its positives' and its negatives'."""
        if not faults:
            return
        found = [(int(row), int(faults.row[row]), "query", 0) for row in np.flatnonzero(faults.row)]
        for side, codes in (("pos", faults.positive), ("neg", faults.negative)):
            start = _start(groups, side)
            for entry in np.flatnonzero(codes):
                row = int(np.searchsorted(start, entry, "right")) - 1
                found.append((row, int(codes[entry]), side, int(entry - start[row])))
        for row, number, column, place in sorted(found, key=lambda one: one[0]):
            value = groups[column][row].as_py()
            about = {"text": value} if column == "query" else {"place": place + 1, "text": value[place]}
            about["text"] = within(about["text"], _SHOWN, _SHOWN // 4)
            self.add(groups["line"][row].as_py(), CODES[number - 1], **about)

    def add_refused(self, training: TrainingFile) -> None:
        """Those of other files (of texts, of judgments) with their file's name."""
        for row in training.refused:
            file = {} if row["file"] == str(training.path) else {"file": Path(row["file"]).name}
            self.add(row["line"], UNREADABLE, **file, reason=row["reason"])

    def in_order(self) -> dict[str, int]:
        return {code: self.counts[code] for code in FAULTS if self.counts[code]}


@contextmanager
def fault_list(path: Path | None, inputs: Iterable[str]) -> Iterator[FaultList]:
    """Written, a JSON object a fault, where a file is named. Raises UsageError where that is an input."""
    if path is None:
        yield FaultList()
        return
    if kind_of_path(path) == "folder":
        raise UsageError(f"{path} is a folder; name a file for --list")
    refuse_inputs(path, inputs, "--list")
    with replacing(path, "choose another file (--list)") as temporary, temporary.open("w") as handle:
        yield FaultList(handle=handle)


def fault_lines(
    counts: Mapping[str, int], first: Mapping[str, Sequence[Mapping[str, Any]]], what: str = ""
) -> Iterator[str]:
    """Each fault with its number and its first; what: became of them."""
    for code, count in counts.items():
        yield f"  {count:,} {code}{what}: {FAULTS[code]}"
        yield from (f"    {shown(one)}" for one in first[code])


def shown(found: Mapping[str, Any]) -> str:
    """One fault, in a line."""
    what = found["reason"] if "reason" in found else repr(found["text"])
    file = f"{found['file']}, " if "file" in found else ""
    place = f", number {found['place']}" if "place" in found else ""
    return printable(f"{file}line {found['line']}{place}: {what}")


def _start(groups: pa.Table, side: str) -> Int64:
    """int64 (groups + 1,): where each group's texts begin."""
    lengths = pc.list_value_length(groups[side]).to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
