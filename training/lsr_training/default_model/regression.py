"""Regression of a dense teacher: query embeddings as sums of vectors of word pieces.

A dense query embedding is approximated by a sum over the query's word pieces, `sum_j idf_j u_j`.
Its inner product with a document's embedding is then a sum over terms, and so is an inference-free
sparse score: the document's weight of term `j` is `u_j · e`. The table of `u_j` is fitted by ridge
regression, with the teacher's embedding of the single piece, mapped linearly, as the prior. It is
then reduced to a low rank, with the least change to the scores of documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float32]
SPREAD = 5.0
"""Sum of the weights of a query in the regression, in average pieces."""


def bag_of_pieces(rows: Sequence[NDArray[np.int64]], idf: Floats) -> sparse.csr_array:
    """Return the regression inputs: inverse document frequencies of the pieces of queries.

    Parameters
    ----------
    rows : sequence of (length,) int64, (n,)
        The distinct pieces of each query.
    idf : (n_terms,) float32

    Returns
    -------
    (n, n_terms) sparse
        Every row sums to `SPREAD`.
    """
    lengths = [len(row) for row in rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    term_ids = np.concatenate([np.zeros(0, np.int64), *rows])
    bag = sparse.csr_array((idf[term_ids], term_ids, indptr), shape=(len(rows), len(idf)))
    total = np.maximum(np.asarray(bag.sum(axis=1)).ravel(), 1)
    return sparse.csr_array(sparse.diags_array(SPREAD / total) @ bag)


def fit_table(
    bag: sparse.csr_array, targets: Floats, pieces: Floats, *, ridge: float, steps: int = 40
) -> Floats:
    """Return a vector for each piece, (n_terms, n_hidden).

    Parameters
    ----------
    bag : (n, n_terms) sparse
        `bag_of_pieces` of the queries.
    targets : (n, n_hidden) float32
        The teacher's embeddings of the queries.
    pieces : (n_terms, n_hidden) float32
        Its embeddings of single pieces.
    ridge : float
        Penalty of the distance from the prior.
    steps : int
        Of conjugate gradients, all columns at once.
    """
    centred = pieces - pieces.mean(axis=0)
    known = np.hstack([bag @ centred, np.ones((bag.shape[0], 1), np.float32)])
    normal = known.T @ known + np.eye(known.shape[1])
    linear = np.linalg.solve(normal, known.T @ targets)
    prior = centred @ linear[:-1]
    correction = _conjugate_gradients(bag, targets - known @ linear, ridge, steps)
    return np.asarray(prior + correction, np.float32)


def _conjugate_gradients(
    bag: sparse.csr_array, residual: NDArray[np.float64], ridge: float, steps: int
) -> NDArray[np.float64]:
    """Solve `(bag' bag + ridge) x = bag' residual`."""
    transposed = sparse.csr_array(bag.T)
    rest = transposed @ residual
    solution, direction = np.zeros_like(rest), rest.copy()
    norm = (rest**2).sum(axis=0)
    for _ in range(steps):
        image = transposed @ (bag @ direction) + ridge * direction
        size = norm / np.maximum((direction * image).sum(axis=0), 1e-30)
        solution += size * direction
        rest -= size * image
        renewed = (rest**2).sum(axis=0)
        direction = rest + renewed / np.maximum(norm, 1e-30) * direction
        norm = renewed
    return solution


def unexplained(bag: sparse.csr_array, targets: Floats, table: Floats, documents: Floats) -> float:
    """Return the share of the variance of scores that a table leaves unexplained.

    Parameters
    ----------
    bag, targets
        Of queries that the table was not fitted to.
    table : (n_terms, n_hidden) float32
    documents : (m, n_hidden) float32
        Embeddings whose scores are compared.
    """
    spread = np.cov(documents.T)
    error = targets - bag @ table
    error -= error.mean(axis=0)
    whole = targets - targets.mean(axis=0)
    return float(((error @ spread) * error).sum() / ((whole @ spread) * whole).sum())


def reduce_rank(table: Floats, documents: Floats, rank: int) -> tuple[Floats, Floats, float]:
    """Factor a table, (n, n_hidden), with the least change to scores of documents, (m, n_hidden).

    Returns
    -------
    terms : (n, rank) float32
    reduced : (rank, n_hidden) float32
    kept : float
        Share of the variance of scores.
    """
    n_hidden = table.shape[1]
    root = np.linalg.cholesky(np.cov(documents.T) + 1e-6 * np.eye(n_hidden))
    left, sizes, right = np.linalg.svd(table @ root, full_matrices=False)
    reduced = right[:rank] @ np.linalg.inv(root)
    kept = float((sizes[:rank] ** 2).sum() / (sizes**2).sum())
    return (left * sizes)[:, :rank].astype(np.float32), reduced.astype(np.float32), kept
