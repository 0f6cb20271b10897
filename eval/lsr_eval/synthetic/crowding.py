"""How closely scores follow one another at the top of a ranking: the other yardstick.

Documents whose scores lie close together change places when weights are rounded, so recall against
exact scores depends on how many of them there are around the last one returned. Copies that differ
too little make a synthetic collection more crowded than a real one of its size.
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
"""A document is near if its score differs from the k-th best by no more than this share of it. The
error of a score, with impacts of 8 bits, is about a quarter of that."""
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
    """Set the counts of two collections of the same size side by side."""
    return [CrowdingComparison(k, count, synthetic.get(k, 0.0)) for k, count in real.items()]
