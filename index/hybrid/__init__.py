"""Hybrid search: the branches of one or several indexes, searched together and fused."""

from index.hybrid.answer import BranchAnswer, HybridAnswer
from index.hybrid.branches import Branch, DenseBranch, HybridQuery, Kind, SparseBranch, identities
from index.hybrid.feedback import Feedback, parse_feedback
from index.hybrid.retriever import HybridRetriever, RankedIds, open_branches
from index.hybrid.selection import (
    SelectionArtefact,
    read_selection,
    selection_for,
    write_selection,
)
from index.hybrid.steps import Reranking

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
