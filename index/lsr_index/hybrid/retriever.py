"""`Retriever`: an index together with the encoders of its queries, searched by text or vector.

Everybody searches through it, which is why the terminal, HTTP, Python and the evaluation return the
same ids, scores and order. A search asks one or several branches (`lsr_index.hybrid.branch`) and
fuses what they find. Branches run in threads where that pays; the kernels release the GIL. Filters
and deletes hold in each of them. The pool of a search (`Fusion.depth` hits of each branch) does not
depend on the page asked for, so pages never overlap or leave a gap.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, get_args

from lsr.encoders.base import QueryEncoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr_index.fusion import Fusion
from lsr_index.hybrid.answer import answer_of
from lsr_index.hybrid.batch import rank_many
from lsr_index.hybrid.branch import Branch, BranchOptions
from lsr_index.hybrid.feedback import Feedback
from lsr_index.hybrid.opening import branches_of, open_branches, query_encoder
from lsr_index.hybrid.query import QueryInput, many_parts_of, parts_of
from lsr_index.hybrid.results import Mode, RankedIds, SearchResults
from lsr_index.hybrid.run_branches import Plan
from lsr_index.hybrid.sparse_branch import SparseBranch
from lsr_index.hybrid.steps import Reranking, carry_out, plan_search
from lsr_index.search.cluster_selection import Selection
from lsr_index.search.execute import Cancel
from lsr_index.search.index import Index
from lsr_index.search.inputs import check_page
from lsr_index.search.options import sparse_options


class Retriever:
    """Search an index, or several indexes of the same documents.

    `Retriever.open` makes one of an index on the disk, `Retriever.of` of one that is open. Safe to
    use from several threads.

    Parameters
    ----------
    branches : sequence of Branch
        Their names differ. Documents of several indexes are joined by their ids; title, text and
        metadata of a hit come from the first index that has it.

    Attributes
    ----------
    branches : list of Branch

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
        """Return what searches an open index.

        Its branches are ``sparse``, and ``dense`` where the index has dense vectors.

        Parameters
        ----------
        index : Index
        encoder : QueryEncoder, optional
            Without one, its sparse vectors are searched by vector only.
        dense_encoder : DenseEncoder, optional
            Instead of the stored one, which is loaded with the first text.

        Raises
        ------
        EncoderMismatchError
            `dense_encoder` makes other vectors than those of the index.
        """
        return cls(branches_of(index, encoder, dense_encoder))

    @classmethod
    def open(
        cls,
        path: Path | str,
        also: Sequence[Path | str] = (),
        *,
        encoder: QueryEncoder | None = None,
    ) -> Self:
        """Open an index, and restore the query encoder it was made with.

        Parameters
        ----------
        path : path
        also : sequence of path
            Further indexes of the same documents. With any, branches are named after the folders:
            ``NAME`` for sparse vectors, ``NAME-dense`` for dense ones.
        encoder : QueryEncoder, optional
            Use this one with the first index, instead of the stored one.

        Raises
        ------
        IndexNotFoundError, CorruptIndexError, FormatVersionError
            See `open_index`.
        EncoderMismatchError
            `encoder` makes other vectors than the ones in the index.
        """
        return cls(open_branches([path, *also], encoder))

    def following(self, index: Index, encoder: QueryEncoder | None = None) -> Self:
        """Return what searches another generation of the one index that this searches.

        Parameters
        ----------
        index : Index
        encoder : QueryEncoder, optional
            Instead of the stored one, which is restored again where a commit replaced it.
        """
        if encoder is None and index.manifest.encoder == self.index.manifest.encoder:
            encoder = self.encoder
        return type(self)(branches_of(index, query_encoder(index, encoder)))

    @property
    def index(self) -> Index:
        """The index of the first branch."""
        return self.branches[0].index

    @property
    def encoder(self) -> QueryEncoder | None:
        """The query encoder of the first sparse branch."""
        return next((b.encoder for b in self.branches if isinstance(b, SparseBranch)), None)

    def chosen(self, mode: Mode) -> list[Branch]:
        """Return the branches that a mode asks.

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

        Parameters
        ----------
        query : str, mapping, SparseBatch, SciPy matrix, pair of arrays, array or QueryParts
            See `lsr_index.hybrid.query.QueryInput`.
        k, offset : int
            How many hits, and how many before them to skip; `k` is at least 1.
        mode : {"sparse", "dense", "hybrid"}
            Which branches to ask; a single one keeps its own scores.
        fusion : Fusion, optional
            How several rankings become one. Default: ``min-max`` with equal weights.
        filter : mapping, optional
            See `lsr_index.search.filters`; each index applies it to its own metadata.
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
        cancel : Cancel, optional
            Ends sparse searches from another thread.
        alpha, beta, max_work
            Below 1, below 1, above 0: approximate sparse searches; see
            `lsr_index.search.options.SearchOptions`.
        probes, exact
            How many dense vectors to compare; see `lsr_index.search.dense_index.DenseIndex.search`.

        Raises
        ------
        UsageError
            A number out of range, a missing branch or weight, or a query that a branch cannot
            encode.
        VectorError
            A vector that is none.
        IndexStateError
            The index is closed.
        """
        started = time.perf_counter()
        options = BranchOptions(
            filter, cancel, sparse_options(alpha, beta, max_work), probes, exact
        )
        plan = self._plan(k, offset, mode, fusion, rerank, selection, options)
        ran, ranking = carry_out(plan, parts_of(query), feedback, rerank)
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
        """Return ids and scores of the `k` best documents for each query, for runs.

        Parameters
        ----------
        queries : sequence of queries, SparseBatch or SciPy matrix
            As in `search`; the rows of a batch or matrix are queries.
        k : int
        threads : int
            Queries searched at the same time.
        mode, fusion, filter, feedback, rerank, selection, cancel, alpha, beta, max_work, probes, \
exact
            As in `search`; errors too.
        """
        if type(threads) is not int or threads < 1:
            raise UsageError(f"threads must be at least 1, got {threads!r}")
        options = BranchOptions(
            filter, cancel, sparse_options(alpha, beta, max_work), probes, exact
        )
        plan = self._plan(k, 0, mode, fusion, rerank, selection, options)
        return rank_many(plan, many_parts_of(queries), k, feedback, rerank, threads=threads)

    def _plan(
        self,
        k: int,
        offset: int,
        mode: Mode,
        fusion: Fusion | None,
        rerank: Reranking | None,
        selection: Selection | None,
        options: BranchOptions,
    ) -> Plan:
        check_page(k, offset)
        if not isinstance(fusion, Fusion | None):
            raise UsageError(f"a fusion is a Fusion, as parse_fusion returns it; got {fusion!r}")
        branches = self.chosen(mode)
        return plan_search(branches, fusion or Fusion(), k, offset, rerank, selection, options)

    def close(self) -> None:
        """Release the files of the indexes."""
        for branch in self.branches:
            branch.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
