"""Recall of dense search over a part of the vectors, against exact search over all of them.

No judgements are needed: the reference is an exact search. Measured are the first 100 documents of
the dense ranking, and the first 100 and 10 of the hybrid one as `Retriever` fuses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.fusion import Fusion
from lsr_index.hybrid import BranchOptions, QueryParts, Retriever
from lsr_index.search.cluster_features import GUIDES
from lsr_index.search.cluster_selection import Selection, fit_selection, search_selectively
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.hits import Hits

K = 100
FEWEST = 20


class Point(NamedTuple):
    """Measurements of one search method; means over the queries.

    Attributes
    ----------
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
    judged: float | None = None
    judged_hybrid: float | None = None


class Way(NamedTuple):
    """Search method: the nearest lists (plain IVF), or those that a selection chooses, or all."""

    name: str
    probes: int | None = None
    selection: Selection | None = None

    @classmethod
    def selective(cls, selection: Selection) -> Way:
        """Return the search by a selection."""
        return cls(f"selective, {selection.share:.2%}", selection=selection)

    @property
    def exact(self) -> bool:
        """Whether every vector is compared."""
        return self.probes is None and self.selection is None


@dataclass(frozen=True)
class Bench:
    """Queries with their dense vectors, to be searched by several methods.

    `relevant` has the relevant documents of each query.
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

    def dense(self, at: int, way: Way) -> Hits:
        """Return the first 100 of dense search for a query."""
        if way.selection is not None:
            guides = self.guides[at]
            return search_selectively(self.index, self.vector(at), K, guides, way.selection)
        return self.index.search(self.vector(at), K, probes=way.probes, exact=way.exact)

    def hybrid(self, at: int, way: Way) -> list[str]:
        """Return the ids of the first 100 of hybrid search for a query."""
        (found,) = self.retriever.search_batch(
            [self.queries[at]],
            K,
            mode="hybrid",
            fusion=self.fusion,
            selection=way.selection,
            probes=way.probes,
            exact=way.exact,
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
        way = Way("exact")
        return [
            (set(self.dense(at, way).ordinals.tolist()), self.hybrid(at, way))
            for at in range(len(self.queries))
        ]

    def measure(self, way: Way) -> Point:
        """Measure one search method on every query."""
        rows = []
        for at in range(len(self.queries)):
            hits, together = self.dense(at, way), self.hybrid(at, way)
            documents, exact = self.exact[at]
            scored = np.setdiff1d(self.guides[at][: self.fusion.depth_for(K)], hits.ordinals)
            rows.append(
                (
                    hits.counters["vectors_compared"] / self.index.n_vectors,
                    _share(documents, hits.ordinals.tolist()),
                    # A fusion scores the sparse results that the dense branch did not return.
                    (hits.counters["vectors_compared"] + len(scored)) / self.index.n_vectors,
                    _share(set(exact), together),
                    _share(set(exact[:10]), together[:10]),
                )
            )
        point = Point(way.name, *np.mean(rows, axis=0).tolist())
        if self.relevant is None:
            return point
        found = [
            (_share(wanted, self.dense(at, way).ids), _share(wanted, self.hybrid(at, way)))
            for at, wanted in enumerate(self.relevant)
        ]
        dense, hybrid = np.mean(found, axis=0).tolist()
        return point._replace(judged=dense, judged_hybrid=hybrid)


def fit_on(bench: Bench, share: float) -> Selection:
    """Fit a selection to all queries of a bench."""
    vectors = np.stack([bench.vector(at) for at in range(len(bench.queries))])
    return fit_selection(bench.index, vectors, bench.guides, share=share)


def fit_and_check(
    retriever: Retriever, texts: Sequence[str], share: float
) -> tuple[Selection, Mapping[str, Point]]:
    """Fit a selection on every second query and measure it on the others.

    `share` is the mean share of the vectors that is compared. The measurements are ``selective``,
    and ``nearest``: a plain search that opens the same share of the lists. Raises `UsageError` for
    too few queries or an index without clusters.
    """
    queries = queries_of(retriever, texts)
    if len(queries) < FEWEST:
        raise UsageError(
            f"{len(queries)} queries that the dense encoder knows a word of; expected {FEWEST} or "
            "more, half of them to fit on"
        )
    selection = fit_on(Bench(retriever, queries[::2]), share)
    bench = Bench(retriever, queries[1::2])
    measured = bench.measure(Way.selective(selection))
    n_lists = max(arrays.n_lists for arrays in bench.index.segments)
    probes = max(1, round(n_lists * measured.compared))
    nearest = bench.measure(Way(f"nearest, {probes} lists", probes))
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
