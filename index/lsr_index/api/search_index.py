"""`SearchIndex`: an index as `lsr.open` and `lsr.create` return it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from lsr.encoders.base import QueryEncoder
from lsr.errors import DataError, IndexStateError, UsageError
from lsr.records import Document, Query
from lsr.text_encoder import TextEncoder
from lsr_index.api.runs import Runs
from lsr_index.api.writer import Writer
from lsr_index.hybrid.named import FeedbackLike, FusionLike, RerankLike, SelectionLike, named
from lsr_index.hybrid.query import QueryInput
from lsr_index.hybrid.results import Mode, SearchResults
from lsr_index.hybrid.retriever import Retriever
from lsr_index.search.execute import Cancel
from lsr_index.search.hits import IndexStats

P = ParamSpec("P")
R = TypeVar("R")


def _awaitable(
    method: Callable[Concatenate[SearchIndex, P], R], doc: str
) -> Callable[Concatenate[SearchIndex, P], Coroutine[Any, Any, R]]:
    """Return a method that runs `method` in a thread; when its task is cancelled, so is that."""

    @wraps(method)
    async def run(self: SearchIndex, /, *args: P.args, **kwargs: P.kwargs) -> R:
        cancel = kwargs.setdefault("cancel", Cancel())
        try:
            return await asyncio.to_thread(method, self, *args, **kwargs)
        except asyncio.CancelledError:
            if isinstance(cancel, Cancel):
                cancel.set()
            raise

    run.__name__ = f"a{method.__name__}"
    run.__qualname__ = f"SearchIndex.{run.__name__}"
    run.__doc__ = doc
    return run


class SearchIndex:
    """An index, open for searching. Safe to use from several threads.

    A search sees one committed state. The commits of `writer` are visible to the next search, those
    of other processes after `refresh`.

    Examples
    --------
    >>> with index.writer() as w:
    ...     w.add({"id": "2", "text": "green tea"})
    1
    >>> [hit.id for hit in index.search("green")]
    ['2']
    """

    def __init__(self, retriever: Retriever, encoder: QueryEncoder | None = None) -> None:
        self.path = retriever.index.path
        self._given = encoder
        self._open: Retriever | None = retriever

    @property
    def retriever(self) -> Retriever:
        """The retriever of the current state; IndexStateError when the index is closed."""
        retriever = self._open
        if retriever is None:
            raise IndexStateError(f"{self.path}: the index is closed; open it again with lsr.open")
        return retriever

    def search(
        self,
        query: QueryInput,
        *,
        k: int = 10,
        offset: int = 0,
        mode: Mode = "sparse",
        fusion: FusionLike | None = None,
        filter: Mapping[str, Any] | None = None,
        feedback: FeedbackLike | None = None,
        rerank: RerankLike | None = None,
        rerank_depth: int = 50,
        selection: SelectionLike | None = None,
        explain: bool = False,
        alpha: float = 1.0,
        beta: float = 1.0,
        max_work: int = 0,
        probes: int | None = None,
        exact: bool = False,
        cancel: Cancel | None = None,
    ) -> SearchResults:
        """Return the best documents for a query.

        Parameters
        ----------
        query : str, mapping, SparseBatch, SciPy matrix, pair of arrays, or array
            A text; weights by term or by term id; a sparse vector, also as ``(indices, values)``; a
            dense vector, (dimension,); or several of these as `lsr_index.hybrid.QueryParts`.
        k : int
            Hits to return, 1 to 1,000,000.
        offset : int
            Hits to skip before them, for paging.
        mode : {"sparse", "dense", "hybrid"}
            Vectors to search; "hybrid" fuses both rankings.
        fusion : str, path or Fusion, optional
            With mode "hybrid": ``"rrf"``, ``"min-max"``, ``"rrf:k=20"``, … or a file of a fitted
            fusion. Default: ``"min-max"`` with equal weights.
        filter : mapping, optional
            Condition on metadata, such as ``{"year": {"$gte": 2000}}``; exact.
        feedback : str or Feedback, optional
            Pseudo-relevance feedback: ``"rocchio"``, ``"average:docs=3"``.
        rerank : str, callable or Reranking, optional
            A cross-encoder by name, or ``function(query, texts)`` that returns scores. Reorders the
            first `rerank_depth` hits; there are no others.
        rerank_depth : int
        selection : path or Selection, optional
            With mode "hybrid": a fitted selection of clusters of dense vectors.
        explain : bool
            Contributions of matched terms and of branches: `Hit.explanation`, `Hit.branches`.
        alpha, beta : float
            Below 1: approximate sparse search, `alpha` scales bounds, `beta` is the share of query
            terms kept.
        max_work : int
            Postings after which a sparse search stops early; 0: never.
        probes : int, optional
            Clusters of dense vectors to open.
        exact : bool
            Compare every dense vector.
        cancel : Cancel, optional
            Ends the search from another thread.

        Raises
        ------
        UsageError
            An argument out of range, or a query that this index cannot encode.
        VectorError
            A malformed vector.
        IndexStateError
            The index is closed.
        """
        retriever = self.retriever
        return retriever.search(
            query,
            k,
            offset=offset,
            mode=mode,
            filter=filter,
            explain=explain,
            cancel=cancel,
            alpha=alpha,
            beta=beta,
            max_work=max_work,
            probes=probes,
            exact=exact,
            **named(retriever, mode, fusion, feedback, rerank, rerank_depth, selection),
        )

    def search_batch(
        self,
        queries: Mapping[str, QueryInput] | Iterable[QueryInput] | Any,
        *,
        k: int = 1000,
        threads: int = 1,
        mode: Mode = "sparse",
        fusion: FusionLike | None = None,
        filter: Mapping[str, Any] | None = None,
        feedback: FeedbackLike | None = None,
        rerank: RerankLike | None = None,
        rerank_depth: int = 50,
        selection: SelectionLike | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
        max_work: int = 0,
        probes: int | None = None,
        exact: bool = False,
        cancel: Cancel | None = None,
    ) -> Runs:
        """Return the rankings of many queries: ids and scores.

        Parameters
        ----------
        queries : mapping of query id to query, iterable of queries, SparseBatch or SciPy matrix
            `Query` records have ids; other queries of an iterable, and rows of a matrix, get the
            ids ``"0"``, ``"1"``, …
        threads : int
            Queries searched at the same time. Further parameters and errors as in `search`.
        """
        started = time.perf_counter()
        retriever = self.retriever
        qids, listed = _with_ids(queries)
        found = retriever.search_batch(
            listed,
            k,
            threads=threads,
            mode=mode,
            filter=filter,
            cancel=cancel,
            alpha=alpha,
            beta=beta,
            max_work=max_work,
            probes=probes,
            exact=exact,
            **named(retriever, mode, fusion, feedback, rerank, rerank_depth, selection),
        )
        qids = [str(at) for at in range(len(found))] if qids is None else qids
        took_ms = (time.perf_counter() - started) * 1e3
        return Runs(dict(zip(qids, found, strict=True)), took_ms)

    asearch = _awaitable(
        search, "Search without blocking the event loop; parameters are those of `search`."
    )
    asearch_batch = _awaitable(
        search_batch,
        "Search many queries without blocking the event loop; parameters are those of "
        "`search_batch`.",
    )

    def writer(self) -> Writer:
        """Return a `Writer` of this index, for a ``with`` statement.

        Leaving it commits; an exception rolls back. An index has one writer at a time.
        """
        _ = self.retriever  # raises when closed
        return Writer(self.path, self.refresh)

    def refresh(self) -> bool:
        """Open the newest committed state; return whether it is newer."""
        retriever = self.retriever
        newest = retriever.index.refresh()
        if newest is retriever.index:
            return False
        self._open = retriever.following(newest, self._given)
        return True

    def get(self, doc_id: str) -> Document | None:
        """Return a document by its id, or None."""
        if not isinstance(doc_id, str):
            raise UsageError(f"an id is a string, got {doc_id!r}")
        return self.retriever.index.document(doc_id)

    def __contains__(self, doc_id: object) -> bool:
        return isinstance(doc_id, str) and self.retriever.index.find(doc_id) is not None

    def __len__(self) -> int:
        return self.retriever.index.n_docs

    def __bool__(self) -> bool:
        return True

    @property
    def generation(self) -> int:
        """State of the index; each commit adds one."""
        return self.retriever.index.generation

    def stats(self) -> IndexStats:
        """Return counts and sizes in bytes."""
        return self.retriever.index.stats()

    def fields(self) -> dict[str, set[str]]:
        """Return the metadata fields that filters can name, and the types of their values."""
        return self.retriever.index.fields()

    def close(self) -> None:
        """Release the files; closing twice is allowed."""
        retriever, self._open = self._open, None
        if retriever is not None:
            retriever.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._open is None:
            return f"<SearchIndex {str(self.path)!r}, closed>"
        index = self._open.index
        dense = "" if index.dense is None else f", dense vectors of {index.dense.dimension} numbers"
        return (
            f"<SearchIndex {str(self.path)!r}: {index.n_docs:,} documents, "
            f"{index.n_terms:,} terms{dense}, generation {index.generation}>"
        )


def open(path: str | Path, *, encoder: QueryEncoder | TextEncoder | None = None) -> SearchIndex:
    """Open an index for searching.

    Takes milliseconds for an index of any size: files are mapped, not read.

    Parameters
    ----------
    path : path
    encoder : QueryEncoder or TextEncoder, optional
        Of queries, instead of the stored one.

    Raises
    ------
    IndexNotFoundError
        There is no index at `path`.
    EncoderMismatchError
        The vectors of the index come from another encoder.
    CorruptIndexError, FormatVersionError
        The files cannot be read.

    Examples
    --------
    >>> len(open(tmp / "tea.index"))
    1
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"path must be a string or a Path, got {type(path).__name__}")
    query_encoder = encoder.encoder if isinstance(encoder, TextEncoder) else encoder
    if query_encoder is not None and not hasattr(query_encoder, "fingerprint"):
        raise UsageError(f"encoder must be what lsr.encoder returns, got {encoder!r}")
    return SearchIndex(Retriever.open(path, encoder=query_encoder), query_encoder)


def _with_ids(queries: Any) -> tuple[list[str] | None, Any]:
    """Return query ids, None for numbered queries, and the queries."""
    if isinstance(queries, Mapping):
        qids = list(queries)
        if not all(isinstance(qid, str) for qid in qids):
            raise UsageError("the keys of queries are query ids, which are strings")
        return qids, list(queries.values())
    if isinstance(queries, list | tuple) and all(isinstance(query, Query) for query in queries):
        qids = [query.id for query in queries]
        if len(set(qids)) < len(qids):
            raise DataError("a query id stands twice in queries; expected each only once")
        return qids, queries
    return None, queries
