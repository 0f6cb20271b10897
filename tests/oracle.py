"""The truth, slow and plain: every document is scored, nothing is skipped, nothing is shared.

Written from the definition alone; imports nothing of the product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Truth(NamedTuple):
    """The right answer of one query."""

    ordinals: NDArray[np.int64]
    scores: NDArray[np.int64]


def dense_matrix(
    indptr: NDArray[np.int64], terms: NDArray[np.uint32], impacts: NDArray[np.uint8], n_terms: int
) -> NDArray[np.int64]:
    """Documents x terms."""
    matrix = np.zeros((len(indptr) - 1, n_terms), dtype=np.int64)
    for doc in range(len(indptr) - 1):
        for at in range(int(indptr[doc]), int(indptr[doc + 1])):
            matrix[doc, int(terms[at])] = int(impacts[at])
    return matrix


def integer_weights(weights: NDArray[np.float32], bits: int) -> tuple[NDArray[np.int64], int]:
    """Integer query weights and the shift that goes with the accumulator width."""
    limit, shift = (2**15 - 1, 8) if bits == 16 else (2**23 - 1, 0)
    if len(weights) == 0:
        return np.zeros(0, dtype=np.int64), shift
    total = 0.0
    for weight in weights:
        total += float(weight)
    factor = (limit - len(weights)) / total
    rounded = [int(np.floor(float(weight) * factor + 0.5)) for weight in weights]
    return np.array(rounded, dtype=np.int64), shift


def scores(
    matrix: NDArray[np.int64], terms: NDArray[np.uint32], weights: NDArray[np.float32], bits: int
) -> NDArray[np.int64]:
    """Integer score of every document: ``sum over terms of (impact * weight) >> shift``."""
    ints, shift = integer_weights(weights, bits)
    total = np.zeros(matrix.shape[0], dtype=np.int64)
    for term, weight in zip(terms, ints, strict=True):
        if int(term) < matrix.shape[1]:
            total += (matrix[:, int(term)] * weight) >> shift
    return total


def best(all_scores: NDArray[np.int64], k: int, live: NDArray[np.bool_] | None = None) -> Truth:
    """The k best positive live documents, by score descending, then document ascending."""
    wanted = all_scores > 0
    if live is not None:
        wanted &= live
    docs = np.flatnonzero(wanted)
    order = sorted(docs.tolist(), key=lambda doc: (-int(all_scores[doc]), doc))[:k]
    chosen = np.array(order, dtype=np.int64)
    return Truth(chosen, all_scores[chosen] if len(order) else np.zeros(0, np.int64))
