"""The result of a search: one page of its ranking, documents, explanations."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsr_index.hybrid.results import BranchAnswer, Hit, Mode, SearchResults, TermContribution
from lsr_index.hybrid.run_branches import Plan, Ran
from lsr_index.hybrid.sparse_branch import SparseBranch
from lsr_index.hybrid.steps import Ranking


def answer_of(
    plan: Plan,
    ran: Sequence[Ran],
    ranking: Ranking,
    *,
    mode: Mode,
    k: int,
    offset: int,
    explain: bool,
    started: float,
) -> SearchResults:
    """Return hits `offset` to `offset + k` of a ranking as `SearchResults`.

    `ran` holds the hits of each branch of the plan; `started` is the `time.perf_counter` of the
    start of the search.
    """
    keys = ranking.keys[offset : offset + k]
    scores = ranking.scores[offset : offset + k].tolist()
    documents = ranking.joined.documents(keys)
    hits = [
        Hit(rank, document.id, score, document.title, document.text, document.metadata)
        for rank, (document, score) in enumerate(zip(documents, scores, strict=True), offset + 1)
    ]
    if explain:
        hits = _explained(hits, plan, ran, ranking, keys, offset)
    return SearchResults(
        hits=hits,
        rank_safe=all(each.hits.rank_safe for each in ran),
        bound_gap=max(each.hits.bound_gap for each in ran),
        generation=plan.branches[0].index.generation,
        unknown_terms=list(dict.fromkeys(term for each in ran for term in each.unknown)),
        took_ms=(time.perf_counter() - started) * 1e3,
        mode=mode,
        fusion=plan.fusion,
        branches=_branch_answers(plan, ran),
        pool_size=len(ranking.keys),
    )


def _branch_answers(plan: Plan, ran: Sequence[Ran]) -> list[BranchAnswer]:
    return [
        BranchAnswer(
            branch.name,
            branch.kind,
            share,
            len(each.hits),
            each.hits.rank_safe,
            each.hits.bound_gap,
            branch.index.generation,
            each.took_ms,
            each.hits.counters.get("vectors_compared"),
        )
        for branch, share, each in zip(plan.branches, plan.shares, ran, strict=True)
    ]


def _explained(
    hits: Sequence[Hit],
    plan: Plan,
    ran: Sequence[Ran],
    ranking: Ranking,
    keys: NDArray[np.int64],
    offset: int,
) -> list[Hit]:
    """Return hits with contributions of terms, and those of branches after a fusion."""
    terms = _term_contributions(plan, ran, ranking, keys)
    explained = [hit._replace(explanation=found) for hit, found in zip(hits, terms, strict=True)]
    fused = ranking.fused
    if fused is None:
        return explained
    names = [branch.name for branch in plan.branches]
    positions = ranking.positions[offset : offset + len(hits)]
    return [
        hit._replace(branches=dict(zip(names, fused.explain(int(at)), strict=True)))
        for hit, at in zip(explained, positions, strict=True)
    ]


def _term_contributions(
    plan: Plan, ran: Sequence[Ran], ranking: Ranking, keys: NDArray[np.int64]
) -> list[list[TermContribution]]:
    """Return the contributions of the matched terms in the first sparse branch."""
    for at, branch in enumerate(plan.branches):
        if isinstance(branch, SparseBranch):
            ordinals, known = ranking.joined.ordinals(at, keys)
            return [
                branch.explain(ran[at].vector, int(ordinal)) if there else []
                for ordinal, there in zip(ordinals, known, strict=True)
            ]
    return [[] for _ in keys]
