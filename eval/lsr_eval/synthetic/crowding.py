"""Density of scores near the k-th best, the second test of a synthetic collection.

Documents with close scores are swapped when weights are rounded, so recall against exact scores
depends on the number of documents near the last one returned. Copies that differ too little make a
synthetic collection denser there than a real one of its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Vectors = csr_array[Any, tuple[int, int]]

DEPTHS = (10, 100, 1000)
WINDOW = 0.005
"""Relative difference from the k-th best score up to which a document is near. The error of a score
with 8-bit impacts is about a quarter of that."""
TOLERANCE = 0.25
"""A synthetic count passes within 25 % of the real one."""

_QUERIES_AT_ONCE = 32


@dataclass(frozen=True)
class CrowdingComparison:
    """Mean number of documents near the k-th best, real against synthetic."""

    k: int
    real: float
    synthetic: float

    @property
    def passes(self) -> bool:
        """Whether the synthetic count is within the stated tolerance of the real one."""
        return abs(self.synthetic - self.real) <= TOLERANCE * self.real


def crowding(docs: Vectors, queries: Vectors) -> dict[int, float]:
    """Count the documents whose score is near the k-th best, other than that one.

    Parameters
    ----------
    docs : (n_docs, n_terms) CSR array of float32
    queries : (n_queries, n_terms) CSR array of float32

    Returns
    -------
    dict of int to float
        Mean over the queries that match at least k documents, by k. Depths which no query reaches
        are left out.
    """
    by_term = docs.T.tocsr()
    near: dict[int, list[int]] = {k: [] for k in DEPTHS if k <= docs.shape[0]}
    for first in range(0, queries.shape[0], _QUERIES_AT_ONCE):
        for scores in (queries[first : first + _QUERIES_AT_ONCE] @ by_term).toarray():
            for k, counts in near.items():
                cut = np.partition(scores, -k)[-k]
                if cut > 0:
                    counts.append(int(np.count_nonzero(abs(scores - cut) <= WINDOW * cut)) - 1)
    return {k: float(np.mean(counts)) for k, counts in near.items() if counts}


def compare_crowding(
    real: dict[int, float], synthetic: dict[int, float]
) -> list[CrowdingComparison]:
    """Compare the counts of two collections of the same size."""
    return [CrowdingComparison(k, count, synthetic.get(k, 0.0)) for k, count in real.items()]
