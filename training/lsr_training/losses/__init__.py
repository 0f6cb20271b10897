"""Objectives: pure functions of score matrices. Every one is a mean over queries.

They take scores of the student, which `lsr_training.scoring` computes from vectors gathered over
all devices. A value depends on the global batch only, not on the number of devices or of documents
of a query.
"""

from lsr_training.losses.contrastive import infonce
from lsr_training.losses.distillation import kl_divergence, margin_mse
from lsr_training.losses.ensemble import combine_teachers, match_moments

__all__ = ["combine_teachers", "infonce", "kl_divergence", "margin_mse", "match_moments"]
