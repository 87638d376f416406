"""What the reader of a training file is told beside the file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hardneg.config import TrainingFileOptions
from hardneg.read.bad_rows import BadRows


@dataclass(frozen=True)
class ReadOptions:
    """What a reader is given beside the file.

    bad     where rows go that cannot be read
    file    what users said of it
    noted   what a reader saw or changed and people should know, and how often
    beside  files of texts and of judgments that were read, too: a row of theirs is no group
    """

    bad: BadRows = field(default_factory=BadRows)
    file: TrainingFileOptions = field(default_factory=TrainingFileOptions)
    noted: Counter[str] = field(default_factory=Counter)
    beside: set[str] = field(default_factory=set)
