"""Query preparation: weights to integers, and terms into descending order of weight."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.structs import HISTOGRAM, QUERY_TERM, QUERY_WEIGHT, SORT_KEYS, SORT_SPARE
from lsr_index.kernels.topk import hit_key, sort_keys

BAD_WEIGHT, REPEATED_TERM, TOO_LONG, BAD_OFFSETS = 1, 2, 3, 4
N_FAULTS = 5


@kernel
def quantize_weights(weights, limit, out):
    """Round ``weights * limit' / sum`` to integers whose sum is at most ``limit``.

    ``limit`` is at least ``2 n``; ``out``, (>= n,) integer, is filled. Returns the factor, or 0 if
    a weight is not positive and finite.
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
def has_repeated_term(terms, scratch):
    """Whether a query, in any order, holds a term twice."""
    n = terms.size
    rising = True
    for i in range(1, n):
        rising &= terms[i - 1] < terms[i]
    if rising:
        return False
    keys = scratch[SORT_KEYS].view(np.uint64)
    for i in range(n):
        keys[i] = terms[i]
    sort_keys(keys, n, scratch[SORT_SPARE].view(np.uint64), scratch[HISTOGRAM])
    found = False
    for i in range(1, n):
        found |= keys[i - 1] == keys[i]
    return found


@kernel
def prepare_query(terms, weights, limit, beta, scratch, stats):
    """Check, quantise and order a query: heaviest term first, ties by term id.

    Parameters
    ----------
    terms, weights : (n,) uint32, float32
    limit : int64
        Bound on the sum of integer weights.
    beta : float64
        Share of the terms kept.
    scratch : (N_SCRATCH, >= n) int64
        ``QUERY_TERM`` and ``QUERY_WEIGHT`` are filled.
    stats : STATS record
        ``factor`` and ``dropped`` are set.

    Returns
    -------
    (int64, int64)
        Fault (0 if none) and the number of terms kept.
    """
    n = np.int64(terms.size)
    if n * 4 > limit:
        return np.int64(TOO_LONG), n
    stats.factor = 1.0
    if n == 0:
        return np.int64(0), n
    if has_repeated_term(terms, scratch):
        return np.int64(REPEATED_TERM), n
    query_term, query_weight = scratch[QUERY_TERM], scratch[QUERY_WEIGHT]
    stats.factor = quantize_weights(weights, limit, query_weight)
    if stats.factor == 0.0:
        return np.int64(BAD_WEIGHT), n
    keys = scratch[SORT_KEYS].view(np.uint64)
    for i in range(n):
        keys[i] = hit_key(query_weight[i], terms[i])
    sort_keys(keys, n, scratch[SORT_SPARE].view(np.uint64), scratch[HISTOGRAM])
    for i in range(n):
        key = keys[n - 1 - i]
        query_weight[i] = np.int64(key >> np.uint64(32))
        query_term[i] = np.int64(np.uint64(0xFFFFFFFF) - (key & np.uint64(0xFFFFFFFF)))
    kept = np.int64(np.ceil(beta * n)) if beta < 1.0 else n
    for i in range(kept, n):
        stats.dropped += query_weight[i]
    return np.int64(0), kept
