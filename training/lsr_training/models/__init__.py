"""Trainable encoders: a transformer, a head for each side, and their sparse vectors."""

from lsr_training.models.factory import build_model
from lsr_training.models.sparse_model import SparseModel

__all__ = ["SparseModel", "build_model"]
