"""A trainer's file → another trainer's file, without mining: read, check, write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import TrainingFileOptions
from hardneg.errors import InputError, UsageError, within
from hardneg.export.examples import Examples, examples_of
from hardneg.export.formats import Format
from hardneg.export.options import ConvertOptions, ExportOptions
from hardneg.export.writing import Seen, check_output, write_examples
from hardneg.plan.convert_parts import Parts, parts_to_write
from hardneg.plan.convert_report import Accounts, ConvertReport
from hardneg.plan.training_file import FaultList, TrainingFile, fault_list, opened, shown
from hardneg.quantities import counted
from hardneg.read.bad_rows import BadRows
from hardneg.read.training.cleaned import keeping, without
from hardneg.read.training.faults import FAULTS, Faults, Wanted
from hardneg.read.training.options import ReadOptions

_REMEDY = "mend it, or leave out what is faulty with --on-fault drop"
_NAMED = 3
_SHOWN = 60  # letters of a query


def convert(
    source: Path,
    to: str,
    output: Path,
    *,
    format_name: str | None,
    file: TrainingFileOptions,
    options: ConvertOptions,
    list_to: Path | None = None,
) -> ConvertReport:
    """Write what stands in `source` for another trainer; the file's order stays.

    list_to  a file for all that was dropped as faulty, as JSON lines

    Raises UsageError for what cannot be asked, InputError where the source cannot be read, something in it is
    wrong, or it lacks what the format needs.
    """
    found, kind = check_output(to, output)
    inputs = [str(source), *file.named]
    if list_to is not None and list_to.absolute() == output.absolute():
        raise UsageError(f"{output}: is named by --output and by --list; name two files")
    drop = options.on_fault == "drop"
    reading = ReadOptions(BadRows("skip" if drop else "fail", f"; {_REMEDY}"), file)
    with (
        opened(source, format_name, reading) as training,
        fault_list(list_to, inputs) as faults,
    ):
        wanted = Wanted(
            positives=training.positives or found.needs_positives,
            negatives=False,
            positive_scores=training.positives,
        )
        usable = _Usable(training, wanted)
        counts, parts = usable.looked_through(faults)
        if faults.counts and not drop:
            _refuse(training, faults)
        if not parts.groups:
            _refuse_nothing(training, faults)
        chosen, remarks = parts_to_write(to, found, options, parts)
        if found.rectangular:
            counts.width = options.num_negatives or parts.most_negatives
            if options.shortfall == "refuse":
                _refuse_short(usable, to, counts.width, parts)
        passing = Seen(found.single_spaces)
        examples = passing.passing(_examples(usable, options, chosen, found, counts))
        tally = write_examples(examples, found, kind, output, chosen)
        return ConvertReport(
            source=source,
            format=training.format,
            to=to,
            path=output,
            rows=tally.rows,
            accounts=counts.accounts(training.refused_groups),
            faults=faults.in_order(),
            first=faults.first,
            notes=training.noted,
            remarks=remarks,
            empty_texts=len(passing.empty_texts),
            neutralised=tally.neutralised,
            respaced=passing.respaced,
        )


# -- what can be written ----------------------------------------------------------------------------------


@dataclass
class _Counts:
    """What was read, found faulty, left out and written; `width` is the number of negatives of every row."""

    groups_read: int = 0
    groups: int = 0
    groups_faulty: int = 0
    groups_without_negatives: int = 0
    groups_emptied: int = 0
    groups_short: int = 0
    positives_read: int = 0
    positives: int = 0
    positives_faulty: int = 0
    negatives_read: int = 0
    negatives: int = 0
    negatives_faulty: int = 0
    negatives_cut: int = 0
    width: int | None = None

    def accounts(self, refused: int) -> Accounts:
        counted = {name: value for name, value in vars(self).items() if name != "width"}
        counted["groups_read"] += refused
        counted["groups_faulty"] += refused
        positives = self.positives_read - self.positives - self.positives_faulty
        negatives = self.negatives_read - self.negatives - self.negatives_faulty - self.negatives_cut
        return Accounts(**counted, positives_left_out=positives, negatives_left_out=negatives)


@dataclass(frozen=True)
class _Usable:
    """The groups that have something to write once what is faulty is gone."""

    training: TrainingFile
    wanted: Wanted

    def looked_through(self, faults: FaultList) -> tuple[_Counts, Parts]:
        counts, parts = _Counts(), Parts()
        faults.add_refused(self.training)
        for groups, found in self.training.blocks(self.wanted):
            faults.add_block(groups, found)
            counts.groups_read += len(groups)
            counts.groups_faulty += int(np.count_nonzero(found.row))
            for side, codes in (("positives", found.positive), ("negatives", found.negative)):
                setattr(counts, f"{side}_read", getattr(counts, f"{side}_read") + len(codes))
            counts.positives_faulty += int(np.count_nonzero(found.positive))
            counts.negatives_faulty += int(np.count_nonzero(found.negative))
            bare = (pc.list_value_length(groups["neg"]).to_numpy() == 0) & (found.row == 0)
            counts.groups_without_negatives += int(bare.sum())
            left = self._left(groups, found)
            counts.groups_emptied += int((found.row == 0).sum()) - int(bare.sum()) - len(left)
            parts.add(left)
        return counts, parts

    def tables(self) -> Iterator[pa.Table]:
        for groups, found in self.training.blocks(self.wanted):
            yield self._left(groups, found)

    def _left(self, groups: pa.Table, found: Faults) -> pa.Table:
        left = without(groups, found)
        there = pc.list_value_length(left["neg"]).to_numpy() > 0
        if self.wanted.positives:
            there &= pc.list_value_length(left["pos"]).to_numpy() > 0
        return left.filter(pa.array(there))


def _examples(
    usable: _Usable, options: ConvertOptions, chosen: ExportOptions, found: Format, counts: _Counts
) -> Iterator[Examples]:
    """The blocks to write, counted as they pass."""
    for groups in usable.tables():
        if options.num_negatives is not None:
            groups, cut = _first_negatives(groups, options.num_negatives)
            counts.negatives_cut += cut
        if counts.width is not None:
            enough = pc.list_value_length(groups["neg"]).to_numpy() >= counts.width
            counts.groups_short += int((~enough).sum())
            groups = groups.filter(pa.array(enough))
        if not len(groups):
            continue
        counts.groups += len(groups)
        if found.holds_positives(chosen):
            counts.positives += int(pc.sum(pc.list_value_length(groups["pos"])).as_py())
        counts.negatives += int(pc.sum(pc.list_value_length(groups["neg"])).as_py())
        yield examples_of(groups, prompts=chosen.prompts)


def _first_negatives(groups: pa.Table, number: int) -> tuple[pa.Table, int]:
    """Only the first of each group, and how many went."""
    lengths = pc.list_value_length(groups["neg"]).to_numpy()
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return keeping(groups, "neg", place < number), int((place >= number).sum())


# -- refusals ---------------------------------------------------------------------------------------------


def _refuse(training: TrainingFile, faults: FaultList) -> NoReturn:
    """Name the first fault of the file, and say how many there are."""
    code, first = _first_fault(faults)
    more = sum(faults.counts.values()) - 1
    others = f" ({counted(more, 'more fault')}; `hardneg check` lists all)" if more else ""
    what = f"{FAULTS[code]}: {shown(first).partition(': ')[2]}{others}"
    qrels = "name the positives with --qrels, or " if code == "no_positive" and not training.positives else ""
    raise InputError(f"{what}; {qrels}{_REMEDY}", file=training.path, line=first["line"])


def _first_fault(faults: FaultList) -> tuple[str, dict[str, Any]]:
    """Its code, and what is told of it."""
    firsts = ((code, found[0]) for code, found in faults.first.items())
    return min(firsts, key=lambda one: int(one[1]["line"]))


def _refuse_nothing(training: TrainingFile, faults: FaultList) -> NoReturn:
    """Where nothing is left to write."""
    dropped = ""
    if faults.counts:
        count = sum(faults.counts.values())
        were = counted(count, "fault was", "faults were")
        dropped = f" ({were} dropped, the first in {shown(_first_fault(faults)[1])})"
    raise InputError(f"no group with a negative is left{dropped}; nothing is written", file=training.path)


def _refuse_short(usable: _Usable, to: str, width: int, parts: Parts) -> None:
    """Raises InputError, naming queries, where a group has fewer negatives than the others."""
    short = int(parts.negatives[:width].sum())
    if not short:
        return
    named: list[str] = []
    for groups in usable.tables():
        lengths = pc.list_value_length(groups["neg"]).to_numpy()
        for row in np.flatnonzero(lengths < width)[: _NAMED - len(named)]:
            query = groups["query_id"][int(row)].as_py() or groups["query"][int(row)].as_py()
            line = groups["line"][int(row)].as_py()
            named.append(f"{within(query, _SHOWN, _SHOWN // 4)!r} (line {line}) has {lengths[row]}")
        if len(named) == _NAMED:
            break
    fewest = int(np.flatnonzero(parts.negatives).min())
    raise InputError(
        f"{to} needs {counted(width, 'negative')} in every row, but {short:,} of "
        f"{counted(parts.groups, 'group has', 'groups have')} fewer "
        f"({', '.join(named)}{', ...' if short > _NAMED else ''}); give --num-negatives {fewest} (cuts all "
        "to that) or --shortfall drop",
        file=usable.training.path,
    )
