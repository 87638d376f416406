"""What is wrong with a training file, whatever the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from hardneg.config import TrainingFileOptions
from hardneg.export.formats import format_named
from hardneg.plan.training_file import TrainingFile, fault_lines, fault_list, opened
from hardneg.quantities import counted
from hardneg.read.bad_rows import BadRows
from hardneg.read.training.faults import Wanted
from hardneg.read.training.options import ReadOptions
from hardneg.terminal import printable


@dataclass(frozen=True)
class CheckReport:
    """What stands in the file, and what is wrong with it.

    path    an address, where it was fetched
    faults  code → how many rows, positives or negatives have it
    first   code → the first of them: line, and the text or the reason
    notes   what a reader took off or passed over → how often
    """

    path: Path | str
    format: str
    rows: int
    positives: int
    negatives: int
    faults: Mapping[str, int]
    first: Mapping[str, list[dict[str, Any]]]
    notes: Mapping[str, int]

    @property
    def clean(self) -> bool:
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "path": str(self.path), "clean": self.clean}

    def __str__(self) -> str:
        parts = ((self.rows, "row"), (self.positives, "positive"), (self.negatives, "negative"))
        held = ", ".join(counted(number, what) for number, what in parts)
        found = "nothing is wrong" if self.clean else counted(sum(self.faults.values()), "fault")
        lines = [f"{printable(str(self.path))} ({self.format}): {held}; {found}"]
        lines += [f"  note: {count:,} {what}" for what, count in self.notes.items() if count]
        return "\n".join([*lines, *fault_lines(self.faults, self.first)])


def check_file(
    path: Path,
    format_name: str | None,
    file: TrainingFileOptions,
    *,
    num_negatives: int | None = None,
    list_to: Path | None = None,
) -> CheckReport:
    """num_negatives  of every row; None: what the format asks for, if it does
    list_to        a file for all faults, as JSON lines

    Raises InputError where the file cannot be read at all.
    """
    options = ReadOptions(BadRows("skip"), file)
    with (
        opened(path, format_name, options) as training,
        fault_list(list_to, [str(path), *file.named]) as found,
    ):
        whole = training.positives
        wanted = Wanted(whole, whole, num_negatives or _width(training), positive_scores=whole)
        found.add_refused(training)
        rows = positives = negatives = 0
        for groups, faults in training.blocks(wanted):
            rows += len(groups)
            positives += len(faults.positive)
            negatives += len(faults.negative)
            found.add_block(groups, faults)
        return CheckReport(
            path=path,
            format=training.format,
            rows=rows + training.refused_groups,
            positives=positives,
            negatives=negatives,
            faults=found.in_order(),
            first=found.first,
            notes=training.noted,
        )


def _width(training: TrainingFile) -> int | None:
    """The first row's number of negatives, where the format needs the same one everywhere."""
    if not format_named(training.format).rectangular:
        return None
    groups, _ = next(training.blocks(Wanted()), (None, None))
    return None if groups is None else pc.list_value_length(groups["neg"])[0].as_py()
