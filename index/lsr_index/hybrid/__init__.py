"""Hybrid search: the branches of one or several indexes, searched together and fused."""

from lsr_index.hybrid.answer import BranchAnswer, HybridAnswer
from lsr_index.hybrid.branches import (
    Branch,
    DenseBranch,
    HybridQuery,
    Kind,
    SparseBranch,
    identities,
)
from lsr_index.hybrid.feedback import Feedback, parse_feedback
from lsr_index.hybrid.retriever import HybridRetriever, RankedIds, open_branches
from lsr_index.hybrid.selection import (
    SelectionArtefact,
    read_selection,
    selection_for,
    write_selection,
)
from lsr_index.hybrid.steps import Reranking

__all__ = [
    "Branch",
    "BranchAnswer",
    "DenseBranch",
    "Feedback",
    "HybridAnswer",
    "HybridQuery",
    "HybridRetriever",
    "Kind",
    "RankedIds",
    "Reranking",
    "SelectionArtefact",
    "SparseBranch",
    "identities",
    "open_branches",
    "parse_feedback",
    "read_selection",
    "selection_for",
    "write_selection",
]
