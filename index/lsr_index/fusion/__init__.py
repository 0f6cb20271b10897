"""Fusion: several rankings of the same documents made into one, as pure functions.

Names are imported on first use, so that the list of methods loads no kernel.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsr_index.fusion.artefact import (
        BranchIdentity,
        FusionArtefact,
        fusion_of,
        read_artefact,
        write_artefact,
    )
    from lsr_index.fusion.combine import BranchScore, Fused, fuse
    from lsr_index.fusion.method import Fusion, parse_fusion
    from lsr_index.fusion.methods import (
        METHODS,
        FusionMethod,
        Parameter,
        register_method,
        unregister_method,
    )
    from lsr_index.fusion.pool import Pool, RankedList, gather

_HOMES = {
    "artefact": (
        "BranchIdentity", "FusionArtefact", "fusion_of", "read_artefact", "write_artefact",
    ),
    "combine": ("BranchScore", "Fused", "fuse"),
    "method": ("Fusion", "parse_fusion"),
    "methods": ("METHODS", "FusionMethod", "Parameter", "register_method", "unregister_method"),
    "pool": ("Pool", "RankedList", "gather"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "METHODS",
    "BranchIdentity",
    "BranchScore",
    "Fused",
    "Fusion",
    "FusionArtefact",
    "FusionMethod",
    "Parameter",
    "Pool",
    "RankedList",
    "fuse",
    "fusion_of",
    "gather",
    "parse_fusion",
    "read_artefact",
    "register_method",
    "unregister_method",
    "write_artefact",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
