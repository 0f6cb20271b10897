"""Groups of terms that occur together, which are spliced as units.

A learned sparse encoder activates whole families of terms for one word of the text. Terms of one
group are always taken from the same real document, so that these families stay intact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

POWER_ITERATIONS = 3
LLOYD_ITERATIONS = 8


def group_terms(
    docs: csr_array[Any, tuple[int, int]],
    n_groups: int,
    rng: np.random.Generator,
    n_dimensions: int = 64,
) -> NDArray[np.int64]:
    """Cluster the terms of a collection by the documents they occur in.

    Latent semantic analysis by randomised power iteration, then spherical k-means in which a term
    counts by the square root of its document frequency.

    `docs` is a (n_docs, n_terms) CSR array of float32. Returned are the groups of the terms from 0,
    (n_terms,) int64, at most `n_groups`. Terms that occur nowhere are in some group as well.
    """
    document_frequency = np.bincount(docs.indices, minlength=docs.shape[1])
    positions = _latent_positions(docs, rng, n_dimensions)
    frequent = np.argsort(-document_frequency, kind="stable")[: max(n_groups, 8000)]
    frequent = frequent[document_frequency[frequent] > 0]
    if len(frequent) == 0:
        return np.zeros(docs.shape[1], np.int64)
    chosen = rng.choice(frequent, min(n_groups, len(frequent)), replace=False)
    return _spherical_k_means(positions, positions[chosen].copy(), np.sqrt(document_frequency))


def _latent_positions(
    docs: csr_array[Any, tuple[int, int]], rng: np.random.Generator, n_dimensions: int
) -> NDArray[np.float32]:
    n_dimensions = min(n_dimensions, *docs.shape)
    damped = docs.copy()
    damped.data = np.log1p(damped.data)
    positions = damped.T @ rng.standard_normal((docs.shape[0], n_dimensions)).astype(np.float32)
    for _ in range(POWER_ITERATIONS):
        positions = damped.T @ (damped @ np.linalg.qr(positions)[0])
    lengths = np.linalg.norm(positions, axis=1, keepdims=True)
    return np.asarray(positions / np.maximum(lengths, 1e-9), np.float32)


def _spherical_k_means(
    positions: NDArray[np.float32], centres: NDArray[np.float32], mass: NDArray[np.float64]
) -> NDArray[np.int64]:
    for _ in range(LLOYD_ITERATIONS):
        assigned = np.argmax(positions @ centres.T, axis=1)
        for group in range(len(centres)):
            members = assigned == group
            centre = (positions[members] * mass[members, None]).sum(axis=0)
            if centre.any():
                centres[group] = centre / np.linalg.norm(centre)
    assigned = np.argmax(positions @ centres.T, axis=1)
    return np.asarray(assigned, np.int64)
