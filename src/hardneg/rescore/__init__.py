"""rescore: further scores for candidates and positives, a column for each scorer."""

from hardneg.rescore.cross_encoder import CrossEncoderScorer
from hardneg.rescore.rescore import rescore_block

__all__ = ["CrossEncoderScorer", "rescore_block"]
