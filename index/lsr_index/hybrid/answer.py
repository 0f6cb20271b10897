"""What a hybrid search answers, and how it is put together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.records import Document
from lsr_index.fusion import BranchScore, Fusion
from lsr_index.hybrid.branches import Kind, SparseBranch
from lsr_index.hybrid.run_branches import Plan, Ran
from lsr_index.hybrid.steps import Ranking
from lsr_index.hybrid.text_index import Hit, SearchAnswer, TermContribution
from lsr_index.search.dense_index import DenseHits


class BranchAnswer(NamedTuple):
    """What is known of one branch of an answer.

    Attributes
    ----------
    name : str
    kind : {"sparse", "dense"}
    weight : float
        Its share; the shares of all branches sum to 1.
    n_hits : int
        Hits it brought into the pool.
    rank_safe : bool
        True: exactly its best documents.
    bound_gap : float
        How much a document it left out may have over its last one.
    generation : int
        State of its index.
    took_ms : float
        Wall time of encoding and search.
    n_compared : int or None
        Dense vectors that were compared with the query.
    """

    name: str
    kind: Kind
    weight: float
    n_hits: int
    rank_safe: bool
    bound_gap: float
    generation: int
    took_ms: float
    n_compared: int | None = None


@dataclass(frozen=True)
class HybridAnswer(SearchAnswer):
    """The hits of one query and what is known of them.

    `rank_safe` says that every branch is; `bound_gap` is the largest of any branch, in its scores.

    Attributes
    ----------
    fusion : Fusion or None
        With its depth; None when there was one branch and nothing to fuse.
    branches : sequence of BranchAnswer
    pool_size : int
        Documents that were ranked; there are no hits beyond.
    branch_scores : sequence of mapping of branch name to BranchScore
        For each hit, where an explanation was asked for.
    """

    fusion: Fusion | None = None
    branches: Sequence[BranchAnswer] = ()
    pool_size: int = 0
    branch_scores: Sequence[Mapping[str, BranchScore]] = ()


def answer_of(
    plan: Plan,
    ran: Sequence[Ran],
    ranking: Ranking,
    k: int,
    offset: int,
    explain: bool,
    started: float,
) -> HybridAnswer:
    """Put the answer of a search together: one page of its ranking."""
    page = slice(offset, offset + k)
    keys = ranking.keys[page]
    documents = ranking.joined.documents(keys)
    terms = _term_contributions(plan, ran, ranking, keys) if explain else [None] * len(keys)
    names = [branch.name for branch in plan.branches]
    fused = ranking.fused
    return HybridAnswer(
        hits=[
            _hit(offset + at + 1, document, float(ranking.scores[offset + at]), found)
            for at, (document, found) in enumerate(zip(documents, terms, strict=True))
        ],
        rank_safe=all(each.hits.rank_safe for each in ran),
        bound_gap=max(each.hits.bound_gap for each in ran),
        generation=plan.branches[0].index.generation,
        unknown_terms=list(dict.fromkeys(term for each in ran for term in each.unknown)),
        took_ms=(time.perf_counter() - started) * 1e3,
        fusion=plan.fusion,
        branches=[
            BranchAnswer(
                branch.name,
                branch.kind,
                share,
                len(each.hits),
                each.hits.rank_safe,
                each.hits.bound_gap,
                branch.index.generation,
                each.took_ms,
                each.hits.n_compared if isinstance(each.hits, DenseHits) else None,
            )
            for branch, share, each in zip(plan.branches, plan.shares, ran, strict=True)
        ],
        pool_size=len(ranking.keys),
        branch_scores=[
            dict(zip(names, fused.explain(int(at)), strict=True)) for at in ranking.positions[page]
        ]
        if explain and fused is not None
        else [],
    )


def _hit(rank: int, document: Document, score: float, terms: list[TermContribution] | None) -> Hit:
    return Hit(rank, document.id, score, document.title, document.text, document.metadata, terms)


def _term_contributions(
    plan: Plan, ran: Sequence[Ran], ranking: Ranking, keys: NDArray[np.int64]
) -> list[list[TermContribution] | None]:
    """Return what the matched terms contribute in the first sparse branch."""
    for at, branch in enumerate(plan.branches):
        if isinstance(branch, SparseBranch):
            ordinals, known = ranking.joined.ordinals(at, keys)
            return [
                branch.explain(ran[at].vector, int(ordinal)) if there else []
                for ordinal, there in zip(ordinals, known, strict=True)
            ]
    return [[] for _ in keys]
