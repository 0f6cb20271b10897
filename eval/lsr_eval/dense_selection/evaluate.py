"""Recall of dense search over a part of the vectors, against exact search over all of them.

No judgements are needed: the reference is an exact search. Measured are the first 100 documents of
the dense ranking, and the first 100 and 10 of the hybrid one as `Retriever` fuses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.fusion import Fusion
from lsr_index.hybrid import BranchOptions, QueryParts, Retriever
from lsr_index.search.cluster_features import GUIDES
from lsr_index.search.cluster_selection import Selection, fit_selection, search_selectively
from lsr_index.search.dense_index import DenseHits, DenseIndex

K = 100
FEWEST = 20


class Point(NamedTuple):
    """Measurements of one search method; means over the queries.

    Attributes
    ----------
    name : str
    compared, compared_hybrid : float
        Share of the vectors that dense and hybrid search compared with the query.
    dense : float
        Share found of the exact first 100 of dense search.
    hybrid, hybrid_10 : float
        Share found of the exact first 100, and first 10, of hybrid search.
    judged, judged_hybrid : float or None
        Recall of relevant documents among the first 100, where there are judgements.
    """

    name: str
    compared: float
    dense: float
    compared_hybrid: float
    hybrid: float
    hybrid_10: float
    judged: float | None
    judged_hybrid: float | None


class Way(Protocol):
    """Search method."""

    name: str

    def dense(self, at: int) -> DenseHits:
        """Return the first 100 of dense search for a query."""

    def hybrid(self, at: int) -> list[str]:
        """Return the ids of the first 100 of hybrid search for a query."""


@dataclass(frozen=True)
class Bench:
    """Queries with their dense vectors, to be searched by several methods.

    Attributes
    ----------
    retriever : Retriever
    queries : sequence of QueryParts
        With their dense vectors.
    relevant : sequence of set of str, or None
        The relevant documents of each query.
    fusion : Fusion
    """

    retriever: Retriever
    queries: Sequence[QueryParts]
    relevant: Sequence[set[str]] | None = None
    fusion: Fusion = Fusion()  # noqa: RUF009  (immutable)

    @property
    def index(self) -> DenseIndex:
        """The dense vectors."""
        return self.retriever.index.require_dense()

    def vector(self, at: int) -> NDArray[np.floating]:
        """Return the dense vector of a query."""
        vector = self.queries[at].dense
        assert vector is not None
        return vector

    def ids(
        self,
        at: int,
        *,
        selection: Selection | None = None,
        probes: int | None = None,
        exact: bool = False,
    ) -> list[str]:
        """Return the ids of the first 100 of hybrid search for a query."""
        (found,) = self.retriever.search_batch(
            [self.queries[at]],
            K,
            mode="hybrid",
            fusion=self.fusion,
            selection=selection,
            probes=probes,
            exact=exact,
        )
        return found.ids

    @cached_property
    def guides(self) -> list[NDArray[np.int64]]:
        """Sparse results of each query."""
        (branch,) = self.retriever.chosen("sparse")
        vectors = [branch.encode(query)[0] for query in self.queries]
        return [branch.search(v, GUIDES, BranchOptions()).ordinals for v in vectors]

    @cached_property
    def exact(self) -> list[tuple[set[int], list[str]]]:
        """The exact first 100 of each query: documents of dense search, ids of hybrid search."""
        way = Probing(self, "exact")
        return [
            (set(way.dense(at).ordinals.tolist()), way.hybrid(at))
            for at in range(len(self.queries))
        ]

    def measure(self, way: Way) -> Point:
        """Measure one search method on every query."""
        rows = []
        for at in range(len(self.queries)):
            hits, together = way.dense(at), way.hybrid(at)
            documents, exact = self.exact[at]
            scored = np.setdiff1d(self.guides[at][: self.fusion.depth_for(K)], hits.ordinals)
            rows.append(
                (
                    hits.n_compared / self.index.n_vectors,
                    _share(documents, hits.ordinals.tolist()),
                    # A fusion scores the sparse results that the dense branch did not return.
                    (hits.n_compared + len(scored)) / self.index.n_vectors,
                    _share(set(exact), together),
                    _share(set(exact[:10]), together[:10]),
                )
            )
        compared, dense, compared_hybrid, hybrid, hybrid_10 = np.mean(rows, axis=0).tolist()
        judged, judged_hybrid = self._judged(way)
        return Point(
            way.name, compared, dense, compared_hybrid, hybrid, hybrid_10, judged, judged_hybrid
        )

    def _judged(self, way: Way) -> tuple[float | None, float | None]:
        if self.relevant is None:
            return None, None
        found = [
            (_share(wanted, way.dense(at).ids), _share(wanted, way.hybrid(at)))
            for at, wanted in enumerate(self.relevant)
        ]
        dense, hybrid = np.mean(found, axis=0).tolist()
        return dense, hybrid


class Probing:
    """Search of the lists with the nearest centres: plain IVF.

    Parameters
    ----------
    bench : Bench
    name : str
    probes : int, optional
        Default: compare everything.
    """

    def __init__(self, bench: Bench, name: str, probes: int | None = None) -> None:
        self.name = name
        self._bench = bench
        self._probes, self._exact = probes, probes is None

    def dense(self, at: int) -> DenseHits:
        """Return the first 100 of dense search for a query."""
        return self._bench.index.search(
            self._bench.vector(at), K, probes=self._probes, exact=self._exact
        )

    def hybrid(self, at: int) -> list[str]:
        """Return the ids of the first 100 of hybrid search for a query."""
        return self._bench.ids(at, probes=self._probes, exact=self._exact)


class Selecting:
    """Search of the lists that a selection chooses by sparse results."""

    def __init__(self, bench: Bench, selection: Selection) -> None:
        self.name = f"selective, {selection.share:.2%}"
        self._bench = bench
        self._selection = selection

    def dense(self, at: int) -> DenseHits:
        """Return the first 100 of dense search for a query."""
        bench = self._bench
        return search_selectively(
            bench.index, bench.vector(at), K, bench.guides[at], self._selection
        )

    def hybrid(self, at: int) -> list[str]:
        """Return the ids of the first 100 of hybrid search for a query."""
        return self._bench.ids(at, selection=self._selection)


def fit_on(bench: Bench, share: float) -> Selection:
    """Fit a selection to all queries of a bench."""
    vectors = np.stack([bench.vector(at) for at in range(len(bench.queries))])
    return fit_selection(bench.index, vectors, bench.guides, share=share)


def fit_and_check(
    retriever: Retriever, texts: Sequence[str], share: float
) -> tuple[Selection, Mapping[str, Point]]:
    """Fit a selection on every second query and measure it on the others.

    Parameters
    ----------
    retriever : Retriever
    texts : sequence of str
        Queries; judgements are not needed.
    share : float
        Mean share of the vectors that is compared.

    Returns
    -------
    Selection
    mapping of str to Point
        ``selective``, and ``nearest``: a plain search that opens the same share of the lists.

    Raises
    ------
    UsageError
        Too few queries, or an index without clusters.
    """
    queries = queries_of(retriever, texts)
    if len(queries) < FEWEST:
        raise UsageError(
            f"{len(queries)} queries that the dense encoder knows a word of; expected {FEWEST} or "
            "more, half of them to fit on"
        )
    selection = fit_on(Bench(retriever, queries[::2]), share)
    bench = Bench(retriever, queries[1::2])
    measured = bench.measure(Selecting(bench, selection))
    n_lists = max(arrays.n_lists for arrays in bench.index.segments)
    probes = max(1, round(n_lists * measured.compared))
    nearest = bench.measure(Probing(bench, f"nearest, {probes} lists", probes))
    return replace(selection, share=share), {"selective": measured, "nearest": nearest}


def queries_of(
    retriever: Retriever, texts: Sequence[str], vectors: NDArray[np.float32] | None = None
) -> list[QueryParts]:
    """Return queries with their dense vectors, without those that have none."""
    if vectors is None:
        encoder = retriever.index.require_dense().restore_encoder()
        vectors = encoder.encode_queries(list(texts))
    pairs = zip(texts, vectors, strict=True)
    return [QueryParts(text, None, vector) for text, vector in pairs if vector.any()]


def _share(wanted: set[int] | set[str], found: Sequence[int] | Sequence[str]) -> float:
    """Return the share of the wanted documents that was found."""
    return len(wanted.intersection(found)) / max(1, len(wanted))
