"""Trainable encoders: a transformer, a head for each side, and their sparse vectors."""

from training.models.building import build_model
from training.models.sparse_model import SparseModel

__all__ = ["SparseModel", "build_model"]
