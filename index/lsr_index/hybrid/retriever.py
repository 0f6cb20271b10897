"""`Retriever`: an index with the encoders of its queries, searched by text or vector.

Terminal, HTTP, Python and evaluation search through it, so all return the same hits. A search runs
one or several branches (`lsr_index.hybrid.branch`) and fuses their hits. The pool of a search
(`Fusion.depth` hits of each branch) does not depend on the page, so pages never overlap or leave a
gap.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, get_args

from lsr.encoders import restore_encoder
from lsr.encoders.base import QueryEncoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr_index.fusion import Fusion
from lsr_index.hybrid.answer import answer_of
from lsr_index.hybrid.branch import Branch, BranchOptions
from lsr_index.hybrid.dense_branch import DenseBranch
from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.query import QueryInput, many_parts_of, parts_of
from lsr_index.hybrid.results import Mode, RankedIds, SearchResults
from lsr_index.hybrid.run_branches import Plan, Reranking
from lsr_index.hybrid.sparse_branch import SparseBranch, require_encoder
from lsr_index.hybrid.steps import rank_many, search_plan
from lsr_index.search.cluster_selection import Selection
from lsr_index.search.execute import Cancel
from lsr_index.search.index import Index, open_index
from lsr_index.search.options import sparse_options
from lsr_index.search.query import require_page


class Retriever:
    """Search of an index, or of several indexes of the same documents. Thread-safe.

    Parameters
    ----------
    branches : sequence of Branch
        With unique names. Documents of several indexes are joined by their ids; title, text and
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
        index: Index,
        encoder: QueryEncoder | None = None,
        *,
        dense_encoder: DenseEncoder | None = None,
    ) -> Self:
        """Return the retriever of an open index: branch ``sparse``, and ``dense`` if it has them.

        Parameters
        ----------
        encoder : QueryEncoder, optional
            Without one, sparse vectors are searched by vector only.
        dense_encoder : DenseEncoder, optional
            Default: the stored one, loaded with the first text. EncoderMismatchError unless its
            vectors are like those of the index.
        """
        return cls(_branches_of(index, encoder, dense_encoder))

    @classmethod
    def open(
        cls,
        path: Path | str,
        also: Sequence[Path | str] = (),
        *,
        encoder: QueryEncoder | None = None,
    ) -> Self:
        """Open an index, and restore its query encoder; errors as `open_index`.

        Parameters
        ----------
        path : path
        also : sequence of path
            Further indexes of the same documents. With any, branches are named after the folders:
            ``NAME`` for sparse vectors, ``NAME-dense`` for dense ones.
        encoder : QueryEncoder, optional
            Of the first index, instead of the stored one. EncoderMismatchError unless its vectors
            are like those of the index.
        """
        return cls(_open_branches([path, *also], encoder))

    def following(self, index: Index, encoder: QueryEncoder | None = None) -> Self:
        """Return the retriever of another generation of the same index.

        The stored encoder is restored again only if a commit replaced it.
        """
        if encoder is None and index.manifest.encoder == self.index.manifest.encoder:
            encoder = self.encoder
        return type(self)(_branches_of(index, _query_encoder(index, encoder)))

    @property
    def index(self) -> Index:
        """The index of the first branch."""
        return self.branches[0].index

    @property
    def encoder(self) -> QueryEncoder | None:
        """The query encoder of the first sparse branch."""
        return next((b.encoder for b in self.branches if isinstance(b, SparseBranch)), None)

    def chosen(self, mode: Mode) -> list[Branch]:
        """Return the branches of a mode.

        Raises
        ------
        UsageError
            There is none; for ``hybrid``: there is only one.
        """
        if mode not in get_args(Mode):
            raise UsageError(f"mode is {', '.join(get_args(Mode))}, got {mode!r}")
        found = [branch for branch in self.branches if mode in ("hybrid", branch.kind)]
        if found and (mode != "hybrid" or len(found) > 1):
            return found
        if mode == "sparse":
            raise UsageError("there is no sparse branch; search with mode dense")
        self.index.require_dense()
        raise UsageError(f"{self.index.path}: a hybrid search needs two branches or more")

    def search(
        self,
        query: QueryInput,
        k: int = 10,
        *,
        offset: int = 0,
        mode: Mode = "sparse",
        fusion: Fusion | None = None,
        filter: Any = None,
        feedback: Feedback | None = None,
        rerank: Reranking | None = None,
        selection: Selection | None = None,
        explain: bool = False,
        cancel: Cancel | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
        max_work: int = 0,
        probes: int | None = None,
        exact: bool = False,
    ) -> SearchResults:
        """Return hits `offset` to `offset + k` of a query.

        Parameters and errors are those of `lsr.SearchIndex.search`, with fusion, feedback,
        reranking and selection as objects. `explain` covers the terms of the first sparse branch.
        """
        started = time.perf_counter()
        options = BranchOptions(
            filter, cancel, sparse_options(alpha, beta, max_work), probes, exact
        )
        plan = self._plan(k, offset, mode, fusion, feedback, rerank, selection, options)
        ran, ranking = search_plan(plan, parts_of(query))
        return answer_of(
            plan, ran, ranking, mode=mode, k=k, offset=offset, explain=explain, started=started
        )

    def search_batch(
        self,
        queries: Sequence[QueryInput] | SparseBatch | Any,
        k: int = 1000,
        *,
        threads: int = 1,
        mode: Mode = "sparse",
        fusion: Fusion | None = None,
        filter: Any = None,
        feedback: Feedback | None = None,
        rerank: Reranking | None = None,
        selection: Selection | None = None,
        cancel: Cancel | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
        max_work: int = 0,
        probes: int | None = None,
        exact: bool = False,
    ) -> list[RankedIds]:
        """Return ids and scores of the `k` best documents for each query.

        Parameters
        ----------
        queries : sequence of queries, SparseBatch or SciPy matrix
            As in `search`; the rows of a batch or matrix are queries.
        threads : int
            Queries searched at the same time. Further parameters and errors as in `search`.
        """
        if type(threads) is not int or threads < 1:
            raise UsageError(f"threads must be at least 1, got {threads!r}")
        options = BranchOptions(
            filter, cancel, sparse_options(alpha, beta, max_work), probes, exact
        )
        plan = self._plan(k, 0, mode, fusion, feedback, rerank, selection, options)
        return rank_many(plan, many_parts_of(queries), k, threads=threads)

    def _plan(
        self,
        k: int,
        offset: int,
        mode: Mode,
        fusion: Fusion | None,
        feedback: Feedback | None,
        rerank: Reranking | None,
        selection: Selection | None,
        options: BranchOptions,
    ) -> Plan:
        """Return the branches of a search, their weights and the number of hits of each."""
        require_page(k, offset)
        if not isinstance(fusion, Fusion | None):
            raise UsageError(f"a fusion is a Fusion, as parse_fusion returns it; got {fusion!r}")
        branches = self.chosen(mode)
        depth = rerank.depth if rerank else 0
        if len(branches) == 1:
            depth = max(offset + k, depth)
            return Plan(branches, [1.0], None, depth, options, None, feedback, rerank)
        fusion = fusion or Fusion()
        shares = fusion.shares([branch.name for branch in branches])
        used = [at for at, share in enumerate(shares) if share > 0]
        return Plan(
            [branches[at] for at in used],
            [shares[at] for at in used],
            fusion,
            max(fusion.depth_for(k), depth),
            options,
            selection,
            feedback,
            rerank,
        )

    def close(self) -> None:
        """Release the files of the indexes."""
        for branch in self.branches:
            branch.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _branches_of(
    index: Index, encoder: QueryEncoder | None, dense_encoder: DenseEncoder | None = None
) -> list[Branch]:
    branches: list[Branch] = [SparseBranch(index, encoder)]
    if index.dense is not None:
        branches.append(DenseBranch(index, dense_encoder))
    return branches


def _open_branches(paths: Sequence[Path | str], encoder: QueryEncoder | None) -> list[Branch]:
    """Return the branches of indexes; `encoder` replaces the stored one of the first."""
    branches: list[Branch] = []
    for at, path in enumerate(paths):
        index = open_index(path)
        opened = _branches_of(index, _query_encoder(index, encoder if at == 0 else None))
        if len(paths) > 1:
            name = index.path.resolve().name.removesuffix(".index")
            for branch in opened:
                branch.name = name if branch.kind == "sparse" else f"{name}-dense"
        branches += opened
    return branches


def _query_encoder(index: Index, encoder: QueryEncoder | None) -> QueryEncoder | None:
    """Return `encoder` if it fits the index; without one the stored encoder."""
    if encoder is not None:
        require_encoder(index, encoder)
        return encoder
    return None if index.encoder_assets is None else restore_encoder(index.encoder_assets)
