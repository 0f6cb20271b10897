"""Centroids of vectors, and the cluster of each vector.

k-means by faiss on a sample; assignment by plain matrix products. Searching does not import faiss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.dense.base import Similarity
from lsr.errors import MissingDependencyError

SAMPLE_PER_LIST = 40
_ITERATIONS = 8
_SEED = 1234
_BLOCK_BYTES = 32 << 20


def train_centroids(
    sample: NDArray[np.float32], n_lists: int, similarity: Similarity
) -> NDArray[np.float32]:
    """Return the centres of clusters, (n_lists, d); of length 1 for cosine.

    `sample`, (n, d), has at least `n_lists` vectors. MissingDependencyError: faiss is not
    installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError(
            f"clustering {len(sample):,} dense vectors", "dense"
        ) from error
    spherical = similarity == "cosine"
    means = faiss.Kmeans(
        sample.shape[1],
        n_lists,
        niter=_ITERATIONS,
        seed=_SEED,
        spherical=spherical,
        min_points_per_centroid=1,
        max_points_per_centroid=SAMPLE_PER_LIST,
    )
    means.train(np.ascontiguousarray(sample))
    centroids: NDArray[np.float32] = np.ascontiguousarray(means.centroids, np.float32)
    return centroids


def assign(
    vectors: NDArray[np.float32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the nearest centre of each vector and the distance to it, both (n,)."""
    halves = (centroids**2).sum(axis=1) / 2
    step = max(1, _BLOCK_BYTES // (4 * len(centroids)))
    nearest = np.empty(len(vectors), np.int32)
    for start in range(0, len(vectors), step):
        block = vectors[start : start + step]
        nearest[start : start + step] = np.argmax(block @ centroids.T - halves, axis=1)
    away = np.linalg.norm(vectors - centroids[nearest], axis=1)
    return nearest, away.astype(np.float32)
