"""Compiled loops of fusion: lists to a pool, normalisation, weighted sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lsr_index.kernels.jit import kernel

RRF, MIN_MAX, THEORETICAL_MIN, Z_SCORE, DBSF, MAX = range(6)
"""Methods as the kernels know them: `lsr_index.fusion.methods.FusionMethod.kernel_code`."""


@kernel
def lay_out(together: Any, values: Any, starts: Any, order: Any) -> Any:
    """Collect the hits of several lists by document.

    Parameters
    ----------
    together, values : (n,) int64, float64
        Documents and scores of one list after the other.
    starts : (n_lists + 1,) int64
        Begin of each list.
    order : (n,) int64
        Places by document.

    Returns
    -------
    keys : (m,) int64
        The documents, ascending.
    ranks, scores : (n_lists, m) int64, float64
        Rank from 1 and score; 0 and NaN where a list lacks the document.
    """
    m = np.int64(min(1, order.size))
    for i in range(1, order.size):
        m += np.int64(together[order[i]] != together[order[i - 1]])
    n_lists = starts.size - 1
    keys = np.empty(m, np.int64)
    ranks = np.zeros((n_lists, m), np.int64)
    scores = np.full((n_lists, m), np.nan)
    n = np.int64(0)
    for at in order:
        if n == 0 or keys[n - 1] != together[at]:
            keys[n] = together[at]
            n += 1
        branch = np.int64(0)
        while starts[branch + 1] <= at:
            branch += 1
        ranks[branch, n - 1] = at - starts[branch] + 1
        scores[branch, n - 1] = values[at]
    return keys, ranks, scores


@kernel
def line(method: Any, ranks: Any, scores: Any, bound: Any) -> Any:
    """Return origin and unit of a normalisation, and the smallest and largest score.

    ``method`` is not ``RRF``, ``bound`` the least possible score or NaN. A unit of 0: all scores
    are equal. Without scores the smallest and largest are infinite.
    """
    n, total, least, most = 0, 0.0, math.inf, -math.inf
    for i in range(ranks.size):
        if ranks[i] > 0:
            n += 1
            total += scores[i]
            least, most = min(least, scores[i]), max(most, scores[i])
    if n == 0:
        return 0.0, 0.0, least, most
    if method == THEORETICAL_MIN and bound < least:
        return bound, most - bound, least, most
    # The mean of equal floats need not be one of them, so no deviation is computed from it.
    if least == most or (method != Z_SCORE and method != DBSF):
        return least, most - least, least, most
    mean, squares = total / n, 0.0
    for i in range(ranks.size):
        if ranks[i] > 0:
            squares += (scores[i] - mean) ** 2
    deviation = math.sqrt(squares / n)
    if method == Z_SCORE:
        return mean, deviation, least, most
    return mean - 3 * deviation, 6 * deviation, least, most


@kernel
def normalise(method: Any, k: Any, ranks: Any, scores: Any, bound: Any, values: Any) -> None:
    """Fill ``values``, (n,) float64, with the normalised scores of one branch.

    ``k`` is the constant of ``rrf``; other parameters as in `line`.
    """
    if method == RRF:
        for i in range(values.size):
            values[i] = 1.0 / (k + ranks[i]) if ranks[i] > 0 else 0.0
        return
    origin, unit, least, most = line(method, ranks, scores, bound)
    if least > most:
        values[:] = 0.0
        return
    if unit == 0:
        high = 0.0 if method == Z_SCORE else (0.5 if method == DBSF else 1.0)
        low = -1.0 if method == Z_SCORE else 0.0
        for i in range(values.size):
            values[i] = high if scores[i] >= least else low
        return
    last = (least - origin) / unit
    if method == DBSF or least == most:
        last = min(0.0, last)
    for i in range(values.size):
        values[i] = last if math.isnan(scores[i]) else (scores[i] - origin) / unit


@kernel
def sum_by_size(terms: Any) -> Any:
    """Sum a few floats, (n,) float64, sorted in place, so that their order does not matter."""
    for i in range(1, terms.size):
        term, at = terms[i], i
        while at > 0 and terms[at - 1] > term:
            terms[at] = terms[at - 1]
            at -= 1
        terms[at] = term
    total = 0.0
    for term in terms:
        total += term
    return total


@kernel
def add_up(method: Any, shares: Any, normalised: Any, contributions: Any, fused: Any) -> None:
    """Fill ``contributions``, the weighted ``normalised``, and ``fused``, their combination.

    ``shares``, (n_branches,) float64, have the sum 1; shapes as in `fuse_scores`.
    """
    weights = shares.copy()
    if method == MAX:
        weights /= shares.max()
    elif method == RRF:
        weights *= np.count_nonzero(shares)
    terms = np.empty(shares.size)
    for i in range(fused.size):
        largest = -math.inf
        for b in range(shares.size):
            terms[b] = normalised[b, i] * weights[b]
            contributions[b, i] = terms[b]
            if shares[b] > 0:
                largest = max(largest, terms[b])
        fused[i] = largest if method == MAX else sum_by_size(terms)


@kernel
def fuse_scores(
    method: Any,
    k: Any,
    ranks: Any,
    scores: Any,
    bounds: Any,
    shares: Any,
    normalised: Any,
    contributions: Any,
    fused: Any,
) -> None:
    """Score the documents of a pool.

    Parameters
    ----------
    ranks, scores : (n_branches, n) int64, float64
    bounds, shares : (n_branches,) float64
        Least possible scores, NaN where unknown; weights with the sum 1.
    normalised, contributions : (n_branches, n) float64
        Filled.
    fused : (n,) float64
        Filled.
    """
    for b in range(shares.size):
        normalise(method, k, ranks[b], scores[b], bounds[b], normalised[b])
    add_up(method, shares, normalised, contributions, fused)
