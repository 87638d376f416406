"""rescore: further scores for candidates and positives, a column for each scorer."""

from hardneg.rescore.cross_encoder import CrossEncoderScorer
from hardneg.rescore.rescore import lengths, score_pairs

__all__ = ["CrossEncoderScorer", "lengths", "score_pairs"]
