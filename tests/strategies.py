"""Random collections, queries and settings, from a seed; adversarial shapes among them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHAPES = (
    "plain",
    "equal_scores",
    "heavy_term",
    "max_weights",
    "empty_docs",
    "single_doc",
    "no_docs",
    "one_posting_terms",
    "clustered",
)


class Collection(NamedTuple):
    """Quantised documents as CSR."""

    indptr: NDArray[np.int64]
    terms: NDArray[np.uint32]
    impacts: NDArray[np.uint8]
    n_terms: int

    @property
    def n_docs(self) -> int:
        """Number of documents."""
        return len(self.indptr) - 1


def from_dense(matrix: NDArray[np.int64]) -> Collection:
    """CSR of a documents x terms matrix of impacts."""
    rows, columns = np.nonzero(matrix)
    counts = np.bincount(rows, minlength=matrix.shape[0])
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    impacts = matrix[rows, columns].astype(np.uint8)
    return Collection(indptr, columns.astype(np.uint32), impacts, matrix.shape[1])


def random_matrix(rng: np.random.Generator, shape: str, max_docs: int = 300) -> NDArray[np.int64]:
    """Impacts of a random collection of the given shape."""
    n_docs = int(rng.integers(1, max_docs))
    n_terms = int(rng.integers(1, 40))
    if shape == "single_doc":
        n_docs = 1
    if shape == "no_docs":
        n_docs = 0
    share = rng.random(n_terms) ** 2 * 0.9 + 0.02
    matrix = rng.integers(1, 256, (n_docs, n_terms)) * (rng.random((n_docs, n_terms)) < share)
    if shape == "equal_scores":
        matrix = np.minimum(matrix, int(rng.integers(1, 256)) * (matrix > 0))
        matrix[:] = matrix.max(initial=0)
    elif shape == "heavy_term" and n_docs:
        matrix[:, 0] = 255 * (rng.random(n_docs) < 0.5)
        matrix[:, 1:] = np.minimum(matrix[:, 1:], 3)
    elif shape == "max_weights":
        matrix = 255 * (matrix > 0)
    elif shape == "empty_docs" and n_docs:
        matrix[rng.random(n_docs) < 0.6] = 0
    elif shape == "one_posting_terms":
        matrix[:] = 0
        for term in range(n_terms):
            matrix[int(rng.integers(n_docs)), term] = int(rng.integers(1, 256))
    elif shape == "clustered":
        topic = np.arange(n_docs) * 6 // max(1, n_docs)
        matrix = matrix * ((np.arange(n_terms)[None, :] % 6 == topic[:, None]) | (matrix > 200))
    return matrix.astype(np.int64)


def random_query(
    rng: np.random.Generator, n_terms: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Terms (a few of them unknown to the collection) and positive weights."""
    size = int(rng.integers(0, min(n_terms + 3, 24)))
    terms = rng.permutation(n_terms + 4)[:size].astype(np.uint32)
    kind = int(rng.integers(4))
    if kind == 0:
        weights = np.ones(size)
    elif kind == 1:
        weights = rng.random(size) ** 6 * 3 + 1e-6
    elif kind == 2:
        weights = rng.integers(1, 4, size).astype(float)
    else:
        weights = rng.random(size) * 3 + 0.01
    return terms, weights.astype(np.float32)


def random_live(rng: np.random.Generator, n_docs: int) -> NDArray[np.bool_] | None:
    """Which documents may appear; ``None`` half of the time."""
    if rng.random() < 0.5:
        return None
    share = float(rng.choice([0.0, 0.01, 0.1, 0.5, 0.9, 1.0]))
    return rng.random(n_docs) < share


def bitmap(live: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Bit ``d % 64`` of word ``d // 64`` for document ``d``."""
    words = np.zeros((len(live) + 63) // 64, dtype=np.uint64)
    for doc in np.flatnonzero(live).tolist():
        words[doc // 64] |= np.uint64(1 << (doc % 64))
    return words
