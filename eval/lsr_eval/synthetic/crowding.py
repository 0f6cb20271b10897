"""Density of scores near the k-th best, the second test of a synthetic collection.

Documents with close scores are swapped when weights are rounded, so recall against exact scores
depends on the number of documents near the last one returned. Copies that differ too little make a
synthetic collection denser there than a real one of its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lsr_eval.synthetic.pruning import Comparison

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


def crowding(docs: Vectors, queries: Vectors) -> dict[int, float]:
    """Count the documents whose score is near the k-th best, other than that one.

    `docs` and `queries` are CSR arrays of float32 with a row each. The mean is over the queries
    that match at least k documents, by k; depths which no query reaches are left out.
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


def compare_crowding(real: dict[int, float], synthetic: dict[int, float]) -> list[Comparison]:
    """Compare the counts of two collections of the same size."""
    return [
        Comparison(k, count, synthetic.get(k, 0.0), TOLERANCE * count) for k, count in real.items()
    ]
