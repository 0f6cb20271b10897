"""The branches of a search: in parallel, or one after the other whose hits it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr_index.fusion import Fusion
from lsr_index.hybrid.branch import Branch, BranchOptions
from lsr_index.hybrid.dense_branch import DenseBranch
from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.sparse_branch import SparseBranch
from lsr_index.hybrid.thread_pool import side_by_side
from lsr_index.search.cluster_features import GUIDES
from lsr_index.search.cluster_selection import Selection
from lsr_index.search.hits import Hits

T = TypeVar("T")


class Reranking(NamedTuple):
    """Scores of the first `depth` hits by another model, such as a cross-encoder.

    ``score(query, texts)`` returns (n,) float64.
    """

    score: Callable[[str, Sequence[str]], NDArray[np.float64]]
    depth: int = 50


class Plan(NamedTuple):
    """The branches of a search with a weight above 0, and what each step needs."""

    branches: list[Branch]
    shares: list[float]  # weights with the sum 1
    fusion: Fusion | None  # None for a single branch, which keeps its own scores
    depth: int  # hits of each branch
    options: BranchOptions
    selection: Selection | None = None  # of clusters of dense branches, by sparse results
    feedback: Feedback | None = None
    rerank: Reranking | None = None

    def guides(self) -> dict[int, int]:
        """Return the dense branches with selected clusters, and the sparse branch of each."""
        if self.selection is None:
            return {}
        sparse = {
            id(branch.index): at
            for at, branch in enumerate(self.branches)
            if isinstance(branch, SparseBranch)
        }
        return {
            at: sparse[id(branch.index)]
            for at, branch in enumerate(self.branches)
            if isinstance(branch, DenseBranch)
            and branch.selective(self.options)
            and id(branch.index) in sparse
        }


class Ran(NamedTuple):
    """Result of one branch."""

    vector: Any  # the encoded query
    hits: Hits
    unknown: list[str]  # terms of the query that are not in the vocabulary
    took_ms: float
    guides: NDArray[np.int64] | None = None  # (n,): sparse hits that selected its clusters


class Encoded(NamedTuple):
    """The encoded query of a branch that waits for another one; fields as in `Ran`."""

    vector: Any
    unknown: list[str]
    took_ms: float


def run_branches(plan: Plan, query: QueryParts) -> list[Ran]:
    """Search the branches, in parallel where that is faster.

    Branches with selected clusters are encoded first, and searched after their sparse branch.
    """
    if len(plan.branches) == 1:
        return [run_branch(plan.branches[0], query, plan.depth, plan.options)]
    guides = plan.guides()
    first = together(
        plan,
        range(len(plan.branches)),
        {at: "encode" if at in guides else "search" for at in range(len(plan.branches))},
        lambda at: (
            encode(plan.branches[at], query)
            if at in guides
            else run_branch(plan.branches[at], query, _depth_of(plan, at, guides), plan.options)
        ),
    )
    ran = {at: each for at, each in first.items() if isinstance(each, Ran)}
    second = together(
        plan,
        list(guides),
        dict.fromkeys(guides, "selective"),
        lambda at: _run_guided(plan, at, first[at], ran[guides[at]].hits.ordinals),
    )
    ran |= {at: each for at, each in second.items() if isinstance(each, Ran)}
    return [
        ran[at]._replace(hits=ran[at].hits.first(plan.depth)) for at in range(len(plan.branches))
    ]


def encode(branch: Branch, query: QueryParts) -> Encoded:
    """Encode the query for one branch."""
    started = time.perf_counter()
    vector, unknown = branch.encode(query)
    return Encoded(vector, unknown, (time.perf_counter() - started) * 1e3)


def run_branch(branch: Branch, query: QueryParts, depth: int, options: BranchOptions) -> Ran:
    """Encode the query for one branch and search it."""
    started = time.perf_counter()
    vector, unknown = branch.encode(query)
    hits = branch.search(vector, depth, options)
    return Ran(vector, hits, unknown, (time.perf_counter() - started) * 1e3)


def _run_guided(plan: Plan, at: int, encoded: Ran | Encoded, guides: NDArray[np.int64]) -> Ran:
    started = time.perf_counter()
    hits = selective_hits(plan, at, encoded.vector, guides)
    took_ms = encoded.took_ms + (time.perf_counter() - started) * 1e3
    return Ran(encoded.vector, hits, encoded.unknown, took_ms, guides)


def selective_hits(plan: Plan, at: int, vector: Any, guides: NDArray[np.int64]) -> Hits:
    """Search the dense branch `at` in the clusters that `guides`, sparse hits, select."""
    branch = plan.branches[at]
    assert isinstance(branch, DenseBranch)
    assert plan.selection is not None
    return branch.search_selectively(vector, plan.depth, guides, plan.selection, plan.options)


def _depth_of(plan: Plan, at: int, guides: Mapping[int, int]) -> int:
    return max(plan.depth, GUIDES) if at in guides.values() else plan.depth


def together(
    plan: Plan, places: Sequence[int], step: Mapping[int, str], run: Callable[[int], T]
) -> dict[int, T]:
    """Run a step of some branches in parallel, and record how long each took."""
    usual = [plan.branches[at].usual_ms for at in places]
    done = side_by_side(
        [partial(_timed, run, at) for at in places],
        [times.get(step[at]) for at, times in zip(places, usual, strict=True)],
    )
    for at, times, (_, took_ms) in zip(places, usual, done, strict=True):
        before = times.get(step[at], took_ms)
        times[step[at]] = 0.8 * before + 0.2 * took_ms
    return {at: each for at, (each, _) in zip(places, done, strict=True)}


def _timed(run: Callable[[int], T], at: int) -> tuple[T, float]:
    started = time.perf_counter()
    found = run(at)
    return found, (time.perf_counter() - started) * 1e3
