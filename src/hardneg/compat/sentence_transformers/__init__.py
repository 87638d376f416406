"""`mine_hard_negatives` as sentence-transformers has it, over hardneg's own stages.

    arguments ─▶ pairs ─▶ models ─▶ mining ─▶ output, statistics

What it does otherwise than the original is listed in docs/sentence-transformers.md.
"""

from hardneg.compat.sentence_transformers.mine_hard_negatives import mine_hard_negatives

__all__ = ["mine_hard_negatives"]
