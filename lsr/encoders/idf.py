"""Inverse document frequency, the query side of BM25 and of inference-free encoders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import CollectionStatistics


def inverse_document_frequency(
    statistics: CollectionStatistics, n_terms: int
) -> NDArray[np.float32]:
    """Return ``ln(1 + (N - n + 0.5) / (n + 0.5))`` for every term.

    Parameters
    ----------
    statistics : CollectionStatistics
        `N` documents, of which `n` hold a term.
    n_terms : int
        Length of the result; terms beyond the counted ones occur nowhere.

    Returns
    -------
    (n_terms,) float32
        Greater than zero.
    """
    held = np.zeros(n_terms, np.float64)
    counted = statistics.document_frequency[:n_terms]
    held[: len(counted)] = counted
    return np.log1p((statistics.n_docs - held + 0.5) / (held + 0.5)).astype(np.float32)
