"""Query weights to integers, and terms into descending order of weight."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel

BAD_WEIGHT, BAD_ORDER, TOO_LONG = 1, 2, 3


@kernel
def quantize_weights(weights, limit, out):  # type: ignore[no-untyped-def]
    """Round ``weights * limit' / sum`` to integers whose sum is at most ``limit``.

    Parameters
    ----------
    weights : (n,) float32
    limit : int64
        At least ``2 n``.
    out : (n,) uint32
        Filled.

    Returns
    -------
    float64
        The factor, or 0 if a weight is not positive and finite.
    """
    total = 0.0
    for i in range(weights.size):
        weight = np.float64(weights[i])
        if not (weight > 0.0 and weight < np.inf):
            return 0.0
        total += weight
    # Rounding to nearest adds at most half per term.
    factor = np.float64(limit - weights.size) / total
    for i in range(weights.size):
        out[i] = np.uint32(np.int64(np.floor(np.float64(weights[i]) * factor + 0.5)))
    return factor


@kernel
def prepare_queries(indptr, terms, weights, limit, beta, out, factors, dropped):  # type: ignore[no-untyped-def]
    """Quantise and order a batch of queries of one width.

    Parameters
    ----------
    indptr : (n_queries + 1,) int64
    terms : (nnz,) uint32
        Strictly ascending within a query.
    weights : (nnz,) float32
    limit : int64
        Bound on the sum of integer weights.
    beta : float64
        Share of the terms kept, heaviest first; ties by term id.
    out : (indptr (n_queries + 1,) int64, terms (nnz,) uint32, weights (nnz,) uint32)
        Filled; queries are packed without gaps.
    factors : (n_queries,) float64
        Filled: integer weight per unit of weight.
    dropped : (n_queries,) int64
        Filled: sum of the integer weights that ``beta`` removed.

    Returns
    -------
    (int64, int64)
        Fault (0 if none) and the query it is in.
    """
    out_indptr, out_terms, out_weights = out
    at = np.int64(0)
    out_indptr[0] = 0
    for q in range(indptr.size - 1):
        begin, end = indptr[q], indptr[q + 1]
        n = end - begin
        factors[q] = 1.0
        dropped[q] = 0
        if n * 4 > limit:
            return np.int64(TOO_LONG), q
        for j in range(begin + 1, end):
            if terms[j] <= terms[j - 1]:
                return np.int64(BAD_ORDER), q
        if n > 0:
            part = out_weights[at : at + n]
            factors[q] = quantize_weights(weights[begin:end], limit, part)
            if factors[q] == 0.0:
                return np.int64(BAD_WEIGHT), q
        for i in range(n):
            weight = out_weights[at + i]
            term = terms[begin + i]
            place = at + i
            while place > at and out_weights[place - 1] < weight:
                out_weights[place] = out_weights[place - 1]
                out_terms[place] = out_terms[place - 1]
                place -= 1
            out_weights[place] = weight
            out_terms[place] = term
        kept = np.int64(np.ceil(beta * n)) if beta < 1.0 else n
        for i in range(kept, n):
            dropped[q] += np.int64(out_weights[at + i])
        at += kept
        out_indptr[q + 1] = at
    return np.int64(0), np.int64(0)
