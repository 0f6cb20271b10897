"""Fusion: several rankings of the same documents made into one, as pure functions."""

from index.fusion.combine import BranchScore, Fused, fuse
from index.fusion.method import METHODS, Fusion, parse_fusion
from index.fusion.pool import Pool, RankedList, gather

__all__ = [
    "METHODS",
    "BranchScore",
    "Fused",
    "Fusion",
    "Pool",
    "RankedList",
    "fuse",
    "gather",
    "parse_fusion",
]
