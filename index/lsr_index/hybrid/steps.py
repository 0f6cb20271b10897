"""One search, step by step: plan, rank what the branches found, feed back, rerank."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.fusion import Fused, Fusion, Pool, RankedList, fuse, gather
from lsr_index.hybrid.branch import Branch, BranchOptions
from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.joined_documents import Joined, join
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.run_branches import Plan, Ran, run_branches, selective_hits, together
from lsr_index.search.cluster_selection import Selection


class Reranking(NamedTuple):
    """Another score for the first hits, such as a cross-encoder's.

    Attributes
    ----------
    score : callable
        Query text and texts of documents to their scores, (n,).
    depth : int
        Hits to score.
    """

    score: Callable[[str, Sequence[str]], NDArray[np.float64]]
    depth: int = 50


class Ranking(NamedTuple):
    """The documents in the order in which pages show them.

    Attributes
    ----------
    joined : Joined
    keys : (n,) int64
    scores : (n,) float64
    fused : Fused or None
    positions : (n,) int64
        Of the documents in `fused`.
    """

    joined: Joined
    keys: NDArray[np.int64]
    scores: NDArray[np.float64]
    fused: Fused | None
    positions: NDArray[np.int64]


def plan_search(
    branches: list[Branch],
    fusion: Fusion,
    k: int,
    offset: int,
    rerank: Reranking | None,
    selection: Selection | None,
    options: BranchOptions,
) -> Plan:
    """Decide what to search, and how deep."""
    if len(branches) == 1:
        depth = max(offset + k, rerank.depth if rerank else 0)
        return Plan(branches, [1.0], None, depth, options)
    shares = fusion.shares([branch.name for branch in branches])
    used = [at for at, share in enumerate(shares) if share > 0]
    depth = max(fusion.depth_for(k), rerank.depth if rerank else 0)
    chosen, counted = [branches[at] for at in used], [shares[at] for at in used]
    return Plan(chosen, counted, fusion, depth, options, selection)


def carry_out(
    plan: Plan, query: QueryParts, feedback: Feedback | None, rerank: Reranking | None
) -> tuple[list[Ran], Ranking]:
    """Search the branches of a plan and rank what they found."""
    ran = run_branches(plan, query)
    ranking = rank(plan, ran)
    if feedback is not None:
        ran = search_again(plan, ran, ranking, feedback)
        ranking = rank(plan, ran)
    return ran, ranking if rerank is None else reranked(ranking, rerank, query)


def rank(plan: Plan, ran: Sequence[Ran]) -> Ranking:
    """Join what the branches found, and fuse it."""
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
    """Put the scores of documents into the pool that only other branches returned."""
    for at, branch in enumerate(plan.branches):
        absent = pool.without_score(at)
        ordinals, known = joined.ordinals(at, pool.keys[absent])
        if known.any():
            pool.scores[at, absent[known]] = branch.scores(ran[at].vector, ordinals[known])


def search_again(plan: Plan, ran: Sequence[Ran], ranking: Ranking, feedback: Feedback) -> list[Ran]:
    """Search a second time, with vectors that learned from the first documents."""

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


def reranked(ranking: Ranking, rerank: Reranking, query: QueryParts) -> Ranking:
    """Order the first documents by another score; the others are left out."""
    if query.text is None:
        raise UsageError("reranking needs the text of the query")
    keys = ranking.keys[: rerank.depth]
    texts = [document.contents for document in ranking.joined.documents(keys)]
    scores = np.asarray(rerank.score(query.text, texts), np.float64) if texts else np.zeros(0)
    order = np.lexsort((keys, -scores))
    return ranking._replace(
        keys=keys[order], scores=scores[order], positions=ranking.positions[: len(keys)][order]
    )
