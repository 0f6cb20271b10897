"""Exact scores, to measure recall: computed in float64 from the unquantised vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TIE_TOLERANCE = 1e-6
"""Relative slack of the k-th score. Engines that add the same products in float32 and in another
order differ by less; documents that tie within it are equally right answers."""

_DOCS_AT_ONCE = 50_000
_QUERIES_AT_ONCE = 32


class ExactScores:
    """The k-th best score of every query, for some k.

    `docs` and `queries` are CSR arrays of float32 with a row each; `depths` are the values of k.
    """

    def __init__(
        self,
        docs: csr_array[Any, tuple[int, int]],
        queries: csr_array[Any, tuple[int, int]],
        depths: list[int],
    ) -> None:
        self._docs = docs
        self._queries = queries.astype(np.float64)
        best = _best_scores(docs, self._queries, min(max(depths), docs.shape[0]))
        positive = np.count_nonzero(best > 0, axis=1)
        self._due = {k: np.minimum(positive, k) for k in depths}
        rows = np.arange(len(best))
        self._cuts = {k: best[rows, np.maximum(due, 1) - 1] for k, due in self._due.items()}

    def recall(self, ordinals: NDArray[np.int64], k: int, every: int = 1) -> float:
        """Return the mean share of the k best documents that were returned.

        A returned document counts when its exact score reaches the k-th best one, so that either
        of two tied documents is right. For queries that match fewer than k documents, the share is
        of those; queries that match none do not count.

        `ordinals`, (n_queries, k) int64, answers each `every`-th query; it holds rows of the
        documents, -1 where an engine returned fewer than k.
        """
        due, cuts = self._due[k], self._cuts[k]
        asked = np.arange(0, len(due), every)
        shares = [
            min(self._count(query, ids, cuts[query]), due[query]) / due[query]
            for query, ids in zip(asked, ordinals, strict=True)
            if due[query]
        ]
        return float(np.mean(shares)) if shares else 1.0

    def _count(self, query: np.integer[Any], ordinals: NDArray[np.int64], cut: float) -> int:
        returned = np.unique(ordinals[ordinals >= 0])
        dense = np.zeros(self._docs.shape[1])
        start, end = self._queries.indptr[query : query + 2]
        dense[self._queries.indices[start:end]] = self._queries.data[start:end]
        return int(np.count_nonzero(self._docs[returned] @ dense >= cut * (1 - TIE_TOLERANCE)))


def _best_scores(
    docs: csr_array[Any, tuple[int, int]], queries: csr_array[Any, tuple[int, int]], depth: int
) -> NDArray[np.float64]:
    """Return the `depth` best scores of each query, best first."""
    best = np.zeros((queries.shape[0], depth))
    for first in range(0, docs.shape[0], _DOCS_AT_ONCE):
        by_term = docs[first : first + _DOCS_AT_ONCE].astype(np.float64).T.tocsr()
        for low in range(0, queries.shape[0], _QUERIES_AT_ONCE):
            rows = slice(low, low + _QUERIES_AT_ONCE)
            scores = (queries[rows] @ by_term).toarray()
            candidates = np.concatenate([best[rows], scores], axis=1)
            best[rows] = np.partition(candidates, -depth, axis=1)[:, -depth:]
    best.sort(axis=1)
    return np.ascontiguousarray(best[:, ::-1])
