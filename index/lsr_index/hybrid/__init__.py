"""Search of an index by text or vector: branches, fusion, feedback, reranking."""

from lsr_index.hybrid.branch import Branch, BranchOptions, identities
from lsr_index.hybrid.dense_branch import DenseBranch
from lsr_index.hybrid.feedback import Feedback, parse_feedback
from lsr_index.hybrid.query import QueryInput, QueryParts
from lsr_index.hybrid.results import (
    BranchAnswer,
    Hit,
    Kind,
    Mode,
    RankedIds,
    SearchResults,
    TermContribution,
)
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
    "Branch",
    "BranchAnswer",
    "BranchOptions",
    "DenseBranch",
    "Feedback",
    "Hit",
    "Kind",
    "Mode",
    "QueryInput",
    "QueryParts",
    "RankedIds",
    "Reranking",
    "Retriever",
    "SearchResults",
    "SelectionArtefact",
    "SparseBranch",
    "TermContribution",
    "identities",
    "parse_feedback",
    "read_selection",
    "selection_for",
    "write_selection",
]
