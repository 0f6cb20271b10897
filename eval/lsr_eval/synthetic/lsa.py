"""Synthetic dense vectors: sparse ones projected by latent semantic analysis.

Deerwester et al., "Indexing by Latent Semantic Analysis" (1990); the singular vectors come from the
randomised method of Halko, Martinsson and Tropp (2011), §4.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lsr_index.search.index import Index

_OVERSAMPLED = 10
_POWERS = 2
_SEED = 5


class LatentSemantics:
    """Projection of sparse vectors over one vocabulary, (n_terms, dimension) float32."""

    def __init__(self, projection: NDArray[np.float32]) -> None:
        self._projection = projection

    @classmethod
    def of(cls, index: Index, dimension: int) -> Self:
        """Compute the main directions of the documents of an index."""
        matrix = _weighted(sparse.vstack(list(_matrices(index))).tocsr())
        rng = np.random.default_rng(_SEED)
        basis = rng.normal(size=(matrix.shape[1], dimension + _OVERSAMPLED)).astype(np.float32)
        for _ in range(_POWERS):
            left, _ = np.linalg.qr(matrix @ basis)
            basis, _ = np.linalg.qr(matrix.T @ left)
        _, _, right = np.linalg.svd(matrix @ basis, full_matrices=False)
        projection = (basis @ right.T)[:, :dimension]
        return cls(np.ascontiguousarray(projection, np.float32))

    def documents(self, index: Index) -> Iterator[NDArray[np.float32]]:
        """Yield the vectors of all live documents, in their order."""
        for matrix in _matrices(index):
            yield self.project(matrix)

    def project(self, vectors: Any) -> NDArray[np.float32]:
        """Return dense vectors of length 1; zeros for an empty one."""
        rows = np.asarray(_weighted(vectors) @ self._projection, np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.where(lengths > 1e-6, rows / np.maximum(lengths, 1e-6), 0).astype(np.float32)


def _matrices(index: Index) -> Iterator[Any]:
    """Yield the sparse vectors of all live documents as CSR matrices."""
    for segment in index.segments:
        for chunk in segment.chunks():
            indptr, term_ids, impacts = chunk.vectors
            shape = (len(chunk.doc_ids), index.n_terms)
            data = impacts.astype(np.float32) * np.float32(index.manifest.scale)
            yield sparse.csr_matrix((data, term_ids.astype(np.int64), indptr), shape)


def _weighted(matrix: Any) -> Any:
    """Dampen large weights and bring every row to length 1."""
    damped = matrix.astype(np.float32).copy()
    damped.data = np.sqrt(damped.data)
    lengths = np.sqrt(np.asarray(damped.multiply(damped).sum(axis=1)).ravel())
    return sparse.diags((1 / np.maximum(lengths, 1e-9)).astype(np.float32)) @ damped
