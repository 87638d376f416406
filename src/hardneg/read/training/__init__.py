"""Files that a trainer takes, read back as groups: a query with its positives and its negatives.

A module here reads what the module of the same name in `export` writes.
"""

from hardneg.read.training.formats import TrainingReader, find_reader, recognised
from hardneg.read.training.options import ReadOptions

__all__ = ["ReadOptions", "TrainingReader", "find_reader", "recognised"]
