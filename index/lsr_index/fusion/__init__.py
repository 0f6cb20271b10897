"""Fusion: several rankings of the same documents made into one, as pure functions."""

from lsr_index.fusion.artefact import (
    BranchIdentity,
    FusionArtefact,
    fusion_of,
    read_artefact,
    write_artefact,
)
from lsr_index.fusion.combine import BranchScore, Fused, fuse
from lsr_index.fusion.method import METHODS, Fusion, parse_fusion
from lsr_index.fusion.pool import Pool, RankedList, gather

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
