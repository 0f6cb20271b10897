"""Fusion: several rankings of the same documents made into one, as pure functions."""

from index.fusion.artefact import (
    BranchIdentity,
    FusionArtefact,
    fusion_of,
    read_artefact,
    write_artefact,
)
from index.fusion.combine import BranchScore, Fused, fuse
from index.fusion.method import METHODS, Fusion, parse_fusion
from index.fusion.pool import Pool, RankedList, gather

__all__ = [
    "METHODS",
    "BranchIdentity",
    "BranchScore",
    "Fused",
    "Fusion",
    "FusionArtefact",
    "Pool",
    "RankedList",
    "fuse",
    "fusion_of",
    "gather",
    "parse_fusion",
    "read_artefact",
    "write_artefact",
]
