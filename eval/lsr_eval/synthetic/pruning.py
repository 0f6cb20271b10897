"""Share of blocks that block-max pruning cannot skip, the first test of a synthetic collection.

A block survives a query if its upper bound, the sum of its block maxima weighted by the query,
reaches the score of the k-th best document. The share of surviving blocks depends on document
frequencies, weights, co-occurrence and document order at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Vectors = csr_array[Any, tuple[int, int]]

BLOCK_SIZES = (32, 64, 256)
DEPTHS = (10, 100, 1000)
RELATIVE_TOLERANCE = 0.10
ABSOLUTE_TOLERANCE = 0.02
"""A synthetic share passes within 10 % of the real one, or within 0.02 of it."""

_QUERIES_AT_ONCE = 32


@dataclass(frozen=True)
class PruningProfile:
    """Pruning statistics of one collection.

    Attributes
    ----------
    terms_per_doc : float
        Mean number of non-zeros.
    matches_per_doc : float
        Share of (query, document) pairs with a positive score.
    thresholds : dict of int to float
        Mean k-th best score, by k.
    surviving : dict of (int, int) to float
        Mean share of surviving blocks, by (block size, k).
    """

    terms_per_doc: float
    matches_per_doc: float
    thresholds: dict[int, float]
    surviving: dict[tuple[int, int], float]


@dataclass(frozen=True)
class Comparison:
    """One figure at one k (and block size), real against synthetic, and the difference allowed."""

    k: int
    real: float
    synthetic: float
    allowed: float
    block_size: int | None = None

    @property
    def passes(self) -> bool:
        """Whether the synthetic figure is within the tolerance of the real one."""
        return abs(self.synthetic - self.real) <= self.allowed


def pruning_profile(
    docs: csr_array[Any, tuple[int, int]], queries: csr_array[Any, tuple[int, int]]
) -> PruningProfile:
    """Measure the share of surviving blocks at the true thresholds.

    `docs`, in the order to be measured, and `queries` are CSR arrays of float32 with a row each.
    """
    by_term = docs.T.tocsr()
    bounds = {size: block_maxima(docs, size).T.tocsr() for size in BLOCK_SIZES}
    depths = [k for k in DEPTHS if k <= docs.shape[0]]
    thresholds: dict[int, float] = dict.fromkeys(depths, 0.0)
    surviving = {(size, k): 0.0 for size in BLOCK_SIZES for k in depths}
    matches = 0
    for first in range(0, queries.shape[0], _QUERIES_AT_ONCE):
        some = queries[first : first + _QUERIES_AT_ONCE]
        scores = (some @ by_term).toarray()
        matches += int(np.count_nonzero(scores))
        ordered = np.sort(scores, axis=1)
        cuts = {k: ordered[:, -k] for k in depths}
        for k in depths:
            thresholds[k] += float(cuts[k].sum())
        for size in BLOCK_SIZES:
            upper = (some @ bounds[size]).toarray()
            for k in depths:
                # Bound and score are sums in different orders: rounding errors are allowed for.
                kept = upper >= cuts[k][:, None] * (1 - 1e-6)
                surviving[size, k] += float(kept.mean(axis=1).sum())
    n_queries = queries.shape[0]
    return PruningProfile(
        terms_per_doc=docs.nnz / docs.shape[0],
        matches_per_doc=matches / (n_queries * docs.shape[0]),
        thresholds={k: total / n_queries for k, total in thresholds.items()},
        surviving={key: total / n_queries for key, total in surviving.items()},
    )


def compare_pruning(real: PruningProfile, synthetic: PruningProfile) -> list[Comparison]:
    """Compare the shares of surviving blocks of two collections of the same size."""
    compared = []
    for (size, k), share in real.surviving.items():
        allowed = max(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * share)
        compared.append(Comparison(k, share, synthetic.surviving[size, k], allowed, size))
    return compared


def block_maxima(
    docs: csr_array[Any, tuple[int, int]], block_size: int
) -> csr_array[Any, tuple[int, int]]:
    """Return the largest weight of each term in each block of `block_size` consecutive rows.

    The result is a (ceil(n_docs / block_size), n_terms) CSR array of float32.
    """
    from scipy.sparse import csr_array

    n_docs, n_terms = docs.shape
    blocks = np.repeat(np.arange(n_docs) // block_size, np.diff(docs.indptr))
    keys = blocks.astype(np.int64) * n_terms + docs.indices
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    maxima = np.maximum.reduceat(docs.data[order], starts)
    per_block = np.bincount(keys[starts] // n_terms, minlength=-(-n_docs // block_size))
    indptr = np.concatenate([[0], np.cumsum(per_block)])
    shape = (len(per_block), n_terms)
    return cast("Vectors", csr_array((maxima, keys[starts] % n_terms, indptr), shape=shape))
