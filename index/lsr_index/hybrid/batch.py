"""Many queries at once: ids and scores, for runs and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.results import RankedIds
from lsr_index.hybrid.run_branches import Plan
from lsr_index.hybrid.sparse_branch import SparseBranch
from lsr_index.hybrid.steps import Reranking, carry_out

_QUERIES_PER_STEP = 256
"""Vectors of so many queries are in memory at a time."""


def rank_many(
    plan: Plan,
    queries: Sequence[QueryParts],
    k: int,
    feedback: Feedback | None,
    rerank: Reranking | None,
    *,
    threads: int,
) -> list[RankedIds]:
    """Return the `k` best documents of each query, without their texts."""
    first, *others = plan.branches
    if isinstance(first, SparseBranch) and not (others or feedback or rerank):
        return _rank_sparse(first, queries, plan, threads)

    def one(query: QueryParts) -> RankedIds:
        ran, ranking = carry_out(plan, query, feedback, rerank)
        return RankedIds(
            ranking.joined.ids(ranking.keys[:k]),
            ranking.scores[:k],
            all(each.hits.rank_safe for each in ran),
            max(each.hits.bound_gap for each in ran),
        )

    if threads == 1 or len(queries) < 2:
        return [one(query) for query in queries]
    with ThreadPoolExecutor(threads, "lsr-search") as pool:
        return list(pool.map(one, queries))


def _rank_sparse(
    branch: SparseBranch, queries: Sequence[QueryParts], plan: Plan, threads: int
) -> list[RankedIds]:
    """Search sparse vectors in calls of the compiled code that take many of them."""
    found: list[RankedIds] = []
    for start in range(0, len(queries), _QUERIES_PER_STEP):
        vectors = branch.encode_many(queries[start : start + _QUERIES_PER_STEP])
        found += [
            RankedIds(hits.ids, hits.scores, hits.rank_safe, hits.bound_gap)
            for hits in branch.search_batch(vectors, plan.depth, plan.options, threads=threads)
        ]
    return found
