"""Thresholds that are subtracted from the scores of terms in a document's vector.

The dense score of a query and a document is a sum over the query's terms, and a sparse vector keeps
`top_k` of about twenty thousand summands. A plain cut gives the last term kept nearly the weight of
the best one and the next term none; subtracting a threshold removes this step. Thresholds are lower
for terms of many queries, whose absence from a vector affects more queries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SHARE, FAVOUR, FEW = 0.7, 0.2, 5
"""Threshold as a share of what the last of `top_k` terms scores, the exponent of how many queries
hold a term, and what is added to their number. Shares of .5 to .9 and exponents of .1 to .3 rank
alike."""
_BATCH = 256


def fit_thresholds(
    terms: Floats, reduced: Floats, documents: Floats, held: NDArray[np.int64], top_k: int
) -> Floats:
    """Return `t / (n_j + FEW) ** FAVOUR` for a term that `n_j` queries hold.

    `t` is `SHARE` of the mean, over documents, of the `top_k`-th largest
    `(n_j + FEW) ** FAVOUR * terms @ reduced @ (document - mean)`.

    Parameters
    ----------
    terms : (n, rank) float32
    reduced : (rank, n_hidden) float32
    documents : (m, n_hidden) float32
        Embeddings of typical documents.
    held : (n,) int64
        Number of queries that hold a term.
    top_k : int
        From 1 to `n`.

    Returns
    -------
    (n,) float32
        Above 0 where the documents have more than `top_k` terms.
    """
    favour = ((held + FEW) ** FAVOUR).astype(np.float32)
    inner = (documents - documents.mean(axis=0)) @ reduced.T
    last = [
        np.partition(inner[at : at + _BATCH] @ terms.T * favour, -top_k, axis=1)[:, -top_k]
        for at in range(0, len(inner), _BATCH)
    ]
    level = SHARE * np.maximum(np.concatenate(last), 0).mean()
    return np.asarray(level / favour, np.float32)
