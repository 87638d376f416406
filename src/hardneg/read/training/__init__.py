"""Files that a trainer takes, read back as groups: a query with its positives and its negatives.

A module here reads what the module of the same name in `export` writes.
"""

from hardneg.read.training.formats import MODULES, TrainingReader, find_reader, recognised
from hardneg.read.training.options import ReadOptions

READABLE = tuple(sorted(MODULES))

__all__ = ["READABLE", "ReadOptions", "TrainingReader", "find_reader", "recognised"]
