"""Fusion: several rankings of the same documents made into one, as pure functions.

`lsr_index.fusion.combine` has the functions. It loads a kernel, which the names here do not.
"""

from lsr_index.fusion.artefact import (
    BranchIdentity,
    FusionArtefact,
    fusion_of,
    read_artefact,
    write_artefact,
)
from lsr_index.fusion.method import Fusion, parse_fusion
from lsr_index.fusion.methods import METHODS, FusionMethod, Parameter, register_method

__all__ = [
    "METHODS",
    "BranchIdentity",
    "Fusion",
    "FusionArtefact",
    "FusionMethod",
    "Parameter",
    "fusion_of",
    "parse_fusion",
    "read_artefact",
    "register_method",
    "write_artefact",
]
