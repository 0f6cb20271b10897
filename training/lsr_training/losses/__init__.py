"""Objectives: pure functions of score matrices. Every one is a mean over queries.

All of them take what the student scored; how a score comes about (`lsr_training.scoring`) and how
the vectors are gathered over devices is none of their business, so a value depends on the global
batch only: not on how many devices share it, nor on how many documents a query has.
"""

from lsr_training.losses.contrastive import infonce
from lsr_training.losses.distillation import kl_divergence, margin_mse
from lsr_training.losses.ensemble import combine_teachers, match_moments

__all__ = ["combine_teachers", "infonce", "kl_divergence", "margin_mse", "match_moments"]
