"""`HybridRetriever`: several branches searched at the same time, and their rankings fused.

The branches run in threads; the kernels release the GIL, so on two free cores a hybrid search takes
about as long as its slower branch. Filters and deletes hold in each of them. The pool of a search
(`Fusion.depth` hits of each branch) does not depend on the page asked for, so pages never overlap
or leave a gap.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import QueryEncoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import UsageError
from lsr_index.fusion import Fusion
from lsr_index.hybrid.answer import HybridAnswer, answer_of
from lsr_index.hybrid.branches import Branch, DenseBranch, HybridQuery, Kind, SparseBranch
from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.run_branches import Plan, Ran, run_branches
from lsr_index.hybrid.steps import Ranking, Reranking, plan_search, rank, reranked, search_again
from lsr_index.hybrid.text_index import Retriever
from lsr_index.search.cluster_selection import Selection
from lsr_index.search.execute import Cancel


class RankedIds(NamedTuple):
    """A ranking without its documents.

    Attributes
    ----------
    ids : list of str, (n,)
    scores : (n,) float64
        Never rising.
    rank_safe : bool
        Whether every branch is.
    """

    ids: list[str]
    scores: NDArray[np.float64]
    rank_safe: bool


class HybridRetriever:
    """Search the branches of an index, or of several indexes of the same documents.

    Parameters
    ----------
    branches : sequence of Branch
        Their names differ. Documents of several indexes are joined by their ids; title, text and
        metadata of a hit come from the first index that has it.

    Raises
    ------
    UsageError
        No branch, or two of one name.
    """

    def __init__(self, branches: Sequence[Branch]) -> None:
        names = [branch.name for branch in branches]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"branches need names of their own, got {', '.join(names) or 'none'}")
        self.branches = list(branches)

    @classmethod
    def of(
        cls,
        retriever: Retriever,
        *,
        dense_encoder: DenseEncoder | None = None,
        dense_modes: Mapping[str, Any] | None = None,
        **modes: Any,
    ) -> HybridRetriever:
        """Return the branches of one open index: ``sparse``, and ``dense`` where it has vectors.

        Parameters
        ----------
        retriever : Retriever
        dense_encoder : DenseEncoder, optional
            Instead of the stored one.
        dense_modes, modes : mapping
            Of `DenseIndex.search` and `Index.search`.
        """
        branches: list[Branch] = [SparseBranch(retriever, **modes)]
        if retriever.index.dense is not None:
            branches.append(DenseBranch(retriever.index, dense_encoder, **dict(dense_modes or {})))
        return cls(branches)

    def chosen(self, kind: Kind | None) -> list[Branch]:
        """Return the branches of a kind; None: all.

        Raises
        ------
        UsageError
            There is none; for all: there is only one.
        """
        if kind not in (None, *get_args(Kind)):
            raise UsageError(f"there are {' and '.join(get_args(Kind))} branches, got {kind!r}")
        found = [branch for branch in self.branches if kind in (None, branch.kind)]
        if found and (kind is not None or len(found) > 1):
            return found
        if kind == "sparse":
            raise UsageError("there is no sparse branch; search with mode dense")
        index = self.branches[0].index
        index.dense_or_refuse()
        raise UsageError(f"{index.path}: a hybrid search needs two branches or more")

    def search(
        self,
        query: HybridQuery | str,
        k: int = 10,
        *,
        offset: int = 0,
        kind: Kind | None = None,
        fusion: Fusion | None = None,
        filter: Any = None,
        cancel: Cancel | None = None,
        feedback: Feedback | None = None,
        rerank: Reranking | None = None,
        selection: Selection | None = None,
        explain: bool = False,
    ) -> HybridAnswer:
        """Return hits `offset` to `offset + k` of a query.

        Parameters
        ----------
        query : HybridQuery or str
        k, offset : int
        kind : {"sparse", "dense"}, optional
            Search the branches of this kind only; a single one keeps its own scores.
        fusion : Fusion, optional
            Default: ``min-max`` with equal weights.
        filter : mapping, optional
            See `lsr_index.search.filters`; each index applies it to its own metadata.
        cancel : Cancel, optional
            Ends sparse searches from another thread.
        feedback : Feedback, optional
            Search a second time with what the first documents say.
        rerank : Reranking, optional
            Order the first hits by another score; there are no hits beyond them.
        selection : Selection, optional
            In a hybrid search, let the results of the sparse branch choose the clusters that the
            dense branch of the same index opens.
        explain : bool
            Say what each branch gave each hit, and what each matched term contributes to its score
            in the first sparse branch.

        Raises
        ------
        UsageError
            `k` below 1, `offset` below 0, a missing branch or weight, or a query that a branch
            cannot encode.
        """
        started = time.perf_counter()
        query = HybridQuery(query) if isinstance(query, str) else query
        plan = self._plan(k, offset, kind, fusion, rerank, selection)
        ran, ranking = _carry_out(plan, query, filter, cancel, feedback, rerank)
        return answer_of(plan, ran, ranking, k, offset, explain, started)

    def rank(
        self,
        query: HybridQuery | str,
        k: int = 1000,
        *,
        kind: Kind | None = None,
        fusion: Fusion | None = None,
        filter: Any = None,
        feedback: Feedback | None = None,
        rerank: Reranking | None = None,
        selection: Selection | None = None,
    ) -> RankedIds:
        """Return ids and scores only, for runs and evaluation; otherwise as `search`."""
        query = HybridQuery(query) if isinstance(query, str) else query
        plan = self._plan(k, 0, kind, fusion, rerank, selection)
        ran, ranking = _carry_out(plan, query, filter, None, feedback, rerank)
        return RankedIds(
            ranking.joined.ids(ranking.keys[:k]),
            ranking.scores[:k],
            all(each.hits.rank_safe for each in ran),
        )

    def _plan(
        self,
        k: int,
        offset: int,
        kind: Kind | None,
        fusion: Fusion | None,
        rerank: Reranking | None,
        selection: Selection | None,
    ) -> Plan:
        numbers = all(isinstance(each, int | np.integer) for each in (k, offset))
        if not numbers or k < 1 or offset < 0:
            raise UsageError(f"k must be at least 1 and offset at least 0, got {k} and {offset}")
        if not isinstance(fusion, Fusion | None):
            raise UsageError(f"a fusion is a Fusion, as parse_fusion returns it; got {fusion!r}")
        return plan_search(self.chosen(kind), fusion or Fusion(), k, offset, rerank, selection)

    def close(self) -> None:
        """Release the files of the indexes."""
        for branch in self.branches:
            branch.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _carry_out(
    plan: Plan,
    query: HybridQuery,
    filter: Any,
    cancel: Cancel | None,
    feedback: Feedback | None,
    rerank: Reranking | None,
) -> tuple[list[Ran], Ranking]:
    ran = run_branches(plan, query, filter, cancel)
    ranking = rank(plan, ran)
    if feedback is not None:
        ran = search_again(plan, ran, ranking, feedback, filter, cancel)
        ranking = rank(plan, ran)
    return ran, ranking if rerank is None else reranked(ranking, rerank, query)


def open_branches(
    path: Path | str,
    also: Sequence[Path | str] = (),
    *,
    encoder: QueryEncoder | None = None,
    **options: Any,
) -> HybridRetriever:
    """Open an index and further indexes of the same documents, all branches of each.

    With several indexes the branches are named after their folders: ``NAME`` for sparse vectors,
    ``NAME-dense`` for dense ones. `encoder` is the query encoder of the first, where not the stored
    one; `options` are those of `HybridRetriever.of`.
    """
    retrievers = [Retriever.open(path, encoder=encoder), *map(Retriever.open, also)]
    if len(retrievers) == 1:
        return HybridRetriever.of(retrievers[0], **options)
    branches: list[Branch] = []
    for retriever in retrievers:
        name = retriever.index.path.resolve().name.removesuffix(".index")
        for branch in HybridRetriever.of(retriever, **options).branches:
            branch.name = name if branch.kind == "sparse" else f"{name}-dense"
            branches.append(branch)
    return HybridRetriever(branches)
