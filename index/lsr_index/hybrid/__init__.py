"""Search of an index by text or vector: branches, fusion, feedback, reranking."""

from lsr_index.hybrid.branch import BranchOptions, identities
from lsr_index.hybrid.dense_branch import DenseBranch
from lsr_index.hybrid.feedback import Feedback, parse_feedback
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.results import Hit, Mode, RankedIds, SearchResults
from lsr_index.hybrid.retriever import Retriever
from lsr_index.hybrid.run_branches import Reranking
from lsr_index.hybrid.selection import (
    SelectionArtefact,
    read_selection,
    selection_for,
    write_selection,
)
from lsr_index.hybrid.sparse_branch import SparseBranch

__all__ = [
    "BranchOptions",
    "DenseBranch",
    "Feedback",
    "Hit",
    "Mode",
    "QueryParts",
    "RankedIds",
    "Reranking",
    "Retriever",
    "SearchResults",
    "SelectionArtefact",
    "SparseBranch",
    "identities",
    "parse_feedback",
    "read_selection",
    "selection_for",
    "write_selection",
]
