"""Cutting sparse vectors down to their largest weights."""

from __future__ import annotations

import numpy as np

from lsr.errors import UsageError
from lsr.sparse import SparseBatch


def prune(vectors: SparseBatch, *, top_k: int | None, mass: float | None) -> SparseBatch:
    """Keep the largest weights of each vector.

    Parameters
    ----------
    vectors : SparseBatch
    top_k : int or None
        At most this many; of equal weights the smaller term ids.
    mass : float or None
        As few as make up this share of the sum of the vector's weights (the alpha-mass subvector
        of Bruch, Nardini, Rulli, Venturini, "Efficient Inverted Indexes for Approximate Retrieval
        over Learned Sparse Representations", SIGIR 2024).
    """
    if mass is not None and mass < 1:
        vectors = _to_mass(vectors, mass)
    return vectors if top_k is None else vectors.top(top_k)


def check_pruning(top_k: int | None, mass: float | None) -> None:
    """Refuse limits that make no sense.

    Raises
    ------
    UsageError
    """
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k = {top_k}: a vector keeps at least 1 term")
    if mass is not None and not 0 < mass <= 1:
        raise UsageError(f"mass = {mass}: expected a share above 0 and up to 1")


def _to_mass(vectors: SparseBatch, mass: float) -> SparseBatch:
    lengths = np.diff(vectors.indptr)
    rows = np.repeat(np.arange(len(vectors)), lengths)
    order = np.lexsort((vectors.indices, -vectors.values, rows))
    weights = vectors.values[order].astype(np.float64)
    before = np.concatenate([[0.0], np.cumsum(weights)])
    starts = vectors.indptr[:-1]
    totals = before[vectors.indptr[1:]] - before[starts]
    # An entry stays while those in front of it do not make up the share yet.
    kept = before[:-1] - np.repeat(before[starts], lengths) < mass * np.repeat(totals, lengths)
    entries = np.sort(order[kept])
    counts = np.bincount(rows[entries], minlength=len(vectors))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return SparseBatch(indptr, vectors.indices[entries], vectors.values[entries])
