"""The steps of a search: run the branches, rank their hits, feedback, reranking."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.fusion.combine import Fused, Pool, RankedList, fuse, gather
from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.joined_documents import Joined, join
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.results import RankedIds
from lsr_index.hybrid.run_branches import (
    Plan,
    Ran,
    Reranking,
    run_branches,
    selective_hits,
    together,
)
from lsr_index.hybrid.sparse_branch import SparseBranch

_QUERIES_PER_STEP = 256
"""Queries whose vectors are in memory at a time."""


class Ranking(NamedTuple):
    """The documents in final order, (n,)."""

    joined: Joined
    keys: NDArray[np.int64]
    scores: NDArray[np.float64]
    fused: Fused | None
    positions: NDArray[np.int64]  # of the documents in `fused`


def search_plan(plan: Plan, query: QueryParts) -> tuple[list[Ran], Ranking]:
    """Search the branches of a plan and rank their hits."""
    ran = run_branches(plan, query)
    ranking = rank(plan, ran)
    if plan.feedback is not None:
        ran = search_again(plan, ran, ranking, plan.feedback)
        ranking = rank(plan, ran)
    return ran, ranking if plan.rerank is None else reranked(ranking, plan.rerank, query)


def rank_many(
    plan: Plan, queries: Sequence[QueryParts], k: int, *, threads: int
) -> list[RankedIds]:
    """Return ids and scores of the `k` best documents of each query."""
    first, *others = plan.branches
    if isinstance(first, SparseBranch) and not (others or plan.feedback or plan.rerank):
        return _rank_sparse(first, queries, plan, threads)

    def one(query: QueryParts) -> RankedIds:
        ran, ranking = search_plan(plan, query)
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
    """Search sparse vectors with one kernel call for many of them."""
    found: list[RankedIds] = []
    for start in range(0, len(queries), _QUERIES_PER_STEP):
        vectors = branch.encode_many(queries[start : start + _QUERIES_PER_STEP])
        found += [
            RankedIds(hits.ids, hits.scores, hits.rank_safe, hits.bound_gap)
            for hits in branch.search_batch(vectors, plan.depth, plan.options, threads=threads)
        ]
    return found


def rank(plan: Plan, ran: Sequence[Ran]) -> Ranking:
    """Join the hits of the branches, and fuse them."""
    joined = join([branch.index for branch in plan.branches], [each.hits for each in ran])
    if plan.fusion is None:
        hits = ran[0].hits
        return Ranking(joined, joined.keys[0], hits.scores, None, np.arange(len(hits)))
    # Hits of one index are in the order of a list already; keys of another one's are not.
    make = RankedList if joined.own else RankedList.of
    lists = [make(keys, each.hits.scores) for keys, each in zip(joined.keys, ran, strict=True)]
    pool = gather(lists, plan.depth)
    if plan.fusion.scores_absent:
        _score_absent(plan, ran, joined, pool)
    fused = fuse(pool, plan.fusion, plan.shares, [b.least_score for b in plan.branches])
    return Ranking(joined, fused.keys, fused.scores, fused, np.arange(len(fused.keys)))


def _score_absent(plan: Plan, ran: Sequence[Ran], joined: Joined, pool: Pool) -> None:
    """Add the scores of documents to the pool that only other branches returned."""
    for at, branch in enumerate(plan.branches):
        absent = pool.without_score(at)
        ordinals, known = joined.ordinals(at, pool.keys[absent])
        if known.any():
            pool.scores[at, absent[known]] = branch.scores(ran[at].vector, ordinals[known])


def search_again(plan: Plan, ran: Sequence[Ran], ranking: Ranking, feedback: Feedback) -> list[Ran]:
    """Search a second time, with vectors moved towards the first documents."""

    def one(at: int) -> Ran:
        branch, first = plan.branches[at], ran[at]
        started = time.perf_counter()
        if feedback.source == "fused":
            ordinals, known = ranking.joined.ordinals(at, ranking.keys[: feedback.docs])
            ordinals = ordinals[known]
        else:
            ordinals = first.hits.ordinals[: feedback.docs]
        vector = branch.expand(first.vector, ordinals, feedback) if len(ordinals) else first.vector
        if first.guides is None:
            hits = branch.search(vector, plan.depth, plan.options)
        else:
            hits = selective_hits(plan, at, vector, first.guides)
        took_ms = first.took_ms + (time.perf_counter() - started) * 1e3
        return Ran(vector, hits, first.unknown, took_ms, first.guides)

    places = range(len(ran))
    again = together(plan, places, dict.fromkeys(places, "again"), one)
    return [again[at] for at in places]


def _scores_of(rerank: Reranking, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
    given = np.asarray(rerank.score(query, texts))
    if given.shape != (len(texts),) or given.dtype.kind not in "fiu" or np.isnan(given).any():
        raise UsageError(
            f"rerank returned {given.dtype} of shape {given.shape} for {len(texts)} texts; "
            "expected a number for each, none of them NaN"
        )
    return given.astype(np.float64)


def reranked(ranking: Ranking, rerank: Reranking, query: QueryParts) -> Ranking:
    """Return the first documents in the order of another score, without the others."""
    if query.text is None:
        raise UsageError("reranking needs the text of the query")
    keys = ranking.keys[: rerank.depth]
    texts = [document.contents for document in ranking.joined.documents(keys)]
    scores = _scores_of(rerank, query.text, texts) if texts else np.zeros(0)
    order = np.lexsort((keys, -scores))
    return ranking._replace(
        keys=keys[order], scores=scores[order], positions=ranking.positions[: len(keys)][order]
    )
