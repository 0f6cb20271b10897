"""What a query costs and can reach in a segment and in one of its ranges, from stored counts."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.views import N_RANGES, N_TERMS


@kernel
def find_terms(terms, query_terms, query_weights, work):  # type: ignore[no-untyped-def]
    """Positions of the query's terms in the segment's dictionary; unknown terms are left out.

    Parameters
    ----------
    terms : (n_terms,) uint32
        Ascending.
    query_terms, query_weights : (n,) uint32
    work : Workspace
        ``term_local``, ``term_weight`` and ``order`` are filled.

    Returns
    -------
    int64
        Number of known terms.
    """
    n = 0
    for i in range(query_terms.size):
        wanted = query_terms[i]
        low = 0
        high = terms.size
        while low < high:
            middle = (low + high) >> 1
            if terms[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        if low < terms.size and terms[low] == wanted and query_weights[i] > 0:
            work.term_local[n] = low
            work.term_weight[n] = query_weights[i]
            work.order[n] = n
            n += 1
    return n


@kernel
def contribution(impact, weight, shift):  # type: ignore[no-untyped-def]
    """The one definition of what a term adds to a score: ``(impact * weight) >> shift``."""
    return np.int64((np.uint32(impact) * weight) >> shift)


@kernel
def stored_threshold(kth_impacts, work, n, k, shift):  # type: ignore[no-untyped-def]
    """A score that at least ``k`` documents of the segment reach through a single term.

    Parameters
    ----------
    kth_impacts : (n_terms * 3,) uint8
        10th, 100th and 1,000th largest impact of each term, 0 if there are fewer.
    work : Workspace
    n, k : int64
    shift : uint32

    Returns
    -------
    int64
        0 if nothing is known (more than 1,000 wanted).
    """
    if k > 1000:
        return 0
    column = 0 if k <= 10 else (1 if k <= 100 else 2)
    best = 0
    for i in range(n):
        impact = kth_impacts[work.term_local[i] * 3 + column]
        best = max(best, contribution(impact, work.term_weight[i], shift))
    return best


@kernel
def order_ranges(seg, work, n, shift):  # type: ignore[no-untyped-def]
    """Ranges in descending order of the largest score they can hold.

    Parameters
    ----------
    seg : SegmentView
    work : Workspace
        ``range_order`` and ``range_peak`` are filled.
    n : int64
        Number of known query terms.
    shift : uint32
    """
    n_terms = seg.sizes[N_TERMS]
    for r in range(seg.sizes[N_RANGES]):
        peak = 0
        for i in range(n):
            impact = seg.range_max[r * n_terms + work.term_local[i]]
            peak += contribution(impact, work.term_weight[i], shift)
        work.range_peak[r] = peak
        at = r
        while at > 0 and work.range_peak[work.range_order[at - 1]] < peak:
            work.range_order[at] = work.range_order[at - 1]
            at -= 1
        work.range_order[at] = r


@kernel
def plan_range(seg, work, r, n, shift):  # type: ignore[no-untyped-def]
    """Lists and peaks of the query's terms in a range, and the order to scatter them in.

    Terms without block bounds come first (they are always scattered), the others follow by
    descending peak. The order of the range before is the starting point, so that the insertion
    sort is near linear.

    Parameters
    ----------
    seg : SegmentView
    work : Workspace
        ``term_begin``, ``term_end``, ``term_peak`` and ``order`` are filled.
    r, n : int64
    shift : uint32

    Returns
    -------
    int64
        Number of terms without block bounds.
    """
    n_terms = seg.sizes[N_TERMS]
    base = seg.range_base[r]
    n_sparse = 0
    for i in range(n):
        local = work.term_local[i]
        at = r * (n_terms + 1) + local
        work.term_begin[i] = base + np.int64(seg.offsets[at])
        work.term_end[i] = base + np.int64(seg.offsets[at + 1])
        peak = contribution(seg.range_max[r * n_terms + local], work.term_weight[i], shift)
        if seg.dense_of_term[local] < 0:
            n_sparse += 1
            peak += 1 << 40  # ahead of every term with bounds; taken off below
        work.term_peak[i] = peak
    for i in range(1, n):
        moved = work.order[i]
        peak = work.term_peak[moved]
        at = i
        while at > 0 and work.term_peak[work.order[at - 1]] < peak:
            work.order[at] = work.order[at - 1]
            at -= 1
        work.order[at] = moved
    for i in range(n_sparse):
        work.term_peak[work.order[i]] -= 1 << 40
    return n_sparse
